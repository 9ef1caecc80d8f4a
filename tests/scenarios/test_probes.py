"""Scenarios 18 to 20, 23, 24 and 35: our own probes, and engines that answer badly."""

from __future__ import annotations

from tests.scenarios.labels import quick
from tests.scenarios.stack import Stack, engine_events
from tests.testbed import faults
from tests.testbed.containers import Containers
from tests.testbed.wait import until

PROBE = {"selfheal.probe.web": "http://:8080/"}


def test_18_an_open_port_that_does_not_answer_is_hung(stack: Stack, made: Containers) -> None:
    """The port accepts and says nothing: found after failure_threshold of our own probes, healed, cause "hung"."""
    container, name = (
        made.run("hung", faults.WEB, labels=quick(failure_threshold=2, check_timeout=3) | PROBE),
        made.name("hung"),
    )
    stack.wait_known(name)
    until(lambda: stack.status(name)["status"] == "healthy", 15, "its probe passes")
    made.exec(container, faults.BREAK_ANSWERS)
    stack.wait_records(
        name, ["health_check_failed / restart / success", "auto_restart / restart / success"], timeout=60
    )
    stack.wait_alerts(name, ["warning", "info"])
    assert stack.found(name)["cause"] == "hung"
    assert len(engine_events(made.client, container, "restart")) == 1


def test_19_failures_below_the_threshold_are_forgotten(stack: Stack, made: Containers) -> None:
    """Two bad answers and then a good one: the counter is back at 0 and nothing was done."""
    status = "$(cat /tmp/status 2>/dev/null || echo 200)"
    answer = f'printf "HTTP/1.0 {status} S\\r\\nContent-Length: 0\\r\\n\\r\\n"; echo x >> /tmp/asked'
    container, name = (
        made.run(
            "flaky",
            ["nc", "-ll", "-p", "8080", "-e", "sh", "-c", answer],
            labels=quick(failure_threshold=5) | PROBE,
        ),
        made.name("flaky"),
    )
    until(lambda: stack.status(name).get("status") == "healthy", 20, "its probe passes")
    made.exec(container, ["sh", "-c", "echo 500 > /tmp/status"])
    until(lambda: int(stack.status(name)["consecutive_failures"]) >= 2, 20, "two bad answers are counted")
    made.exec(container, ["sh", "-c", "rm /tmp/status"])
    until(lambda: int(stack.status(name)["consecutive_failures"]) == 0, 20, "forgotten after a good one")
    assert stack.nothing_happened(name)


def test_20_what_cannot_be_looked_at_is_unknown(stack: Stack, made: Containers) -> None:
    """A name that does not resolve is our own trouble: unknown, never unhealthy; told once, and nothing is touched."""
    labels = quick() | {"selfheal.probe.web": "http://no-such-name.invalid:8080/"}
    container, name = made.run("unseen", labels=labels), made.name("unseen")
    until(lambda: stack.status(name).get("message", "").startswith("could not look"), 20, "it could not look")
    stack.wait_checks(name, 3)
    assert stack.status(name)["status"] == "unknown"
    assert stack.alerts(name) == ["error"]
    assert (stack.failures(name), stack.attempts(name)) == ([], [])
    assert engine_events(made.client, container, "restart", "die") == []
