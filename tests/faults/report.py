"""Makes the table of docs/reliability.md from the verdicts of `make faults`: `python -m tests.faults.report [FILE]`."""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from benchmarks.report import write
from tests.testbed.paths import PROJECT

DOCUMENT = PROJECT / "docs" / "reliability.md"
VERDICTS = PROJECT / "var" / "faults.jsonl"
SECTION = "faults"
TESTS = "tests"
INVARIANTS = tuple(f"I{number}" for number in range(1, 9))


def main(arguments: list[str]) -> int:
    """0; the table stands in the document."""
    path = Path(arguments[0]) if arguments else VERDICTS
    verdicts = [json.loads(line) for line in path.read_text().splitlines()]
    text = f"<!-- {SECTION}: begin -->\n{table(verdicts)}\n<!-- {SECTION}: end -->"
    write(SECTION, text, DOCUMENT)
    return 0


def table(verdicts: Iterable[dict[str, object]]) -> str:
    """A row a fault, a column an invariant: in how many of how many judgements it held.

    `rest` is what else had to hold; `tests` are those that passed of those that ran, whether or not they came to judge.
    """
    held: dict[str, dict[str, list[bool]]] = defaultdict(lambda: defaultdict(list))
    seeds: dict[str, set[object]] = defaultdict(set)
    for verdict in verdicts:
        fault, name = str(verdict["fault"]), str(verdict["invariant"])
        held[fault][name if name in (TESTS, *INVARIANTS) else "rest"].append(bool(verdict["held"]))
        seeds[fault].add(verdict["seed"])
    columns = (TESTS, *INVARIANTS, "rest")
    lines = [f"| fault | seeds | {' | '.join(columns)} |", f"|---|---|{'---|' * len(columns)}"]
    for fault in sorted(held, key=_number):
        cells = [_cell(held[fault].get(name, [])) for name in columns]
        lines.append(f"| {fault} | {len(seeds[fault])} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(results: list[bool]) -> str:
    return f"{sum(results)} of {len(results)}" if results else ""


def _number(fault: str) -> tuple[int, str]:
    digits = "".join(c for c in fault.partition(" ")[0] if c.isdigit())
    return int(digits or 0), fault


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
