"""Scenarios 21, 22 and 36: engines that go away, and containers that stopped while nobody looked."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.scenarios.labels import quick
from tests.scenarios.stack import MODES, Stack, engine_events, running
from tests.testbed import faults
from tests.testbed.containers import Containers
from tests.testbed.engine import Engine, docker_engine
from tests.testbed.wait import until


@pytest.fixture
def engine() -> Iterator[Engine]:
    """An engine of one test: it is stopped, killed and started again."""
    with docker_engine("away") as private:
        yield private


@pytest.fixture(params=MODES)
def stack(request: pytest.FixtureRequest, engine: Engine) -> Iterator[Stack]:
    with running(request.param, engine.host) as started:
        yield started


def _host_state(stack: Stack) -> str:
    return str(stack.rows("SELECT state FROM healing_host")[0]["state"])


def test_21_an_engine_that_does_not_answer_is_no_failure(
    stack: Stack, made: Containers, engine: Engine
) -> None:
    """One error for the host, none for its containers, which are unknown; resolved when it answers; nothing is healed."""
    container, name = made.run_web("web", labels=quick()), made.name("web")
    stack.wait_known(name)
    engine.pause()
    until(lambda: _host_state(stack) == "down", 60, "the host is down")
    until(lambda: stack.status(name)["status"] == "unknown", 20, "its container is unknown")
    # Told in a transaction of its own, after the one that says so of the container.
    until(lambda: stack.host_alerts() == ["error"], 20, "one error for the host")
    engine.resume()
    until(lambda: _host_state(stack) == "up", 60, "the host is up")
    until(lambda: stack.status(name)["status"] == "healthy", 30, "its container is healthy")
    until(lambda: stack.host_alerts() == ["error", "info"], 20, "and its end")
    assert (stack.failures(name), stack.attempts(name), stack.alerts(name)) == ([], [], [])
    assert engine_events(made.client, container, "die", "restart") == []


def test_22_what_an_engine_stopped_with_itself_is_healed_after_its_grace(
    stack: Stack, made: Containers, engine: Engine
) -> None:
    """SIGTERM to the engine stops all containers as `docker stop` does: what ran is healed after the start grace,
    what the engine starts again itself leaves no record, and what a person had stopped before stays stopped."""
    plain, kept, stopped = made.name("plain"), made.name("kept"), made.name("stopped")
    made.run("plain", labels=quick())
    made.run("kept", labels=quick(), restart_policy="always")
    by_hand = made.run("stopped", labels=quick())
    for name in (plain, kept, stopped):
        stack.wait_known(name)
    stack.rows("UPDATE healing_host SET start_grace = 8")
    made.client.stop(by_hand, timeout=1)
    stack.wait_known(stopped, "stopped_by_hand")
    stack.wait_checks(stopped, 2)
    engine.stop()
    until(lambda: _host_state(stack) == "down", 30, "the host is down")
    engine.start()
    until(lambda: _host_state(stack) == "up", 60, "the host is up")
    until(lambda: stack.found(plain).get("action_result") == "success", 60, f"healed: {stack.status(plain)}")
    assert stack.found(plain)["cause"] == "stopped with its engine"
    stack.wait_known(kept, "running")
    assert stack.failures(kept) == []
    assert stack.lifecycle(stopped) == "stopped_by_hand"
    assert stack.failures(stopped) == []
    assert stack.host_alerts() == ["error", "info"]


def test_36_found_stopped_after_selfheal_was_away(stack: Stack, made: Containers) -> None:
    """The engine no longer has the events: judged by exit code; what looks like a person's stop is left, with one warning."""
    crashed, by_hand = made.name("crashed"), made.name("byhand")
    first = made.run("crashed", faults.exit_on_file(3), labels=quick())
    second = made.run("byhand", labels=quick())
    busy = made.run("busy")
    stack.wait_known(crashed)
    stack.wait_known(by_hand)
    stack.stop()
    made.exec(first, ["touch", "/tmp/end"])
    made.client.stop(second, timeout=5)
    made.wait_status(first, "exited")
    _push_out_events(made, busy)
    stack.start()
    until(lambda: stack.attempts(crashed), 30, f"the crashed one is healed: {stack.status(crashed)}")
    stack.wait_known(by_hand, "stopped_by_hand")
    until(lambda: stack.alerts(by_hand) == ["warning"], 20, "one warning")
    stack.wait_checks(by_hand, 2)
    assert stack.failures(by_hand) == []
    assert stack.alerts(by_hand) == ["warning"]


def _push_out_events(made: Containers, busy: str) -> None:
    """The engine keeps its last 256 events; each exec makes three."""
    for _ in range(95):
        made.exec(busy, ["true"])


def test_36b_with_the_events_still_there_nothing_is_guessed(stack: Stack, made: Containers) -> None:
    """Selfheal was away for a moment: the engine's events tell a person's stop, and nobody is warned."""
    by_hand, killed = made.name("byhand"), made.name("killed")
    first, second = made.run("byhand", labels=quick()), made.run("killed", labels=quick())
    stack.wait_known(by_hand)
    stack.wait_known(killed)
    stack.stop()
    made.client.stop(first, timeout=5)
    made.kill_from_outside(second)
    made.wait_status(second, "exited")
    stack.start()
    stack.wait_known(by_hand, "stopped_by_hand")
    until(lambda: stack.found(killed).get("action_result") == "success", 40, "the killed one is healed")
    assert stack.failures(by_hand) == []
    assert stack.alerts(by_hand) == []
