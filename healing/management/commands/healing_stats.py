"""`manage.py healing_stats`: how reliable the containers are, and how well healing works."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from healing.api import healing_stats
from healing.core.wording import duration, share, shown
from healing.management.output import as_json, console, pairs_table, rows_table, sentences, word
from healing.management.times import parse_since


class Command(BaseCommand):
    help = "Show MTBF, MTTR, restart success rate, failure types, alerts, health distribution and healing latency."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--since", type=parse_since, metavar="TIME", help="a time, or how long ago, such as 7d"
        )
        parser.add_argument("--project", metavar="NAME", help="containers of this project only")
        parser.add_argument("--host", metavar="NAME", help="containers on this host only")
        parser.add_argument(
            "--json", action="store_true", help="as JSON; durations in seconds, rates from 0 to 1"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        with sentences():
            figures = healing_stats(options["since"], options["project"], options["host"])
        if options["json"]:
            self.stdout.write(as_json(figures))
            return
        out = console(self.stdout)  # type: ignore[arg-type]
        out.print(pairs_table(_title(figures), _rows(figures)))
        for name in ("failure_types", "health_distribution", "alerts_by_level"):
            rows = [(word(key), str(count)) for key, count in figures[name].items()]
            out.print(rows_table(shown(name).capitalize(), ("", "count"), rows))


def _title(figures: dict[str, Any]) -> str:
    parts = [f"{kind} {figures[kind]}" for kind in ("project", "host") if figures[kind]]
    if figures["since"]:
        parts.append(f"since {shown(figures['since'])}")
    return f"Healing statistics: {', '.join(parts) or 'everything'}"


def _rows(figures: dict[str, Any]) -> list[tuple[str, object]]:
    latency = figures["healing_latency"]
    return [
        ("containers", figures["containers"]),
        ("failures found", figures["failures"]),
        ("still open", figures["open_failures"]),
        ("mean time between failures", duration(figures["mtbf"])),
        ("mean time to recovery", duration(figures["mttr"])),
        (
            "restarts that helped",
            f"{figures['restarts_succeeded']} ({share(figures['restart_success_rate'])})",
        ),
        ("failures healed by restarting", share(figures["heal_success_rate"])),
        ("detected → engine answered, p50", duration(latency["p50"])),
        ("detected → engine answered, p90", duration(latency["p90"])),
        ("checks put off for more important ones", _put_off(figures["put_off"]["checks"])),
        ("heals put off for more important ones", _put_off(figures["put_off"]["heals"])),
    ]


def _put_off(counts: dict[str, int] | None) -> str:
    if counts is None:
        return "counted by host"
    return ", ".join(f"{count} {name}" for name, count in counts.items() if count) or "none"
