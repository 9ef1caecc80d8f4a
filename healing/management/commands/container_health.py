"""`manage.py container_health NAME`: what is known about one container now."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand
from rich.text import Text

from healing.api import container_health
from healing.core.wording import shown
from healing.management.output import as_json, console, pairs_table, rows_table, sentences, word


class Command(BaseCommand):
    help = (
        "Show one container's health, its effective config with where each value came from, and its warnings."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", metavar="NAME", help="the container's name, or its engine id")
        parser.add_argument("--host", help="the host, where several have a container of that name")
        parser.add_argument("--json", action="store_true", help="as JSON, durations in seconds")

    def handle(self, *args: Any, **options: Any) -> None:
        with sentences():
            health = container_health(options["name"], options["host"])
        if options["json"]:
            self.stdout.write(as_json(health))
        else:
            self._show(health)

    def _show(self, health: dict[str, Any]) -> None:
        out = console(self.stdout)  # type: ignore[arg-type]
        out.print(pairs_table(f"{health['name']} on {health['host']}", _rows(health)))
        config = [
            (Text(name), value, health["config_origins"][name]) for name, value in health["config"].items()
        ]
        out.print(rows_table("Effective config", ("field", "value", "from"), config))
        for warning in health["warnings"]:
            out.print(word("warning"), word(warning))


def _rows(health: dict[str, Any]) -> list[tuple[str, object]]:
    names = (
        "container_id", "image", "project_name", "service_name", "monitored", "status", "lifecycle", "message",
        "last_check_time", "consecutive_failures", "total_restarts", "last_restart_time",
    )  # fmt: skip
    rows: list[tuple[str, object]] = [(shown(name), health[name]) for name in names]
    if health["quarantine"]:
        until = health["quarantine"]["until"]
        trial = f"until {shown(until)}, then one silent trial" if until else "until released by hand"
        rows.append(("quarantine", f"since {shown(health['quarantine']['since'])}, {trial}"))
    if health["paused"]:
        rows.append(("paused", f"until {shown(health['paused']['until'])}: {health['paused']['reason']}"))
    if health["maintenance"]:
        rows.append(("held", health["maintenance"]["reason"]))
    if health["dry_run"]:
        rows.append(("dry run", f"of {health['dry_run']}: nothing is touched"))
    if health["open_failure"]:
        failure = health["open_failure"]
        rows.append(("open failure", f"#{failure['id']} {failure['cause'] or failure['failure_type']}"))
        rows.append(("reason", failure["reason"]))
    return rows
