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


def save(name: str, machine: str, rows: Sequence[Any], folder: Path = FOLDER) -> Path:
    """Write the rows of one benchmark, which are dataclasses of plain values; the file's path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.json"
    body = {"machine": machine, "rows": [asdict(row) for row in rows]}
    path.write_text(json.dumps(body, ensure_ascii=False, separators=(",", ":")).replace('{"', '\n{"') + "\n")
    return path


def load(name: str, row: type[R], folder: Path = FOLDER) -> tuple[str, list[R]]:
    """What `save` wrote: the machine, and the rows. SystemExit where nothing has been measured yet."""
    path = folder / f"{name}.json"
    if not path.exists():
        raise SystemExit(
            f"{path}: there is no result of {name} yet; measure with `python -m benchmarks {name} --write`"
        )
    body = json.loads(path.read_text())
    return body["machine"], [row(**fields) for fields in body["rows"]]
