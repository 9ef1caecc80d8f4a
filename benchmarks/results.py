"""Results as JSON files under benchmarks/results, so that tables and pictures are made again without measuring."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

from tests.testbed.paths import PROJECT

FOLDER = PROJECT / "benchmarks" / "results"
R = TypeVar("R")


def path(name: str, folder: Path = FOLDER) -> Path:
    """Where the result of a benchmark is."""
    return folder / f"{name}.json"


def save(name: str, machine: str, rows: Sequence[Any], folder: Path = FOLDER) -> Path:
    """Write the rows of one benchmark, which are dataclasses of plain values; the file's path."""
    folder.mkdir(parents=True, exist_ok=True)
    file = path(name, folder)
    body = {"machine": machine, "rows": [rounded(asdict(row)) for row in rows]}
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    file.write_text(text.replace('[{"', '[\n{"').replace(',{"', ',\n{"') + "\n")  # a row, a line
    return file


def rounded(value: Any) -> Any:
    """To six digits after the point: fewer would be rounded twice where a table rounds them again."""
    if isinstance(value, float):
        return round(value, 6)
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    return [rounded(item) for item in value] if isinstance(value, list | tuple) else value


def load(name: str, row: type[R], folder: Path = FOLDER) -> tuple[str, list[R]]:
    """What `save` wrote: the machine, and the rows. SystemExit where nothing has been measured yet."""
    file = path(name, folder)
    if not file.exists():
        raise SystemExit(
            f"{file}: there is no result of {name} yet; measure with `python -m benchmarks {name} --write`"
        )
    body = json.loads(file.read_text())
    return body["machine"], [row(**fields) for fields in body["rows"]]
