"""What a script can do to a simulated fleet, seen through Selfheal's engine."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from healing.core.errors import ActionFailed, ActionTimedOut, EngineUnreachable
from healing.core.types import EngineHealth, EngineState
from tests.contract.engines.labs import Listener
from tests.integration.fleet.conftest import ONE, STARTS_PER_SECOND, TIMEOUT, TWO, Scene
from tests.testbed.wait import until


def test_a_fleet_begins_running_and_healthy(scene: Scene) -> None:
    """A sweep of a fresh fleet finds nothing to heal."""
    rows = [*scene.one.list(), *scene.two.list()]
    assert len({row.id for row in rows}) == len({row.name for row in rows}) == 40
    assert {(row.state, row.health) for row in rows} == {(EngineState.RUNNING, EngineHealth.HEALTHY)}
    assert {row.labels["team"] for row in rows} == {"shop"}
    assert scene.one.info().containers == 20


def test_a_container_that_a_restart_cures(scene: Scene) -> None:
    """Unhealthy at once with the log of its failures; restarted, it is healthy after its first check."""
    listener = Listener(scene.one)
    scene.fleet.do(lambda fleet: fleet.unhealthy(ONE, scene.web, "no answer"))
    seen = scene.seen()
    assert seen.health is EngineHealth.UNHEALTHY
    assert [(entry.exit_code, entry.output) for entry in seen.health_log[-3:]] == [(1, "no answer\n")] * 3
    assert scene.one.exec(scene.web, seen.health_command.argv, 5).exit_code == 1
    scene.one.restart(scene.web, 1, 5)
    assert scene.one.exec(scene.web, seen.health_command.argv, 5).exit_code == 0
    listener.wait_for(
        scene.web,
        *("health_status: unhealthy", "kill", "die", "stop", "start", "restart", "health_status: healthy"),
    )


def test_a_container_that_no_restart_cures(scene: Scene) -> None:
    """It is started, and turns unhealthy again after as many failed checks as its HEALTHCHECK wants."""
    scene.fleet.do(lambda fleet: fleet.unhealthy(ONE, scene.web, heals=False))
    listener = Listener(scene.one)
    scene.one.restart(scene.web, 1, 5)
    assert scene.one.exec(scene.web, scene.seen().health_command.argv, 5).exit_code == 1
    listener.wait_for(scene.web, "start", "restart", "health_status: unhealthy")


def test_a_death_and_an_oom(scene: Scene) -> None:
    """Exit code, the kernel's kill and last words are there to be diagnosed."""
    listener = Listener(scene.one)
    scene.fleet.do(lambda fleet: fleet.die(ONE, scene.web, 3, output="fatal: no ledger"))
    seen = scene.seen()
    assert (seen.state, seen.exit_code, seen.oom_killed) == (EngineState.EXITED, 3, False)
    assert scene.one.logs(scene.web, 5) == ["fatal: no ledger"]
    scene.one.start(scene.web, 5)
    scene.fleet.do(lambda fleet: fleet.oom(ONE, scene.web))
    assert (scene.seen().exit_code, scene.seen().oom_killed) == (137, True)
    listener.wait_for(scene.web, "die", "start", "oom", "die")


def test_a_death_that_a_start_does_not_cure(scene: Scene) -> None:
    """A crash loop: it ends again soon after each start."""
    listener = Listener(scene.one)
    scene.fleet.do(lambda fleet: fleet.die(ONE, scene.web, 3, heals=False))
    scene.one.start(scene.web, 5)
    until(lambda: listener.of(scene.web).count("die") == 2, 15, "died again")
    report = scene.fleet.do(lambda fleet: fleet.heal_report())
    assert (report["faults"], report["started"], report["works_again"]) == (1, 1, 0)


def test_an_endpoint_that_hangs(scene: Scene) -> None:
    """It accepts and never answers; the other one does; afterwards it does and tells what came meanwhile."""
    scene.one.list()
    listener = Listener(scene.one, idle_timeout=30)
    scene.fleet.do(lambda fleet: fleet.hang(ONE))
    with pytest.raises(EngineUnreachable):
        scene.one.list()
    with pytest.raises(ActionTimedOut):
        scene.one.restart(scene.web, 1, TIMEOUT)
    assert len(scene.two.list()) == 20
    scene.fleet.do(lambda fleet: fleet.die(ONE, scene.web))
    assert listener.of(scene.web) == []
    scene.fleet.do(lambda fleet: fleet.resume(ONE))
    listener.wait_for(scene.web, "die", "start", "restart")
    assert len(scene.one.list()) == 20
    assert scene.fleet.do(lambda fleet: fleet.requests(ONE))["statuses"]["0"] == 2


def test_failures_and_slow_answers_by_pattern(scene: Scene) -> None:
    """The next n requests that match fail, or are late; others are not touched."""
    scene.fleet.do(lambda fleet: fleet.fail(ONE, "^POST .*/restart$", 2, message="no space left on device"))
    for _ in range(2):
        with pytest.raises(ActionFailed, match="no space left"):
            scene.one.restart(scene.web, 1, 5)
    scene.one.restart(scene.web, 1, 5)
    scene.fleet.do(lambda fleet: fleet.delay(ONE, "/containers/json", 0.3, times=1))
    begun = time.monotonic()
    scene.one.list()
    assert time.monotonic() - begun >= 0.3
    scene.fleet.do(lambda fleet: fleet.delay(ONE, "/containers/json", 60))
    with pytest.raises(EngineUnreachable):
        scene.one.list()
    scene.fleet.do(lambda fleet: fleet.clear_rules(ONE))
    scene.one.list()


def test_streams_that_break_and_an_engine_that_goes_and_comes(scene: Scene) -> None:
    """The watcher's two accidents: a broken stream beside a living API, and nothing at all."""
    listener = Listener(scene.one)
    scene.fleet.do(lambda fleet: fleet.break_streams(ONE))
    assert listener.ended(5)
    assert isinstance(listener.error, EngineUnreachable)
    scene.one.list()
    scene.fleet.wait(lambda fleet: fleet.take_down(ONE))
    with pytest.raises(EngineUnreachable, match="there is no socket"):
        scene.one.list()
    scene.fleet.do(lambda fleet: fleet.die(ONE, scene.web))
    scene.fleet.wait(lambda fleet: fleet.bring_up(ONE))
    assert scene.seen().state is EngineState.EXITED


def test_restarts_are_no_faster_than_the_engine(scene: Scene) -> None:
    """Many restarts at once end one after the other, at the engine's starts per second."""
    ids = [row.id for row in scene.one.list()][:6]
    begun = time.monotonic()
    with ThreadPoolExecutor(len(ids)) as pool:
        list(pool.map(lambda container: scene.one.restart(container, 1, 20), ids))
    assert time.monotonic() - begun >= (len(ids) - 1) / STARTS_PER_SECOND


def test_random_faults_are_judged(scene: Scene) -> None:
    """Every fault is written down with its time, and with the time of the engine's start."""
    scene.fleet.do(lambda fleet: fleet.start_random_faults(30, kinds=["die"], seed=7))
    until(lambda: scene.fleet.do(lambda fleet: fleet.heal_report())["faults"] >= 3, 10, "three faults")
    scene.fleet.do(lambda fleet: fleet.stop_random_faults())
    engines = {ONE: scene.one, TWO: scene.two}
    for fault in scene.fleet.do(lambda fleet: fleet.heals.rows()):
        engines[fault["engine"]].start(fault["container"], 5)
    report = scene.fleet.do(lambda fleet: fleet.heal_report())
    assert report["started"] == report["faults"]
    assert report["waiting"] == 0
    assert 0 < report["fault_to_start"]["p50"] <= report["fault_to_start"]["max"] < 60
    until(
        lambda: scene.fleet.do(lambda fleet: fleet.heal_report())["works_again"] == report["faults"],
        10,
        "healthy",
    )
