"""Redis lost, hung, out of reach and full; and messages that nobody sent."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.faults import inject
from tests.faults.alarms import WITHIN, wait_alarm, wait_armed
from tests.faults.judge import judged, record
from tests.faults.lengths import wait
from tests.faults.messages import QUEUES, push_all
from tests.faults.person import Person, person_at
from tests.faults.world import World, running_world

ANSWERED_WITHIN = 7.0
TICKS_AGAIN_WITHIN = 15.0
CONSUMES_AGAIN_WITHIN = 60.0
PATIENCE = 15.0
"""Seconds for which what is late is waited for, so that it can be said how late."""
SWALLOWED = 115.0
"""Seconds: TCP repeats what was lost after 102 s and then after 205 s; who waits for that alone consumes too late."""


pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def shared() -> Iterator[World]:
    """With pages, and one engine."""
    with running_world(web=True) as world:
        yield world


@pytest.fixture
def person(world: World) -> Iterator[Person]:
    with person_at(world.installation) as person:
        yield person


def _ticked(world: World, since: float) -> bool:
    """A tick that beat sent through Redis was worked off after that moment."""
    rows = world.stack.rows("SELECT extract(epoch FROM at) AS at FROM healing_heartbeat WHERE name = 'beat'")
    return bool(rows) and float(rows[0]["at"]) > since


def _canaries(world: World, since: float) -> set[str]:
    """The queues through which a canary has come since then."""
    rows = world.stack.rows(
        "SELECT name FROM healing_heartbeat WHERE name LIKE 'canary:%%' AND extract(epoch FROM at) > ?", since
    )
    return {str(row["name"]).removeprefix("canary:") for row in rows}


def test_f4_redis_is_killed_and_loses_everything(world: World) -> None:
    """Messages are hints: heals begun before and during 20 s without Redis end, each with one call (guard: the state of a heal is in the database, and the tick and the sweeper go on from there)."""
    world.begin("F4")
    before, during = world.web("before", check_interval=5), world.web("during", check_interval=5)
    before.break_health()
    world.moment(2)
    with inject.redis_lost(world.redis):
        world.moment(5)
        during.break_health()
        world.sleep(20)
    assert judged(world, "I1", "I2", "I3", "I4", "I5", "I6", "I7", "I8")


def test_f5_redis_hangs(world: World, person: Person) -> None:
    """A page that sends a hint answers in less than 7 s, and beat ticks soon after (guard: the broker's socket timeouts)."""
    world.begin("F5")
    target = world.web()
    key = int(world.stack.status(target.name)["pk"])
    assert person.asks_for_a_check(key)[0] == 302
    with inject.redis_hung(world.redis):
        asked = [person.asks_for_a_check(key) for _ in range(2)]
        target.break_health()
        world.sleep(60)
    resumed = time.time()
    slowest = max(seconds for _, seconds in asked)
    wait(lambda: _ticked(world, resumed), CONSUMES_AGAIN_WITHIN, world.log)
    ticked = time.time() - resumed
    record(
        world, **{"answers in 7 s": slowest < ANSWERED_WITHIN, "ticks in 15 s": ticked <= TICKS_AGAIN_WITHIN}
    )
    judged(world, ended=resumed)
    assert slowest < ANSWERED_WITHIN, asked
    assert ticked <= TICKS_AGAIN_WITHIN, f"the first tick came after {ticked:.1f} s\n{world.log()}"


def test_f6_packets_to_redis_are_swallowed(world: World) -> None:
    """No reset tells that the connection is dead: the dead-man's switch tells that the broker is silent within 30 s, and all queues flow 60 s after (guard: socket timeouts and health checks of the broker's connections; alerts about ourselves go past the broker)."""
    world.begin("F6")
    target = world.web()
    wait_armed(world)
    with inject.packets_dropped(world.redis.port):
        begun = time.time()
        target.break_health()
        alarmed = wait_alarm(world, begun, "broker")
        world.sleep(begun + SWALLOWED - time.time())
    ended = time.time()
    wait(
        lambda: set(QUEUES) <= _canaries(world, ended),
        CONSUMES_AGAIN_WITHIN + PATIENCE,
        lambda: f"a canary came only through {_canaries(world, ended)}\n{world.log()}",
    )
    flows = time.time() - ended
    in_time = flows <= CONSUMES_AGAIN_WITHIN
    record(world, **{"alarm in 30 s": alarmed <= WITHIN, "consumes in 60 s": in_time})
    judged(world, "I1", "I2", "I3", "I4", "I6", "I7", "I8", ended=ended)
    assert alarmed <= WITHIN, f"the alarm came after {alarmed:.1f} s"
    assert in_time, f"all queues flow after {flows:.1f} s"


@pytest.mark.quick_fault
def test_f21_messages_that_nobody_sent(world: World) -> None:
    """Malformed, unknown and oversized messages end no worker, are kept aside and counted, and the others flow (guard: unreadable messages become dead letters where they are taken from the queue)."""
    world.begin("F21")
    target, pids = world.web(), world.installation.pids()
    world.moment(2)
    pushed = push_all(world.redis.url)
    target.break_health()
    wait(
        lambda: _dead_letters(world) >= pushed,
        60,
        lambda: f"{_dead_letters(world)} dead letters, not {pushed}\n{world.log()}",
    )
    none_ended = set(pids) <= set(world.installation.pids())
    record(world, **{"kept aside": _dead_letters(world) == pushed, "no process ended": none_ended})
    judged(world, "I1", "I2", "I4", "I6", "I7")
    assert none_ended, f"a process has ended\n{world.log()}"
    assert _dead_letters(world) == pushed


def _dead_letters(world: World) -> int:
    rows = world.stack.rows(
        "SELECT count(*) AS n FROM healing_deadletter WHERE extract(epoch FROM at) >= ?", world.begun
    )
    return int(rows[0]["n"])


def test_f22_redis_is_full(world: World) -> None:
    """At `maxmemory` nothing can be sent: it is told, nothing healthy is touched, and what broke is healed after (guard: a refused message is a lost hint and no error of the heal)."""
    world.begin("F22 Redis at maxmemory")
    target = world.web()
    wait_armed(world)
    with inject.redis_full(world.redis):
        begun = time.time()
        target.break_health()
        alarmed = wait_alarm(world, begun)
        world.sleep(10)
    record(world, **{"an alert": alarmed <= WITHIN})
    judged(world, "I1", "I2", "I3", "I4", "I6", "I7", "I8")
    assert alarmed <= WITHIN, f"the alarm came after {alarmed:.1f} s"
