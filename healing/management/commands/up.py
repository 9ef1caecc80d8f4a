"""`manage.py up`: everything, with nothing to set up before."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand


class Command(BaseCommand):
    help = "Run Selfheal: web, workers, beat and watcher, in one process unless CELERY_BROKER_URL is set."
    requires_migrations_checks = False

    def handle(self, *_: Any, **__: Any) -> None:
        from selfheal_project.up.errors import StartRefused
        from selfheal_project.up.start import start

        try:
            status = start(self._say)
        except StartRefused as error:
            raise SystemExit(f"selfheal: {error}") from None
        if status:
            raise SystemExit(status)

    def _say(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()
