"""`manage.py sweep`: the sweeper and the dead-man's switch, as a process of its own."""

from __future__ import annotations

import threading
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from healing.core.queues import WRONG_NAME, is_name


class Command(BaseCommand):
    help = (
        "Do what is long due and in nobody's hands, without broker, beat or workers; watch over all parts of Selfheal and "
        "tell when one has stopped. One is enough; more do nothing twice."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--queue",
            action="append",
            default=[],
            metavar="NAME",
            help="For the hosts of this queue instead of those that name none.",
        )

    def handle(self, *_: Any, queue: list[str], **__: Any) -> None:
        from healing import sweeper
        from healing.store.durability import relax_this_process
        from selfheal_project.up.signals import stop_on_signals

        wrong = [name for name in queue if not is_name(name)]
        if wrong:
            raise CommandError(f"--queue {wrong[0]!r}: {WRONG_NAME}")
        relax_this_process()
        stopping = threading.Event()
        with stop_on_signals(stopping):
            sweeper.run(queue, stopping)
