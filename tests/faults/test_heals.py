"""F11, F12, F18, F23: engines that answer badly, hosts on which most fails, and people who step in, in the middle of a heal."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.faults import judge
from tests.faults.hosts import Late, Target
from tests.faults.orders import CRASH_POINTS
from tests.faults.world import World, running_world
from tests.testbed import faults
from tests.testbed.proxy import Asked, Rule
from tests.testbed.wait import until

BEFORE_THE_GUARD = CRASH_POINTS[4]
ATTEMPT_ENDS_WITHIN = 60.0
SLOW_TO_STOP = ["sh", "-c", "trap '' TERM; touch /tmp/ok; while :; do sleep 0.2; done"]
STOP, OUR_PATIENCE, DECIDES_WITHIN = 5.0, 20.0, 8.0
"""Seconds: the stop timeout of that one, and how much longer we wait for the engine's answer, and what a decision
made anew would take to be acted on."""
IN_FLIGHT = 1.0
"""Seconds: a call that had passed its guard before a person stepped in may still reach the engine."""


@pytest.fixture(scope="module")
def sparse() -> Iterator[World]:
    """Few containers, so that five are most of them."""
    with running_world(crowd=2) as world:
        yield world


def test_f11_the_answer_comes_after_our_time_is_over(world: World) -> None:
    """A call without an answer is an ambiguous success: it is verified and never made again."""
    world.begin("F11")
    target, answered = world.web("late"), threading.Event()
    world.host.proxy.rules.append(Rule(rf"POST \S*/containers/{target.id}/restart", times=9, hold=answered))
    target.break_health()
    until(target.is_cured, 60, "the engine has restarted it")
    judge.judged(world)
    answered.set()
    assert len(target.calls(world.begun)) == 1
    assert len(target.deeds("restart", since=target.broken_at)) == 1
    assert world.stack.attempts(target.name)[0]["answer"].startswith("no answer in time")


def test_f11_the_engine_acts_after_our_time_is_over(world: World) -> None:
    """The same where the engine stands still over the call, and stops and starts the container only afterwards."""
    world.begin("F11")
    target = world.named("slow", SLOW_TO_STOP, faults.HEALTH_FILE, stop_timeout=STOP)
    target.break_health()
    until(lambda: target.calls(world.begun), 40, "the engine is asked")
    world.host.engine.pause()
    try:
        world.sleep(STOP + OUR_PATIENCE + 2)
    finally:
        world.host.engine.resume()
    judge.judged(world)
    assert len(target.calls(world.begun)) == 1
    assert len(target.deeds("restart", since=target.broken_at)) == 1


def test_f11_the_engine_begins_after_our_time_is_over(world: World) -> None:
    """The same where the engine has not even begun, and answers all else: what is still broken is not called for a second time."""
    world.begin("F11")
    target = world.web("queued", stop_timeout=STOP)
    late = Late(rf"POST \S*/containers/{target.id}/restart")
    world.host.proxy.rules.append(late)
    target.break_health()
    until(lambda: target.calls(world.begun), 40, "the engine is asked")
    try:
        world.sleep(STOP + OUR_PATIENCE + DECIDES_WITHIN)
        assert len(target.calls(world.begun)) == 1, "it was called again while the first call was on its way"
    finally:
        late.forwarded.set()
    judge.judged(world)
    assert len(target.calls(world.begun)) == 1
    assert len(target.deeds("restart", since=target.broken_at)) == 1


@pytest.mark.quick_fault
def test_f12_the_engine_refuses_or_the_container_goes(world: World) -> None:
    """404, 409, 500 and a removal in mid-heal: each attempt ends soon, with its reason, and what is still there is healed."""
    world.begin("F12")
    refused = {status: world.web(f"says{status}") for status in (404, 409, 500)}
    removed, answered = world.web("removed"), threading.Event()
    rules = world.host.proxy.rules
    for status, target in refused.items():
        rules.append(
            Rule(rf"POST \S*/containers/{target.id}/restart", status=status, message=f"it says {status}")
        )
    rules.append(Rule(rf"POST \S*/containers/{removed.id}/restart", hold=answered))
    for target in (*refused.values(), removed):
        target.break_health()
    until(lambda: removed.calls(world.begun), 40, "the engine is asked for the one that goes")
    removed.host.made.client.remove_container(removed.id, force=True)
    answered.set()
    judge.judged(world)
    for status, target in refused.items():
        first = world.stack.attempts(target.name)[0]
        reason = "removed" if status == 404 else f"it says {status}"
        assert first["state"] == "failed", first
        assert reason in first["answer"] + first["outcome"], first
        assert (first["ended_at"] - first["called_at"]).total_seconds() < ATTEMPT_ENDS_WITHIN
    last = [row for row in world.stack.attempts(removed.name) if row["called_at"] is not None][-1]
    assert (last["ended_at"] - last["called_at"]).total_seconds() < ATTEMPT_ENDS_WITHIN, last
    found = world.stack.found(removed.name)
    assert (found["action_result"], found["reason"]) == ("failed", "container removed")


@pytest.mark.quick_fault
def test_f23_a_person_stops_it_in_mid_heal(world: World) -> None:
    """`docker stop` before the guard: what a person has stopped is not started, by the marks that the watcher has set."""
    world.begin("F23")
    target = world.web("stopped", stop_timeout=5)
    with _held_before_the_guard(world, target):
        target.host.made.client.stop(target.id, timeout=5)
        stopped = time.time()
        until(lambda: _is_marked(world, target), 20, "the stop is known")
    assert not _restarted(world, target, stopped), "started after a person had stopped it"


def test_f23_a_person_pauses_it_in_mid_heal(world: World) -> None:
    """A pause before the guard: nothing is restarted as long as it lasts, and what is still broken afterwards is healed."""
    world.begin("F23")
    target = world.web("paused")
    with _held_before_the_guard(world, target):
        world.installation.manage("pause", "--container", target.name, "--for", "10m")
        paused = time.time()
    world.sleep(5)
    assert not target.calls(paused), "restarted although it is paused"
    world.installation.manage("resume", "--container", target.name)
    judge.judged(world)


@pytest.mark.timeout(600)
def test_f23_at_random_moments(world: World) -> None:
    """A person who stops containers at any moment of their heals finds them stopped afterwards, or restarted before."""
    world.begin("F23")
    for number in range(4):
        target = world.web(f"moment{number}", stop_timeout=5)
        target.break_health()
        world.moment(2.5)
        stopped = time.time()
        target.host.made.client.stop(target.id, timeout=5)
        assert not _restarted(world, target, stopped, IN_FLIGHT), "started after a person had stopped it"


def _is_marked(world: World, target: Target) -> bool:
    status = world.stack.status(target.name)
    return status["stop_signal_at"] is not None and status["stop_signal_at"].timestamp() >= target.broken_at


@contextmanager
def _held_before_the_guard(world: World, target: Target) -> Iterator[None]:
    """Break it; its worker stands still between the intent and the guard for as long as the block lasts."""
    order = world.orders.at(BEFORE_THE_GUARD, "stop")
    target.break_health()
    order.wait(40)
    try:
        yield
    finally:
        world.installation.resume("worker-heal")


def _restarted(world: World, target: Target, since: float, in_flight: float = 0.0) -> list[Asked]:
    """The calls for it that came since then, within some seconds from now; and the invariants are judged."""
    world.sleep(6)
    late = target.calls(since + in_flight)
    judge.record(world, no_restart_after_it=not late)
    if not target.calls(since - 1):  # else the engine may have had stop and restart at the same time
        assert not target.state()["Running"], f"it runs again: {world.stack.found(target.name)}"
    target.broken_at = 0.0  # nobody wants it back
    judge.judged(world, "I2", "I3", "I5", "I6", "I8")
    return late


@pytest.mark.timeout(600)
@pytest.mark.parametrize("mode", ["slow_start", "hold"])
def test_f18_most_of_a_host_fails(sparse: World, mode: str) -> None:
    """More than the breaker's share at once: one incident and one page for the host, and its mode decides what is done."""
    world = sparse
    open_breaker = "SELECT id FROM healing_host WHERE breaker_since IS NOT NULL"
    until(lambda: not world.stack.rows(open_breaker), 150, "the breaker of the storm before is closed")
    world.begin("F18")
    world.stack.rows("UPDATE healing_host SET breaker_mode = ?, breaker_share = 0.2", mode)
    targets = [world.web(f"many{number}") for number in range(5)]
    for target in targets:
        target.break_health()
    until(lambda: _pages(world), 60, "the host is paged for")
    if mode == "hold":
        opened = time.time()
        world.sleep(15)
        late = world.host.calls(opened + IN_FLIGHT)
        assert not late, f"restarted although the breaker was open: {late}"
        assert not all(target.is_cured() for target in targets), "nothing was held"
        world.stack.rows("UPDATE healing_host SET breaker_mode = 'slow_start'")
    judge.judged(world, longer=120)
    incidents = {row["parent_id"] or row["id"] for t in targets for row in world.stack.failures(t.name)[:1]}
    judge.record(world, one_page=len(_pages(world)) == 1, one_incident=len(incidents) == 1)
    assert len(_pages(world)) == 1, f"one page: {_pages(world)}"
    assert len(incidents) == 1, f"one incident: {incidents}"
    world.restore()


def _pages(world: World) -> list[str]:
    found = [m for m in world.sink.since(world.begun) if m.level == "critical" and m.kind == "firing"]
    return [m.title for m in found if not m.container]


@pytest.mark.quick_fault
def test_f18_an_empty_selector_selects_nothing(world: World) -> None:
    """A command without a selection is refused with a sentence, and nothing is held, and nothing restarted."""
    world.begin("F18")
    for command in (("pause", "--for", "1m"), ("resume",)):
        with pytest.raises(AssertionError, match=r"--container|selected|everything"):
            world.installation.manage(*command)
    rows = world.stack.rows("SELECT id FROM healing_container WHERE paused_until IS NOT NULL")
    held = world.stack.rows("SELECT id FROM healing_systemstate WHERE paused_until IS NOT NULL")
    judge.record(world, nothing_selected=not rows and not held)
    assert not rows
    assert not held


@pytest.mark.timeout(600)
def test_f17_a_crash_loop(world: World) -> None:
    """A container that no restart helps costs its budget and no more, and one page; half an hour of it is in test_loop."""
    world.begin("F17")
    command = ["sh", "-c", "test -e /tmp/broken && exit 1; trap 'exit 0' TERM; sleep 100000 & wait"]
    target = world.plain("loops", command, max_restarts=3, quarantine_release=0)
    target.exec(["touch", "/tmp/broken"])
    target.crash()
    judge.judged(world)
    world.sleep(10)
    assert len(target.calls(world.begun)) == target.max_restarts
    assert [m.level for m in world.sink.about(target.name)].count("critical") == 1
