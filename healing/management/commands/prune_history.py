"""`manage.py prune_history`: delete what is older than the retention."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand
from django.utils import timezone

from healing.management.output import as_json
from healing.management.times import positive
from healing.retention import BATCH, KEEP_DAYS, prune


class Command(BaseCommand):
    help = (
        "Delete resolved failure records and sent notifications older than the retention. Open ones are kept."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--keep-days", type=positive, default=KEEP_DAYS, metavar="N", help=f"default {KEEP_DAYS}"
        )
        parser.add_argument(
            "--batch", type=positive, default=BATCH, metavar="N", help=f"rows at a time ({BATCH})"
        )
        parser.add_argument("--json", action="store_true", help="as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        counts = prune(timezone.now(), options["keep_days"], options["batch"])
        if options["json"]:
            self.stdout.write(as_json(counts))
            return
        told = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in counts.items())
        self.stdout.write(f"Deleted what is older than {options['keep_days']} days: {told}.")
