"""`manage.py failure_history NAME`: the failure records of one container, newest first."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from healing.api import failure_history
from healing.core.wording import duration
from healing.management.output import as_json, console, rows_table, sentences, word
from healing.management.times import positive

_COLUMNS = ("id", "detected", "type", "cause", "action", "result", "resolved after", "attempts", "reason")


class Command(BaseCommand):
    help = "Show a container's failure records: what was found, and what was done about it."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", metavar="NAME", help="the container's name, or its engine id")
        parser.add_argument(
            "--limit", type=positive, default=50, metavar="N", help="how many, newest first (50)"
        )
        parser.add_argument("--host", help="the host, where several have a container of that name")
        parser.add_argument("--json", action="store_true", help="as JSON, with details and attempts")

    def handle(self, *args: Any, **options: Any) -> None:
        with sentences():
            records = failure_history(options["name"], options["limit"], options["host"])
        if options["json"]:
            self.stdout.write(as_json(records))
            return
        if not records:
            self.stdout.write(f"{options['name']} has no failure on record.")
            return
        title = f"Failures of {options['name']}, newest first"
        console(self.stdout).print(rows_table(title, _COLUMNS, map(_row, records)))  # type: ignore[arg-type]


def _row(record: dict[str, Any]) -> list[object]:
    ended = record["resolved_at"]
    seconds = (ended - record["detected_at"]).total_seconds() if ended else None
    number = record["id"] if record["parent"] is None else f"{record['id']} of {record['parent']}"
    return [
        str(number),
        record["detected_at"],
        record["failure_type"],
        record["cause"] or record["error_message"],
        record["action"],
        word(record["action_result"]),
        duration(seconds) if ended else "open",
        str(len(record["attempts"])) if record["is_found"] else "",
        record["reason"],
    ]
