"""Scenario 29: most of a host unhealthy at once. One page; the breaker's mode decides what is done."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass

import docker.errors
import pytest

from benchmarks.record import Record, recording
from tests.scenarios.labels import quick
from tests.scenarios.stack import ROOT, Stack
from tests.testbed.containers import Containers, healthcheck
from tests.testbed.wait import until

NAMES = ("a", "b", "c", "d", "e")
SICK = NAMES[:3]
# After each start its health is undecided until the test says that it is ready: what fails together stays open together.
WAITING = ["sh", "-c", "trap 'exit 0' TERM; rm -f /tmp/sick_at /tmp/ready; sleep 100000 & wait"]
HEALTH = [
    "CMD-SHELL",
    (
        "until test -e /tmp/ready; do sleep 0.1; done; test ! -e /tmp/sick_at || "
        "test $(date +%s) -lt $(cat /tmp/sick_at) || { echo 'the ledger is locked'; exit 1; }"
    ),
]


@dataclass(frozen=True)
class Five:
    """Five containers by their short names, and what the engine has said of them since they were healthy."""

    made: Containers
    ids: dict[str, str]
    record: Record

    def sicken(self) -> None:
        """Three turn unhealthy within a health check's interval of each other."""
        at = int(time.time()) + 2
        for name in SICK:
            self.made.exec(self.ids[name], ["sh", "-c", f"echo {at} >/tmp/sick_at"])

    def ready(self) -> None:
        """Those that have started may become healthy."""
        for pk in self.ids.values():
            with contextlib.suppress(docker.errors.APIError):
                self.made.exec(pk, ["touch", "/tmp/ready"])

    def restarts(self) -> dict[str, int]:
        """How often the engine says that it has started each anew."""
        started = [seen.container for seen in self.record.events if seen.action == "start"]
        return {name: started.count(pk) for name, pk in self.ids.items()}


@pytest.fixture
def five(stack: Stack, made: Containers) -> Iterator[Five]:
    """Five healthy containers on a host without a grace; the breaker is closed again afterwards."""
    check = healthcheck(HEALTH, timeout=60)
    ids = {name: made.run(name, WAITING, labels=quick(), healthcheck=check) for name in NAMES}
    Five(made, ids, Record(())).ready()
    full = [made.name(name) for name in NAMES]
    until(lambda: all(stack.status(name).get("status") == "healthy" for name in full), 40, "all are healthy")
    stack.rows("UPDATE healing_host SET start_grace = 0, breaker_mode = 'slow_start'")
    stack.forget_alerts()
    with recording(made, list(ids.values())) as record:
        yield Five(made, ids, record)
    stack.rows("UPDATE healing_host SET breaker_since = NULL, breaker_incident_id = NULL")


def host(stack: Stack) -> dict[str, object]:
    return stack.rows("SELECT name, breaker_since FROM healing_host")[0]


def test_29_slow_start_heals_them_with_one_page(stack: Stack, made: Containers, five: Five) -> None:
    """All are recorded and healed with one restart each; people get one critical alert for the host, with a list."""
    five.sicken()
    until(lambda: host(stack)["breaker_since"], 30, "the breaker opens")
    once = {"a": 1, "b": 1, "c": 1, "d": 0, "e": 0}
    until(lambda: five.restarts() == once, 30, "slow start restarts all three")
    five.ready()
    healed = ["success"] * 3
    until(
        lambda: [stack.found(made.name(name)).get("action_result") for name in SICK] == healed, 60, "healed"
    )
    assert five.restarts() == once
    assert stack.host_alerts() == ["critical"]
    (page,) = stack.rows("SELECT title, body FROM notifications_notification WHERE level = 'critical'")
    assert page["title"] == f"3 of 5 containers of host {host(stack)['name']} fail at once"
    assert all(made.name(name) in page["body"] for name in SICK)
    assert "the ledger is locked" in page["body"]
    single = [level for name in SICK for level in stack.alerts(made.name(name))]
    assert not {"error", "critical"}.intersection(single)
    assert single.count("warning") <= 2, "those that were restarted before the third failed"
    found = [stack.found(made.name(name)) for name in SICK]
    parents = sorted(str(row["parent_id"]) for row in found)
    (first,) = [row["id"] for row in found if row["parent_id"] is None]
    assert parents == sorted([str(first), str(first), "None"])


def test_29_hold_touches_nothing_until_a_person_says_so(stack: Stack, made: Containers, five: Five) -> None:
    """From the breaker's opening on no engine call is made; the reason is on record; a person lets it go on."""
    stack.rows("UPDATE healing_host SET breaker_mode = 'hold'")
    five.sicken()
    until(lambda: host(stack)["breaker_since"], 30, "the breaker opens")
    until(lambda: held(stack, made), 20, "a heal is held")
    before = stack.last_check(made.name("d"))
    until(lambda: stack.last_check(made.name("d")) != before, 20, "checks go on")
    waiting = held(stack, made)
    assert waiting
    for name in waiting:
        assert five.restarts()[name] == 0
        # What was decided before the breaker opened is withdrawn by the guard.
        assert [row for row in stack.attempts(made.name(name)) if row["called_at"] is not None] == []
    assert stack.host_alerts() == ["critical"]
    manage(stack, "breaker", "set", str(host(stack)["name"]), "--mode", "slow_start")
    until(lambda: all(five.restarts()[name] for name in waiting), 40, "they are restarted after all")


def held(stack: Stack, made: Containers) -> list[str]:
    reason = f"held: breaker of host {host(stack)['name']}: "
    return [name for name in SICK if str(stack.found(made.name(name)).get("reason")).startswith(reason)]


def manage(stack: Stack, *words: str) -> None:
    """A management command beside the running stack."""
    env = {k: v for k, v in os.environ.items() if not k.startswith(("SELFHEAL_", "DJANGO_", "CELERY_"))}
    env |= {"SELFHEAL_HOME": str(stack.home), "DOCKER_HOST": stack.docker_host, **stack.environ}
    command = [sys.executable, "manage.py", *words]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
