"""F1, F2, F3: workers that die, or hang, in the middle of a heal."""

from __future__ import annotations

import os
import re
import signal
import threading
from collections.abc import Sequence
from datetime import UTC, datetime

import pytest

from tests.faults import judge
from tests.faults.hosts import Late, Target
from tests.faults.orders import CRASH_POINTS, CrashPoint
from tests.faults.world import World
from tests.testbed.proxy import Rule
from tests.testbed.wait import until

AROUND_THE_CALL = CRASH_POINTS[3], CRASH_POINTS[5], CRASH_POINTS[6]
"""Intent without a hint, on record and not called, called and not on record: what only the database can save."""
STOPPED = 60.0
BESIDE = 20.0
"""Seconds for which a successor has the heal in hand, while whom it has succeeded wakes."""
RUNS_OF_POISON = 3
ONE_MORE_RUN = 40.0
"""Seconds in which what was not set aside would be found anew or swept up, and would end the worker started meanwhile."""


@pytest.mark.quick_fault
def test_f1_killed_around_the_call(world: World) -> None:
    """A heal whose worker dies around the engine's call goes on: the attempt's state in the database, and take-over."""
    world.begin("F1")
    _killed_at(world, AROUND_THE_CALL)
    assert judge.judged(world)


@pytest.mark.timeout(600)
def test_f1_killed_at_every_point(world: World) -> None:
    """A heal whose worker dies at any point is finished by another: leases that end, and due times in the database."""
    world.begin("F1")
    points = list(CRASH_POINTS)
    world.random.shuffle(points)
    _killed_at(world, points)
    assert judge.judged(world)


def _killed_at(world: World, points: Sequence[CrashPoint]) -> None:
    """A container for each point; the process that comes to it dies, and is started again as a supervisor would."""
    targets = [world.web(f"crash{number}") for number in range(len(points))]
    for point, target in zip(points, targets, strict=True):
        named = {"container": target.name} if point.action in ("failure_found", "decided", "healed") else {}
        order = world.orders.at(point, **named)
        target.break_health()
        part = world.installation.part_of(order.wait(60))
        print(f"{point}: killed {part or 'a process that is gone already'}")
        world.wait_ready()


def test_f1_killed_while_the_engine_works_on_the_call(world: World) -> None:
    """A worker that dies while the engine restarts the container costs no second restart: the take-over verifies."""
    world.begin("F1")
    target, answered = world.web("midcall"), threading.Event()
    world.host.proxy.rules.append(Rule(rf"POST \S*/containers/{target.id}/restart", hold=answered))
    target.break_health()
    until(lambda: target.calls(world.begun), 30, "the engine is asked")
    world.moment(1.0)
    world.installation.kill("worker-heal")
    answered.set()
    judge.judged(world)
    assert len(target.deeds("restart", since=target.broken_at)) == 1


def test_f1_killed_before_the_engine_has_begun(world: World) -> None:
    """A call that the engine has not begun when its worker is given up is not made again: what follows is another attempt, with a budget of its own."""
    world.begin("F1")
    target = world.web("waiting")
    late = Late(rf"POST \S*/containers/{target.id}/restart")
    world.host.proxy.rules.append(late)
    target.break_health()
    until(lambda: target.calls(world.begun), 30, "the engine is asked")
    world.installation.kill("worker-heal")
    try:
        judge.judged(world)
    finally:
        late.forwarded.set()
    assert len(target.calls(world.begun)) == 2


def test_f1_killed_between_an_alert_and_its_record(world: World) -> None:
    """An alert that was received and not recorded is sent again under the same id: the outbox's lease and its row's id."""
    world.begin("F1")
    target, killed = world.web("alerted"), threading.Event()

    def kill_once(_: object) -> None:
        if not killed.is_set():
            killed.set()
            world.installation.kill("worker-other")

    world.sink.on_receipt = kill_once
    target.break_health()
    judge.judged(world)
    first = world.sink.since(world.begun)[0]

    def repeats() -> int:
        return sum(message.id == first.id for message in world.sink.received)

    assert until(lambda: repeats() >= 2, judge.ENDS_WITHIN, "the alert is sent again")


@pytest.mark.timeout(600)
def test_f2_a_heal_that_kills_its_worker(world: World) -> None:
    """What kills whoever takes it up is set aside after three runs, with an alert, and the others are healed meanwhile."""
    world.begin("F2")
    poison = world.web("poison")
    order = world.orders.give("decided", once=False, container=poison.name)
    poison.break_health()
    for number in range(RUNS_OF_POISON):
        until(lambda number=number: len(order.strikes) > number, 100, f"run {number + 1} of the poison")
        world.installation.start("worker-heal")
        other = world.web(f"flows{number}")
        other.break_health()
        until(other.is_cured, 40, f"the queue flows\n{world.log()}")
    told = until(
        lambda: [
            m for m in world.sink.about(poison.name, poison.broken_at) if m.level in ("error", "critical")
        ],
        120,
        f"somebody is told of the poison: {world.stack.found(poison.name)}",
    )
    world.sleep(ONE_MORE_RUN)
    assert len(order.strikes) == RUNS_OF_POISON, order.strikes
    assert world.stack.rows("SELECT id FROM healing_deadletter"), "kept aside"
    print("told:", told[0].title)
    world.orders.withdraw_all()
    judge.judged(world, "I2", "I3", "I5", "I6", "I8")


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "point", [CRASH_POINTS[4], CRASH_POINTS[5]], ids=["before the guard", "between guard and call"]
)
def test_f3_a_worker_stopped_before_the_call(world: World, point: CrashPoint) -> None:
    """A worker stopped for a minute right before the call makes none: the fence, and the lease that it looks at last."""
    target, stopped = _stopped_at(world, point)
    try:
        world.sleep(STOPPED)
    finally:
        os.kill(stopped, signal.SIGCONT)
    world.sleep(3)
    judge.judged(world)
    calls = target.calls(world.begun)
    assert len(calls) == 1, f"one restart is enough, and the one that was late is not made: {calls}"


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("point", "successors"),
    [(CRASH_POINTS[6], CRASH_POINTS[8]), (CRASH_POINTS[4], CRASH_POINTS[6])],
    ids=["with an answer", "with a claim that it has not read"],
)
def test_f3_a_worker_that_wakes_beside_its_successor(
    world: World, point: CrashPoint, successors: CrashPoint
) -> None:
    """Who wakes while another has the same heal in hand writes nothing: only the fence tells the two apart."""
    target, stopped = _stopped_at(world, point)
    try:
        world.orders.at(successors, "wait", seconds=BESIDE).wait(90)
    finally:
        os.kill(stopped, signal.SIGCONT)
    world.sleep(BESIDE)
    judge.judged(world)
    assert len(target.calls(world.begun)) == 1


def _stopped_at(world: World, point: CrashPoint) -> tuple[Target, int]:
    """A container whose heal one of two workers has come to this point with, and that worker's pid: it is stopped there."""
    world.begin("F3")
    world.installation.start("worker-heal-2")
    world.wait_ready()
    target = world.web("stopped")
    order = world.orders.at(point, "stop")
    target.break_health()
    return target, order.wait(40)


def test_f3_how_narrow_the_unguarded_moment_is(world: World) -> None:
    """From the last look at the lease to the engine's receipt of the call: what no guard covers is milliseconds."""
    world.begin("F3")
    targets = [world.web(f"narrow{number}") for number in range(3)]
    for target in targets:
        target.break_health()
    judge.judged(world)
    moments = [
        call.at - _announced(world, target, call.at)
        for target in targets
        for call in target.calls(world.begun)
    ]
    print("unguarded, ms:", sorted(round(moment * 1000, 1) for moment in moments))
    judge.record(world, unguarded_under_half_a_second=max(moments) < 0.5)
    assert max(moments) < 0.5, moments


def _announced(world: World, target: Target, near: float) -> float:
    """When the worker has written that it restarts the container, in seconds since 1970."""
    pattern = rf"^(\d\d:\d\d:\d\d\.\d+) .* action=restart container={re.escape(target.name)} "
    logs = "\n".join(path.read_text() for path in world.installation.home.glob("*.log"))
    found = re.findall(pattern, logs, re.MULTILINE)
    assert found, logs[-3000:]
    day = datetime.fromtimestamp(near, UTC).strftime("%Y-%m-%d")
    return datetime.fromisoformat(f"{day}T{found[-1]}+00:00").timestamp()
