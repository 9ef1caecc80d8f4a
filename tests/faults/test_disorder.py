"""F13, F16: messages that come three times, and workers that have the wrong time."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from tests.faults import judge
from tests.faults.messages import sent
from tests.faults.world import World
from tests.testbed.paths import faketime_library, needed
from tests.testbed.wait import until

PACED = 8.0
"""Seconds over which messages are counted."""
HOPELESS = ["sh", "-c", "test -e /tmp/broken && exit 1; trap 'exit 0' TERM; sleep 100000 & wait"]
SKEWED = "worker-heal", "worker-checks"


def test_f13_every_message_comes_three_times(world: World) -> None:
    """Messages are hints: claims make of three deliveries one step, and ids make of three sends one alert."""
    world.begin("F13")
    once = _messages(world)
    world.installation.restart(*world.installation.running(), FAULT_DELIVERIES="3")
    world.wait_ready()
    targets = [world.web(f"thrice{number}") for number in range(3)]
    for target in targets:
        world.moment(1.0)
        (target.break_health if world.random.random() < 0.5 else target.crash)()
    judge.judged(world, *judge.ALWAYS, "I7")
    world.wait_ready()
    thrice = _messages(world)
    assert 0 < 2 * once <= thrice, f"{thrice} messages instead of {once}"
    for target in targets:
        assert len(target.calls(world.begun)) == 1, "one fault, one restart"
        told = [message.id for message in world.sink.about(target.name, world.begun)]
        assert told, "a restart is told of"
        assert len(told) == len(set(told)), "nobody died: nothing is sent twice"


def _messages(world: World) -> int:
    """How many Redis is given in PACED seconds."""
    before = sent(world.redis.url)
    world.sleep(PACED)
    return sent(world.redis.url) - before


@pytest.mark.timeout(600)
@pytest.mark.parametrize("shift", ["+2h", "-2h"])
def test_f16_a_worker_with_the_wrong_time(world: World, shift: str) -> None:
    """Budgets, leases and due times follow the database's clock; a worker whose own is wrong is told of."""
    world.begin("F16")
    library = needed("faketime", "faketime", faketime_library())
    world.installation.restart(*SKEWED, LD_PRELOAD=library, FAKETIME=shift, FAKETIME_DONT_RESET="1")
    world.wait_ready()
    targets = [world.web(f"skewed{number}", max_restarts=2) for number in range(2)]
    # Named by its case: who has the name of one that is gone has its spent budget too.
    name = "loops-ahead" if shift.startswith("+") else "loops-behind"
    loops = world.plain(name, HOPELESS, max_restarts=2, quarantine_release=0)
    loops.exec(["touch", "/tmp/broken"])
    _within(60, lambda: _clock_alerts(world, shift), "somebody is told of the clock", world)
    loops.crash()
    for target in targets:
        target.break_health()
    _within(60, lambda: all(target.is_cured() for target in targets), "healed in spite of the clock", world)
    judge.judged(world)
    world.sleep(5)
    for target in targets:
        assert len(target.calls(world.begun)) == 1
    assert len(loops.calls(world.begun)) == loops.max_restarts, f"{judge.state(world)}\n{world.log()}"


def _clock_alerts(world: World, shift: str) -> list[str]:
    """What was told of clocks that are wrong in this direction."""
    wrong = "ahead" if shift.startswith("+") else "behind"
    told = [m for m in world.sink.since(world.begun) if m.kind == "firing"]
    return [m.title for m in told if m.key.startswith("self:clock:") and f" s {wrong}" in m.title]


def _within(seconds: float, condition: Callable[[], object], what: str, world: World) -> object:
    begun = time.monotonic()
    try:
        return until(condition, seconds, what)
    except AssertionError as error:
        passed = time.monotonic() - begun
        raise AssertionError(f"{error} after {passed:.0f} s\n{world.log()}") from error
