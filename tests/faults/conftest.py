"""Which faults run, and the world of a file's faults.

All run, or with FAULTS=quick those marked `quick_fault`, with one seed that is always the same.
"""

from __future__ import annotations

import os
import re
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from tests.faults.judge import write_down
from tests.faults.lengths import LONG
from tests.faults.report import TESTS
from tests.faults.world import World, running_world

HERE = Path(__file__).resolve().parent
_FAULT = re.compile(r"test_(f\d+)_")
LONGEST = ("test_workers.py", "test_nemesis.py", "test_heals.py", "test_redis.py", "test_parts.py")
"""These begin first, so that no process is left with one of them at the end."""
IS_QUICK = os.environ.get("FAULTS", "") == "quick"
if IS_QUICK:
    os.environ.setdefault("FAULT_SEED", "1")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not IS_QUICK:
        items.sort(key=_turn)
        return
    left = [
        item for item in items if HERE in item.path.parents and not item.get_closest_marker("quick_fault")
    ]
    config.hook.pytest_deselected(items=left)
    items[:] = [item for item in items if item not in left]


def _turn(item: pytest.Item) -> int:
    name = item.path.name
    return LONGEST.index(name) if name in LONGEST else len(LONGEST)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A test that fails before it judges anything has its line in the verdicts too."""
    report = yield
    fault = _FAULT.match(item.name)
    if fault and (report.when == "call" or report.failed):
        write_down(fault[1].upper(), {TESTS: "" if report.passed else str(report.longrepr)[-300:]})
    return report


collect_ignore = [] if LONG else ["test_sentinels.py"]


@pytest.fixture(scope="module")
def shared() -> Iterator[World]:
    """A world for all faults of a file; a file that needs another has its own fixture of this name."""
    with running_world() as world:
        yield world


@pytest.fixture
def world(shared: World) -> Iterator[World]:
    """The file's world, whole again after each fault."""
    yield shared
    shared.restore()
