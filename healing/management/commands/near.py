"""`manage.py near QUEUE…`: the workers and the watcher that serve hosts from near their engines."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from healing.core.queues import WRONG_NAME, is_name


class Command(BaseCommand):
    help = (
        "Serve the hosts whose queue has one of these names: workers for their checks and heals, and the watcher "
        "of their events, kept running until SIGTERM."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("queues", nargs="+", metavar="QUEUE", help="As in the field queue of the hosts.")

    def handle(self, *_: Any, queues: list[str], **__: Any) -> None:
        from healing.models import Host
        from selfheal_project import processes
        from selfheal_project.up.broker import look_for_broker
        from selfheal_project.up.errors import StartRefused

        for name in queues:
            if not is_name(name):
                raise CommandError(f"{name!r}: {WRONG_NAME}")
        if settings.EMBEDDED:
            raise CommandError("Set CELERY_BROKER_URL and DATABASE_URL to those of the installation.")
        try:
            self.stdout.write(f"broker {look_for_broker()}")
        except StartRefused as error:
            raise CommandError(str(error)) from error
        for name in queues:
            count = Host.objects.filter(queue=name).count()
            self.stdout.write(f"queue {name}: {count} host{'' if count == 1 else 's'}")
        self.stdout.flush()
        if status := processes.run(processes.near_programs(queues)):
            raise SystemExit(status)
