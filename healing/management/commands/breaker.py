"""`manage.py breaker …`: how the breakers stand; let one heal; what it does and when it opens."""

from __future__ import annotations

from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from healing.api import breakers
from healing.api.breakers import breaker_status
from healing.api.lookup import find_host
from healing.core.breaker import BreakerMode
from healing.core.wording import shown
from healing.management.output import as_json, console, rows_table, sentences
from healing.management.times import parse_duration
from healing.store.breaker_counts import Row
from healing.store.breakers import name_of

_COLUMNS = (
    "breaker", "state", "mode", "share", "failing", "running", "held", "since", "approved_until", "incident",
)  # fmt: skip
_HOUR = timedelta(hours=1)
_BOTH = ("approve", "set")
_MEANS = {
    "hosts": _BOTH, "fleet": _BOTH, "all": _BOTH, "duration": ("approve",), "mode": ("set",), "share": ("set",),
    "json": ("status",),
}  # fmt: skip
_WRITTEN = {"duration": "--for"}
_EMPTY = "No breaker is selected, so nothing was done. Name hosts, or give --fleet or --all."


class Command(BaseCommand):
    help = "Show the breakers of the fleet and of each host, approve that they heal, or set what they do."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("what", nargs="?", choices=("status", "approve", "set"), default="status")
        parser.add_argument("hosts", nargs="*", metavar="HOST", help="with approve and set: the hosts' names")
        parser.add_argument("--fleet", action="store_true", help="the fleet's own breaker")
        parser.add_argument(
            "--all", action="store_true", help="with approve: all that wait; with set: every one"
        )
        parser.add_argument(
            "--for",
            dest="duration",
            type=parse_duration,
            metavar="DURATION",
            help="with approve; 1h without it",
        )
        modes = [mode.value for mode in BreakerMode]
        parser.add_argument("--mode", choices=modes, help="with set: what it does while it is open")
        parser.add_argument(
            "--share", type=float, help="with set: it opens when more than this fails, 0 to 1"
        )
        parser.add_argument("--json", action="store_true", help="with status: as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        what = options["what"]
        _refuse_what_means_nothing(what, options)
        with sentences():
            {"status": self._show, "approve": self._approve, "set": self._set}[what](options)

    def _show(self, options: dict[str, Any]) -> None:
        rows = breaker_status()
        if options["json"]:
            self.stdout.write(as_json(rows))
            return
        cells = ([row[column] for column in _COLUMNS] for row in rows)
        names = [name.replace("_", " ") for name in _COLUMNS]
        console(self.stdout).print(rows_table("Breakers", names, cells))  # type: ignore[arg-type]

    def _approve(self, options: dict[str, Any]) -> None:
        until = timezone.now() + (options["duration"] or _HOUR)
        rows = breakers.approve_all(until) if options["all"] else breakers.approve(_selected(options), until)
        for row in rows:
            self.stdout.write(f"Approved {name_of(row)} until {shown(until)} UTC.")

    def _set(self, options: dict[str, Any]) -> None:
        rows = breakers.everywhere() if options["all"] else _selected(options)
        breakers.configure(rows, BreakerMode(options["mode"]) if options["mode"] else None, options["share"])
        for row in rows:
            self.stdout.write(f"Set {name_of(row)}: {row.breaker_mode}, share {row.breaker_share:g}.")


def _refuse_what_means_nothing(what: str, options: dict[str, Any]) -> None:
    given = [name for name in _MEANS if options[name] and what not in _MEANS[name]]
    if given:
        names = ", ".join("HOST" if name == "hosts" else _WRITTEN.get(name, f"--{name}") for name in given)
        raise CommandError(f"{names} means nothing with {what}; leave it out.")
    if options["all"] and (options["hosts"] or options["fleet"]):
        raise CommandError("--all goes with no other selection: leave one of them out.")


def _selected(options: dict[str, Any]) -> list[Row]:
    rows: list[Row] = [find_host(name) for name in options["hosts"]]
    rows += [breakers.fleet()] if options["fleet"] else []
    if not rows:
        raise CommandError(_EMPTY)
    return rows
