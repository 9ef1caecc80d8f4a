"""`manage.py maintenance [list|start|end]`: windows in which checks go on while healing and paging wait."""

from __future__ import annotations

from argparse import ArgumentParser
from datetime import datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from healing import commands
from healing.api.lookup import find_window
from healing.api.maintenance import window_data, windows
from healing.core.wording import shown
from healing.management.output import as_json, console, rows_table, sentences
from healing.management.selection import add_scope_arguments, scope_label, selected_scopes
from healing.management.times import parse_duration, parse_time

_COLUMNS = ("name", "for", "comes", "open until", "opens next", "enabled", "reason")


class Command(BaseCommand):
    help = "Show maintenance windows, begin one now, or end one: checks go on, healing and paging wait."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("what", nargs="?", choices=("list", "start", "end"), default="list")
        parser.add_argument("window", nargs="?", metavar="NAME", help="with end: the window's name")
        add_scope_arguments(parser)
        end = parser.add_mutually_exclusive_group()
        end.add_argument(
            "--for", dest="duration", type=parse_duration, metavar="DURATION", help="such as 30m or 1h30m"
        )
        end.add_argument(
            "--until", type=parse_time, metavar="TIME", help="ISO 8601; UTC where no offset is written"
        )
        parser.add_argument("--reason", default="", help="why; shown wherever it holds (200 characters)")
        parser.add_argument("--name", default="", help="with start: the name of the window")
        parser.add_argument("--json", action="store_true", help="with list: as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["window"] and options["what"] != "end":
            raise CommandError(f"{options['window']!r} means nothing with {options['what']}; leave it out.")
        {"list": self._list, "start": self._start, "end": self._end}[options["what"]](options)

    def _list(self, options: dict[str, Any]) -> None:
        found = [window_data(window, timezone.now()) for window in windows()]
        if options["json"]:
            self.stdout.write(as_json(found))
        elif not found:
            self.stdout.write("There is no maintenance window.")
        else:
            rows = ([window[column.replace(" ", "_")] for column in _COLUMNS] for window in found)
            out = console(self.stdout)  # type: ignore[arg-type]
            out.print(rows_table("Maintenance windows, times in UTC", _COLUMNS, rows))

    def _start(self, options: dict[str, Any]) -> None:
        until = _until(options)
        if len(options["reason"]) > 200:
            raise CommandError("--reason is longer than 200 characters; shorten it.")
        with sentences():
            scopes = selected_scopes(options)
            if options["name"] and len(scopes) > 1:
                raise CommandError("--name goes with one scope: each window is for one.")
            for scope in scopes:
                window = commands.start_maintenance(scope, until, options["reason"], options["name"])
                self.stdout.write(
                    f"Maintenance of {scope_label(scope)} until {shown(until)} UTC. "
                    f"End it before with: manage.py maintenance end '{window.name}'"
                )

    def _end(self, options: dict[str, Any]) -> None:
        if not options["window"]:
            raise CommandError("Say which window is to end: manage.py maintenance end NAME")
        with sentences():
            commands.end_maintenance(find_window(options["window"]))
        self.stdout.write(f"Ended {options['window']}.")


def _until(options: dict[str, Any]) -> datetime:
    now = timezone.now()
    if options["duration"] is None and options["until"] is None:
        raise CommandError("Say when it ends: --for 2h, or --until 2026-01-31T18:00")
    until: datetime = now + options["duration"] if options["duration"] else options["until"]
    if until <= now:
        raise CommandError(f"--until {shown(until)} UTC is in the past; write a time after {shown(now)} UTC.")
    return until
