"""`manage.py watch`: hold the engines' event streams, as a process of its own."""

from __future__ import annotations

import threading
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from healing.core.queues import WRONG_NAME, is_name


class Command(BaseCommand):
    help = (
        "Watch the engines' event streams and have containers checked at once. One for each host is enough."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "hosts", nargs="*", metavar="HOST", help="Names of hosts; all that name no queue when left out."
        )
        parser.add_argument(
            "--queue", action="append", default=[], metavar="NAME", help="The hosts of this queue instead."
        )

    def handle(self, *_: Any, hosts: list[str], queue: list[str], **__: Any) -> None:
        from healing import watchers
        from healing.models import Host
        from healing.store.durability import relax_this_process
        from selfheal_project.up.signals import stop_on_signals

        if hosts and queue:
            raise CommandError("Name hosts or a queue, not both.")
        wrong = [name for name in queue if not is_name(name)]
        if wrong:
            raise CommandError(f"--queue {wrong[0]!r}: {WRONG_NAME}")
        unknown = sorted(set(hosts) - set(Host.objects.values_list("name", flat=True)))
        if unknown:
            raise CommandError(f"There is no host named {', '.join(unknown)}; the admin lists the hosts.")
        relax_this_process()
        stopping = threading.Event()
        with stop_on_signals(stopping):
            watchers.run(hosts or None, stopping, queue)
