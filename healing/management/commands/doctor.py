"""`manage.py doctor`: what is wrong with this installation, and how to mend it."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand

from healing.doctor import Level, examine
from healing.management.output import as_json, console, rows_table, word


class Command(BaseCommand):
    help = "Check this installation. Exit status 1 if something is wrong."
    # The database may be what is wrong: checks that need it must not end the command.
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true", help="as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        checks = examine()
        failed = any(check.level is Level.ERROR for check in checks)
        if options["json"]:
            self.stdout.write(as_json({"ok": not failed, "checks": [asdict(check) for check in checks]}))
        else:
            rows = [(check.name, word(check.level.value), check.message, check.advice) for check in checks]
            table = rows_table(
                "Selfheal's own health", ("check", "result", "what was found", "what to do"), rows
            )
            console(self.stdout).print(table)  # type: ignore[arg-type]
        if failed:
            sys.exit(1)
