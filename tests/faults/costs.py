"""Makes the table of availability in docs/reliability.md from the runs of F24: `python -m tests.faults.costs [FILE]`."""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from benchmarks.report import write
from tests.faults.report import DOCUMENT, VERDICTS

SECTION = "availability"
TARGET = 0.9999
MONTH = 30 * 86_400.0
BUDGET = MONTH * (1 - TARGET)
"""Seconds of a month in which a new fault may be found, or acted on, too late."""


def main(arguments: list[str]) -> int:
    """0; the tables stand in the document."""
    path = Path(arguments[0]) if arguments else VERDICTS.with_name(f"{VERDICTS.stem}-availability.jsonl")
    runs = [json.loads(line) for line in path.read_text().splitlines()]
    text = f"<!-- {SECTION}: begin -->\n{tables(runs)}\n<!-- {SECTION}: end -->"
    write(SECTION, text, DOCUMENT)
    return 0


def tables(runs: Iterable[Mapping[str, Any]]) -> str:
    """The runs, and what each kind of fault has cost: with one of each part, and with two."""
    known = list(runs)
    lines = [
        "| seed | parts | seconds | late | in time | p50 | p99 |",
        "|---|---|---|---|---|---|---|",
        *(_run(run) for run in known),
        "",
        f"| fault | cost of one, s | of {BUDGET:.1f} s | slowest, s | with two of each part, s |",
        "|---|---|---|---|---|",
    ]
    single, doubled = (_costs(run for run in known if run["doubled"] is wanted) for wanted in (False, True))
    slowest = _slowest(run for run in known if not run["doubled"])
    for name in sorted({*single, *doubled}):
        cost = single.get(name)
        share = "" if cost is None else f"{cost / BUDGET:.1%}"
        seconds = f"{_seconds(slowest.get(name))} | {_seconds(doubled.get(name))}"
        lines.append(f"| {name} | {_seconds(cost)} | {share} | {seconds} |")
    return "\n".join(lines)


def _run(run: Mapping[str, Any]) -> str:
    parts = "two of each" if run["doubled"] else "one of each"
    figures = f"{run['seconds']} | {run['late']:g} | {run['availability']:.2%} | {run['p50']:g} s | {run['p99']:g} s"
    return f"| {run['seed']} | {parts} | {figures} |"


def _seconds(cost: float | None) -> str:
    return "" if cost is None else f"{cost:.1f}"


def _costs(runs: Iterable[Mapping[str, Any]]) -> dict[str, float]:
    """By kind of fault: late seconds for each time that it came."""
    times: dict[str, int] = defaultdict(int)
    late: dict[str, float] = defaultdict(float)
    for run in runs:
        for name, cost in run["cost"].items():
            times[name] += cost["times"]
            late[name] += cost["late"]
    return {name: late[name] / number for name, number in times.items() if number}


def _slowest(runs: Iterable[Mapping[str, Any]]) -> dict[str, float]:
    """By kind of fault: the longest delay beside it; older runs do not know it."""
    found: dict[str, float] = {}
    for run in runs:
        for name, cost in run["cost"].items():
            if "slowest" in cost:
                found[name] = max(found.get(name, 0.0), cost["slowest"])
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
