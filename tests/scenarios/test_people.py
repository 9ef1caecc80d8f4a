"""Scenarios 6, 7, 9 to 15, 17 and 32: what people and engines do on purpose is no failure."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.scenarios.labels import quick
from tests.scenarios.stack import Stack, engine_events
from tests.testbed import faults
from tests.testbed.containers import Containers, healthcheck
from tests.testbed.wait import until


def test_06_a_finished_job_is_no_failure(stack: Stack, made: Containers) -> None:
    """Exit 0 under the restart policy "no" is shown as finished."""
    name = made.name("job")
    made.run("job", ["sh", "-c", "sleep 1"], labels=quick())
    stack.wait_known(name, "finished", timeout=20)
    assert stack.nothing_happened(name)


def test_07_the_engine_restarts_a_finished_container_itself(stack: Stack, made: Containers) -> None:
    """Exit 0 under the policy "always", long after its start: the engine goes first and there is nothing to do."""
    container, name = (
        made.run("again", faults.exit_on_file(0), labels=quick(), restart_policy="always"),
        made.name("again"),
    )
    stack.wait_known(name)
    made.exec(container, ["touch", "/tmp/end"])
    until(lambda: made.client.inspect_container(container)["RestartCount"] >= 1, 20, "the engine restarts it")
    stack.wait_known(name, "running")
    assert stack.nothing_happened(name)


def test_09_docker_stop_is_respected_also_after_our_restart(stack: Stack, made: Containers) -> None:
    """What a person has stopped stays stopped, is remembered over our restart, and is supervised once started again."""
    container, name = made.run("stopped", labels=quick()), made.name("stopped")
    stack.wait_known(name)
    made.client.stop(container, timeout=5)
    stack.wait_known(name, "stopped_by_hand")
    assert stack.nothing_happened(name)
    stack.stop()
    stack.start()
    assert stack.nothing_happened(name)
    assert stack.lifecycle(name) == "stopped_by_hand"
    made.client.start(container)
    stack.wait_known(name, "running")


def test_10_docker_kill_is_respected(stack: Stack, made: Containers) -> None:
    """A kill event came first: exit 137 is what a person wanted."""
    container, name = made.run("killed", labels=quick()), made.name("killed")
    stack.wait_known(name)
    made.client.kill(container)
    stack.wait_known(name, "stopped_by_hand")
    assert stack.nothing_happened(name)


def test_10b_a_signal_that_is_no_stop_does_not_excuse_a_death(stack: Stack, made: Containers) -> None:
    """`docker kill -s HUP` is a reload: a container that dies of something else soon after is healed."""
    command = ["sh", "-c", "trap : HUP; until test -e /tmp/end; do sleep 0.1; done; rm /tmp/end; exit 4"]
    container, name = made.run("hup", command, labels=quick()), made.name("hup")
    stack.wait_known(name)
    made.client.kill(container, signal="HUP")
    made.exec(container, ["touch", "/tmp/end"])
    assert until(
        lambda: stack.found(name).get("action_result") == "success", 40, f"healed: {stack.status(name)}"
    )


def test_11_docker_restart_is_no_failure(stack: Stack, made: Containers) -> None:
    """The time between stop and start of a person's restart is no failure."""
    container, name = made.run("restarted", faults.IGNORES_TERM, labels=quick()), made.name("restarted")
    stack.wait_known(name)
    made.client.restart(container, timeout=2)
    stack.wait_known(name, "running")
    assert stack.nothing_happened(name)
    assert len(engine_events(made.client, container, "start")) == 2


def test_12_a_pause_is_no_failure(stack: Stack, made: Containers) -> None:
    """Paused while unhealthy: neither then nor after the unpause is the engine's old verdict believed."""
    check = ["CMD-SHELL", "test -f /tmp/ok"]
    container, name = (
        made.run_web("frozen", labels=quick(), healthcheck=healthcheck(check, interval=3)),
        made.name("frozen"),
    )
    stack.wait_known(name)
    made.client.pause(container)
    stack.wait_known(name, "paused")
    stack.wait_checks(name, 2)
    made.client.unpause(container)
    stack.wait_known(name, "running")
    assert stack.nothing_happened(name)


def test_13_unhealthy_because_a_stop_has_begun(stack: Stack, made: Containers) -> None:
    """A container that turns unhealthy in the middle of `docker stop -t 60` is not restarted."""
    command = [
        "sh",
        "-c",
        "trap 'rm -f /tmp/ok; touch /tmp/told' TERM; touch /tmp/ok; until test -e /tmp/go; do sleep 0.1; done",
    ]
    container, name = (
        made.run("leaving", command, labels=quick(), healthcheck=healthcheck(faults.HEALTH_FILE)),
        made.name("leaving"),
    )
    made.wait_health(container, "healthy")
    stack.wait_known(name)
    stopping = threading.Thread(target=made.client.stop, args=(container,), kwargs={"timeout": 60})
    stopping.start()
    made.wait_health(container, "unhealthy")
    stack.wait_known(name, "stopping")
    assert stack.nothing_happened(name, 3)
    made.exec(container, ["touch", "/tmp/go"])
    stopping.join(20)
    stack.wait_known(name, "stopped_by_hand")
    assert stack.nothing_happened(name)
    assert len(engine_events(made.client, container, "start")) == 1


def test_14_removed_closes_what_was_open(stack: Stack, made: Containers) -> None:
    """An open record of a removed container is closed as failed, outside the success rate; the row stays."""
    container, name = (
        made.run_web("gone", labels=quick() | {"selfheal.config": "read-only"}),
        made.name("gone"),
    )
    stack.wait_known(name)
    made.exec(container, faults.BREAK_HEALTH)
    until(lambda: stack.found(name).get("action") == "alert", 20, "the failure is found")
    made.client.remove_container(container, force=True)
    stack.wait_known(name, "gone")
    found = stack.found(name)
    assert (found["action_result"], found["reason"]) == ("failed", "container removed")
    assert not found["in_success_rate"]
    assert stack.status(name)


def test_15_recreated_under_a_new_id_is_the_same_container(stack: Stack, made: Containers) -> None:
    """The row follows the name through a recreate, with its counters."""
    container, name = made.run_web("same", labels=quick()), made.name("same")
    stack.wait_known(name)
    made.exec(container, faults.BREAK_HEALTH)
    until(lambda: stack.found(name).get("action_result") == "success", 30, "healed once")
    before = stack.status(name)
    records = stack.records(name)
    made.client.remove_container(container, force=True)
    made.run_web("same", labels=quick())
    until(lambda: stack.status(name)["engine_id"] != before["engine_id"], 15, "the row has the new id")
    stack.wait_known(name, "running")
    stack.wait_checks(name, 2)
    after = stack.status(name)
    assert after["pk"] == before["pk"]
    assert after["total_restarts"] == before["total_restarts"] == 1
    assert stack.records(name) == records


def test_17_the_start_period_excuses_failing(stack: Stack, made: Containers) -> None:
    """While the start period runs, a failing HEALTHCHECK is no failure; after it, it is."""
    container, name = (
        made.run(
            "slow",
            labels=quick(start_period=8, max_restarts=1),
            healthcheck=healthcheck(faults.HEALTH_NEVER),
        ),
        made.name("slow"),
    )
    made.wait_health(container, "unhealthy")
    stack.wait_known(name, "starting")
    assert stack.failures(name) == []
    until(lambda: stack.found(name), 20, "found after the start period")
    assert _found_after(stack, name, made, container) >= 8


def _found_after(stack: Stack, name: str, made: Containers, container: str) -> float:
    started = datetime.fromisoformat(made.started_at(container)[:26].rstrip("Z") + "+00:00")
    found = stack.found(name)["detected_at"]
    found = datetime.fromisoformat(found) if isinstance(found, str) else found
    return float((found.replace(tzinfo=found.tzinfo or UTC) - started).total_seconds())


def test_32_paused_by_an_operator_goes_on_by_itself(stack: Stack, made: Containers) -> None:
    """A paused container is not checked; at the end of the pause its failure is found and healed."""
    container, name = made.run_web("resting", labels=quick()), made.name("resting")
    stack.wait_known(name)
    until_at = datetime.now(UTC) + timedelta(seconds=8)
    _set_pause(stack, name, until_at)
    made.exec(container, faults.BREAK_HEALTH)
    made.wait_health(container, "unhealthy")
    until(lambda: datetime.now(UTC) > until_at - timedelta(seconds=1), 10, "the pause is nearly over")
    assert stack.failures(name) == []
    until(lambda: stack.found(name).get("action_result") == "success", 30, "found and healed afterwards")
    assert stack.alerts(name) == ["warning", "info"]


def _set_pause(stack: Stack, name: str, until_at: datetime) -> None:
    value: Any = until_at if stack.mode == "production" else until_at.strftime("%Y-%m-%d %H:%M:%S.%f")
    stack.rows("UPDATE healing_container SET paused_until = ? WHERE name = ?", value, name)
