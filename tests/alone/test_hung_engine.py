"""An engine that accepts and never answers: SIGSTOP to one of six engines, each a process of its own."""

from __future__ import annotations

import itertools
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.integration.many.parts import Fleet, Parts, fleet_of, parts_over
from tests.testbed.services import redis_server
from tests.testbed.wait import until

ENGINES, CONTAINERS, INTERVAL, STOPPED = 6, 20, 2.0, 25.0
LATE = 2 * INTERVAL
"""A check comes too late when the one before is longer ago than this: one interval late."""


@pytest.fixture
def fleets() -> Iterator[list[Fleet]]:
    with ExitStack() as stack:
        yield [stack.enter_context(fleet_of(1, CONTAINERS, INTERVAL)) for _ in range(ENGINES)]


@pytest.fixture
def parts(fleets: list[Fleet]) -> Iterator[Parts]:
    with redis_server() as broker, parts_over(broker.url) as parts:
        parts.prepare([(f"host-{n}", fleet.address("engine-01"), "") for n, fleet in enumerate(fleets)])
        parts.worker("heal", "heal", 16)
        parts.worker("checks", "checks", 8)
        parts.worker("other", "alerts,default", 4)
        parts.watch("watch")
        parts.beat("beat")
        healthy = "healing_healthstatus WHERE status = 'healthy'"
        parts.wait(healthy, ENGINES * CONTAINERS, 90, "all containers are healthy")
        yield parts


def test_one_hung_engine_delays_no_other(fleets: list[Fleet], parts: Parts) -> None:
    """Of the checks of the other engines 99% and more are on time; the hung one is unknown, and is back when it answers."""
    hung, *others = fleets
    for fleet in fleets:
        fleet.do("forget_requests")
    begun = time.time()
    hung.child.send(signal.SIGSTOP)
    try:
        until(lambda: time.time() - begun >= STOPPED, STOPPED + 20, "the engine was hung for a while")
        assert parts.count("healing_host WHERE state = 'down'") == 1
    finally:
        hung.child.send(signal.SIGCONT)
    ended = time.time()
    gaps = []
    for fleet in others:
        calls = [begun, *(at for at in fleet.lists("engine-01") if at < ended), ended]
        gaps += [later - earlier for earlier, later in itertools.pairwise(calls)]
    late = [gap for gap in gaps if gap > LATE]
    assert len(gaps) >= len(others) * STOPPED / LATE, "there were checks at all"
    assert len(late) <= len(gaps) / 100, f"{len(late)} of {len(gaps)} were late, by up to {max(gaps):.1f} s"
    healthy = "healing_healthstatus WHERE status = 'healthy'"
    parts.wait(healthy, ENGINES * CONTAINERS, 90, "the engine is back")
