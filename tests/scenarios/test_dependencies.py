"""Scenarios 27 and 28: what is needed is healed first, and whose network has been replaced is made anew."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.scenarios.labels import quick
from tests.scenarios.stack import Stack, engine_events
from tests.scenarios.test_failures import healed
from tests.testbed.containers import Containers, healthcheck
from tests.testbed.wait import until

# Takes two seconds to come up, and then says so to others.
DATABASE = [
    "sh",
    "-c",
    "trap 'rm -f /shared/up; exit 0' TERM; rm -f /tmp/ok; sleep 2; touch /tmp/ok /shared/up; sleep 100000 & wait",
]
HAS_DATABASE = ["CMD-SHELL", "test -f /shared/up || { echo no database; exit 1; }"]
HAS_NETWORK = ["CMD-SHELL", "grep -q eth0 /proc/net/dev || { echo no network; exit 1; }"]


def of_compose(service: str, **labels: str) -> dict[str, str]:
    """As Compose labels the containers of one project."""
    names = {"project": "shop", "service": service, **labels}
    return quick() | {f"com.docker.compose.{name}": text for name, text in names.items()}


def test_27_dependants_wait_for_their_dependency(stack: Stack, made: Containers, tmp_path: Path) -> None:
    """The database is restarted; who needs it waits, belongs to its failure, and comes back without a restart."""
    shared: dict[str, Any] = {"binds": [f"{tmp_path}:/shared"], "network_mode": "none"}
    check = healthcheck(["CMD", "test", "-f", "/tmp/ok"], start_period=10)
    database = made.run("db", DATABASE, labels=of_compose("db"), healthcheck=check, **shared)
    made.wait_health(database, "healthy")
    labels = of_compose("app", depends_on="db:service_healthy:false")
    app = made.run("app", labels=labels, healthcheck=healthcheck(HAS_DATABASE), **shared)
    made.wait_health(app, "healthy")
    for name in ("db", "app"):
        stack.wait_known(made.name(name))
    made.exec(database, ["rm", "/tmp/ok"])
    waits = f"held: waits for {made.name('db')}"
    until(lambda: stack.found(made.name("app")).get("reason") == waits, 30, "the application waits")
    held = stack.found(made.name("app"))
    assert (held["action"], held["action_result"]) == ("none", "pending")
    assert held["parent_id"] == stack.found(made.name("db"))["id"]
    stack.wait_records(made.name("db"), healed("health_check_failed"))
    stack.wait_records(made.name("app"), ["health_check_failed / none / success"])
    stack.wait_alerts(made.name("db"), ["warning", "info"])
    assert stack.alerts(made.name("app")) == []
    assert engine_events(made.client, app, "restart", "die") == []
    assert len(engine_events(made.client, database, "restart")) == 1


def test_28_a_container_whose_network_was_replaced_is_recreated(stack: Stack, made: Containers) -> None:
    """Its network parent has another id by now: it is made anew against that, where a restart would fail."""
    parent = made.run_web("vpn", labels=quick())
    app = made.run(
        "client",
        labels=quick(),
        healthcheck=healthcheck(HAS_NETWORK, retries=12),  # six seconds, so that the new one is there first
        network_mode=f"container:{parent}",
    )
    made.wait_health(app, "healthy")
    for name in ("vpn", "client"):
        stack.wait_known(made.name(name))
    made.client.remove_container(parent, force=True)
    replaced = made.run_web("vpn", labels=quick())
    expected = ["container_error / recreate / success", "auto_restart / recreate / success"]
    stack.wait_records(made.name("client"), expected, timeout=40)
    stack.wait_alerts(made.name("client"), ["warning", "info"])
    assert stack.found(made.name("client"))["cause"] == "network parent replaced"
    anew = made.client.inspect_container(made.name("client"))
    assert anew["Id"] != app
    assert anew["HostConfig"]["NetworkMode"] == f"container:{replaced}"
    assert stack.status(made.name("client"))["engine_id"] == anew["Id"]
    assert [kind for kind, _ in engine_events(made.client, anew["Id"], "start")] == ["start"]
    assert stack.records(made.name("vpn")) == []
