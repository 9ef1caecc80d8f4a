"""`manage.py watch`: hold the engines' event streams, as a process of its own."""

from __future__ import annotations

import threading
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError


class Command(BaseCommand):
    help = (
        "Watch the engines' event streams and have containers checked at once. One for each host is enough."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "hosts", nargs="*", metavar="HOST", help="Names of hosts; all enabled ones when left out."
        )

    def handle(self, *_: Any, hosts: list[str], **__: Any) -> None:
        from healing import watch
        from healing.models import Host
        from selfheal_project.up.signals import stop_on_signals

        unknown = sorted(set(hosts) - set(Host.objects.values_list("name", flat=True)))
        if unknown:
            raise CommandError(f"There is no host named {', '.join(unknown)}; the admin lists the hosts.")
        stopping = threading.Event()
        with stop_on_signals(stopping):
            watch.run(hosts or None, stopping)
