"""Writes a result into a document, between the markers of its section."""

from __future__ import annotations

import re
from pathlib import Path

from tests.testbed.paths import PROJECT

DOCUMENT = PROJECT / "docs" / "performance.md"


def section(name: str, machine: str, table: str) -> str:
    """A result with the machine that it was measured on, and the markers around it."""
    return f"{_begin(name)}\n{table}\n\nMeasured on: {machine}.\n{_end(name)}"


def write(name: str, text: str, document: Path = DOCUMENT) -> None:
    """Replace the section `name` of the document by `text`, which holds the markers again."""
    before = document.read_text()
    pattern = re.compile(f"{re.escape(_begin(name))}.*?{re.escape(_end(name))}", re.DOTALL)
    after, number = pattern.subn(lambda _: text, before)
    if number != 1:
        raise SystemExit(
            f"{document}: the markers {_begin(name)} and {_end(name)} must stand there once, in this order"
        )
    document.write_text(after)


def _begin(name: str) -> str:
    return f"<!-- {name}: begin -->"


def _end(name: str) -> str:
    return f"<!-- {name}: end -->"
