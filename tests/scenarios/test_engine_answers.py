"""Scenarios 23, 24, 35 and 37: engines that refuse, answer late or have given up, and Selfheal's own container."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from tests.scenarios.labels import quick
from tests.scenarios.stack import MODES, Stack, engine_events, running
from tests.scenarios.test_failures import healed
from tests.testbed import faults
from tests.testbed.containers import Containers
from tests.testbed.engine import Engine
from tests.testbed.paths import new_folder
from tests.testbed.proxy import EngineProxy, Rule, engine_proxy
from tests.testbed.wait import until


@pytest.fixture(scope="module")
def proxy(engine: Engine) -> Iterator[EngineProxy]:
    with engine_proxy(engine.host, new_folder("proxy")) as started:
        yield started


@pytest.fixture(scope="module", params=MODES)
def stack(request: pytest.FixtureRequest, proxy: EngineProxy) -> Iterator[Stack]:
    with running(request.param, proxy.host) as started:
        yield started


@pytest.fixture(autouse=True)
def _honest(proxy: EngineProxy) -> Iterator[None]:
    yield
    proxy.rules.clear()
    proxy.rewrite.clear()


def test_23_a_refused_restart_is_tried_again_after_back_off(
    stack: Stack, made: Containers, proxy: EngineProxy
) -> None:
    """The engine answers 500: a record of its own, an error, and the next attempt heals."""
    container, name = made.run_web("refused", labels=quick(backoff_initial=3)), made.name("refused")
    stack.wait_known(name)
    proxy.rules.append(Rule(rf"POST .*/containers/{container}/restart", status=500, message="driver failed"))
    made.exec(container, faults.BREAK_HEALTH)
    until(lambda: "restart_failed / restart / failed" in stack.records(name), 20, "the refusal is on record")
    assert "driver failed" in stack.failures(name)[-1]["error_message"]
    expected = healed("health_check_failed")
    stack.wait_records(name, [expected[0], "restart_failed / restart / failed", expected[1]])
    stack.wait_alerts(name, ["error", "info"])
    first, second = stack.attempts(name)
    assert (first["state"], second["state"]) == ("failed", "succeeded")
    assert second["backoff"] == 3


def test_24_a_restart_that_answers_too_late_is_verified_and_not_repeated(
    stack: Stack, made: Containers, proxy: EngineProxy
) -> None:
    """No answer in time is an ambiguous success: one restart only, healed."""
    container, name = made.run_web("late", labels=quick(stop_timeout=0)), made.name("late")
    stack.wait_known(name)
    release = threading.Event()
    proxy.rules.append(Rule(rf"POST .*/containers/{container}/restart", times=9, hold=release))
    made.exec(container, faults.BREAK_HEALTH)
    stack.wait_records(name, healed("health_check_failed"), timeout=60)
    release.set()
    stack.wait_alerts(name, ["warning", "info"])
    assert len(proxy.calls(f"POST .*/containers/{container}/restart")) == 1
    assert len(engine_events(made.client, container, "restart")) == 1
    assert stack.attempts(name)[0]["answer"].startswith("no answer in time")


def test_35_a_dead_container_is_told_and_left(stack: Stack, made: Containers, proxy: EngineProxy) -> None:
    """The engine has given it up and would answer 409 to a start: the cause names its error, and there is no loop."""
    container, name = (
        made.run("corpse", faults.exit_on_file(1), labels=quick(max_restarts=2)),
        made.name("corpse"),
    )
    stack.wait_known(name)
    proxy.rewrite |= {
        b'"Status":"exited"': b'"Status":"dead"  ',
        b'"State":"exited"': b'"State":"dead"  ',
        b'"Dead":false': b'"Dead":true ',
    }
    proxy.rules.append(Rule(rf"POST .*/containers/{container}/(start|restart)", times=9, status=409))
    made.exec(container, ["touch", "/tmp/end"])
    stack.wait_records(name, ["container_error / alert / success"])
    stack.wait_alerts(name, ["error"])
    stack.wait_checks(name, 3)
    assert stack.found(name)["cause"] == "dead"
    assert stack.attempts(name) == []
    assert proxy.calls(rf"POST .*/containers/{container}/(start|restart)") == []


def test_37_selfheal_never_restarts_the_container_it_runs_in(engine: Engine, stack: Stack) -> None:
    """A failing container that is Selfheal's own is told about, and not restarted by the process that lives in it."""
    stack.stop()
    made = Containers(engine.host)
    try:
        container, name = made.run_web("selfheal", labels=quick()), made.name("selfheal")
        with running(stack.mode, engine.host, SELFHEAL_CONTAINER_ID=container) as own:
            own.wait_known(name)
            made.exec(container, faults.BREAK_HEALTH)
            until(lambda: own.alerts(name) == ["error"], 30, "a person is told")
            own.wait_checks(name, 2)
            assert "left to a worker elsewhere" in own.found(name)["reason"]
            assert engine_events(made.client, container, "restart", "die") == []
    finally:
        made.remove_all()
