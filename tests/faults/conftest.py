"""Which faults run: all of them, or with FAULTS=quick those marked `quick_fault`, with one seed that is always the same."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.faults.lengths import LONG

HERE = Path(__file__).resolve().parent
IS_QUICK = os.environ.get("FAULTS", "") == "quick"
if IS_QUICK:
    os.environ.setdefault("FAULT_SEED", "1")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not IS_QUICK:
        return
    left = [
        item for item in items if HERE in item.path.parents and not item.get_closest_marker("quick_fault")
    ]
    config.hook.pytest_deselected(items=left)
    items[:] = [item for item in items if item not in left]


collect_ignore = [] if LONG else ["test_sentinels.py"]
