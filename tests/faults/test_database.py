"""F7, F8: a database that is gone or hangs in the middle of a heal."""

from __future__ import annotations

import time

import pytest

from tests.faults import judge
from tests.faults.hosts import Target
from tests.faults.inject import postgres_down
from tests.faults.orders import CRASH_POINTS, CrashPoint
from tests.faults.world import World
from tests.testbed.proxy import Asked
from tests.testbed.wait import until

UNDER_WAY = 0.5
"""Seconds in which a call that had passed its guard before the stop may still reach the engine."""
OUTLASTS_A_LEASE = 45.0
OUTLASTS_ITS_SUCCESSOR = 75.0


@pytest.mark.quick_fault
def test_f7_the_database_is_stopped_for_a_moment(world: World) -> None:
    """No restart without a database to write its intent to; what was found is not lost, or found again."""
    assert not _called_while_gone(world, 5.0), "restarted without a database"


@pytest.mark.timeout(600)
def test_f7_the_database_is_stopped_for_half_a_minute(world: World) -> None:
    """The same over half a minute, in which the engine forgets that nobody stopped what has crashed (guard: the watcher keeps the events that it has received)."""
    assert not _called_while_gone(world, 30.0, forgets=True), "restarted without a database"


def _called_while_gone(world: World, seconds: float, *, forgets: bool = False) -> list[Asked]:
    """The calls that the engine got without the database, once all has been judged: of what broke just before, and of what crashed meanwhile."""
    world.begin("F7")
    targets = [world.web(f"before{number}") for number in range(2)]
    meanwhile, well = world.web("meanwhile"), world.web("well")
    targets[0].break_health()
    targets[1].crash()
    world.moment(2.0)
    gone = time.time()
    with postgres_down(world.postgres):
        meanwhile.crash()
        if forgets:
            _make_forget(well)
        world.sleep(max(gone + seconds - time.time(), 0.0))
        back = time.time()
    calls = [asked for asked in world.host.calls(gone + UNDER_WAY) if asked.at < back]
    judge.record(world, no_restart_while_it_is_down=not calls)
    judge.judged(world)
    return calls


def _make_forget(well: Target) -> None:
    """Its engine keeps the last 256 events, and each command run in a container makes three."""
    for _ in range(90):
        well.exec(["true"])


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "point", [CRASH_POINTS[1], CRASH_POINTS[5], CRASH_POINTS[6]], ids=["diagnosis", "restart", "answer"]
)
def test_f8_the_database_hangs_under_a_lease(world: World, point: CrashPoint) -> None:
    """A database that stood still while a lease ran out lets nobody act twice, and whoever had it changes nothing after its successor: the fence, and the lease looked at last."""
    world.begin("F8")
    target = world.web("leased")
    order = world.orders.at(point, "wait", seconds=OUTLASTS_ITS_SUCCESSOR)
    target.break_health()
    order.wait(40)
    begun = time.time()
    world.postgres.pause()
    try:
        world.sleep(OUTLASTS_A_LEASE)
    finally:
        world.postgres.resume()
    until(target.is_cured, OUTLASTS_ITS_SUCCESSOR - OUTLASTS_A_LEASE, "its successor has healed it")
    world.sleep(begun + OUTLASTS_ITS_SUCCESSOR + 3 - time.time())
    judge.judged(world)
    assert len(target.calls(world.begun)) == 1


@pytest.mark.timeout(600)
def test_f8_the_database_hangs_while_the_engine_works(world: World) -> None:
    """The answer of a call that came while the database hung is written once, by whoever has the fence."""
    world.begin("F8")
    target = world.web("midcall")
    target.break_health()
    until(lambda: target.calls(world.begun), 40, "the engine is asked")
    world.postgres.pause()
    try:
        world.sleep(OUTLASTS_A_LEASE)
    finally:
        world.postgres.resume()
    judge.judged(world)
    assert len(target.deeds("restart", since=target.broken_at)) == 1
