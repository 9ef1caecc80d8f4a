"""`manage.py pause …`: keep Selfheal's hands off, for a time that ends by itself."""

from __future__ import annotations

from argparse import ArgumentParser
from datetime import datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from healing.api import control
from healing.core.wording import shown
from healing.management.output import sentences
from healing.management.selection import add_scope_arguments, scope_label, selected_scopes
from healing.management.times import parse_duration, parse_time


class Command(BaseCommand):
    help = "Neither check nor heal what is selected until the pause ends by itself."

    def add_arguments(self, parser: ArgumentParser) -> None:
        add_scope_arguments(parser)
        end = parser.add_mutually_exclusive_group(required=True)
        end.add_argument(
            "--for", dest="duration", type=parse_duration, metavar="DURATION", help="such as 30m or 1h30m"
        )
        end.add_argument(
            "--until", type=parse_time, metavar="TIME", help="ISO 8601; UTC where no offset is written"
        )
        parser.add_argument(
            "--reason", default="", help="why; shown wherever the pause is shown (200 characters)"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        until = _end(options)
        if len(options["reason"]) > 200:
            raise CommandError("--reason is longer than 200 characters; shorten it.")
        with sentences():
            scopes = selected_scopes(options)
            for scope in scopes:
                control.pause(scope, until, options["reason"])
        for scope in scopes:
            self.stdout.write(f"Paused {scope_label(scope)} until {shown(until)} UTC.")


def _end(options: dict[str, Any]) -> datetime:
    now = timezone.now()
    until: datetime = now + options["duration"] if options["duration"] else options["until"]
    if until <= now:
        raise CommandError(f"--until {shown(until)} UTC is in the past; write a time after {shown(now)} UTC.")
    return until
