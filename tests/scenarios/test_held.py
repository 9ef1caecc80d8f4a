"""Scenarios 30 and 31: maintenance windows and dry runs, told to a running Selfheal by its commands."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

from tests.scenarios.labels import quick
from tests.scenarios.stack import ROOT, Stack, engine_events
from tests.testbed import faults
from tests.testbed.containers import Containers, healthcheck
from tests.testbed.wait import until

PATIENT = healthcheck(faults.HEALTH_FILE, timeout=20)
"""A machine that is busy must not make a container fail before the test does."""
HEALED = ["health_check_failed / restart / success", "auto_restart / restart / success"]
TOUCHED = ("restart", "start", "stop", "kill", "die")


def manage(stack: Stack, *arguments: str) -> None:
    """Run a management command as a person does, beside the running stack."""
    env = {k: v for k, v in os.environ.items() if not k.startswith(("SELFHEAL_", "DJANGO_", "CELERY_"))}
    env |= {"SELFHEAL_HOME": str(stack.home), "DOCKER_HOST": stack.docker_host, **stack.environ}
    command = [sys.executable, "manage.py", *arguments]
    done = subprocess.run(
        command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr


def wait_reason(stack: Stack, name: str, begin: str) -> dict[str, Any]:
    """Until the failure of a container is found and says why nothing is done."""
    until(
        lambda: stack.found(name).get("reason", "").startswith(begin),
        60,
        f"{name} waits because of {begin!r}: {stack.found(name)}",
    )
    return stack.found(name)


def test_30_in_a_maintenance_window(stack: Stack, made: Containers) -> None:
    """Found and recorded, neither healed nor told; when the window ends, both, because it still fails."""
    container, name = made.run_web("serviced", labels=quick(), healthcheck=PATIENT), made.name("serviced")
    stack.wait_known(name, timeout=30)
    window = f"{name} is being repaired"
    manage(stack, "maintenance", "start", "--container", name, "--for", "10m", "--name", window)
    made.exec(container, faults.BREAK_HEALTH)
    found = wait_reason(stack, name, f"held: maintenance {window} until ")
    assert (found["action"], found["action_result"]) == ("none", "pending")
    stack.wait_checks(name, 1)
    assert (stack.attempts(name), stack.alerts(name)) == ([], [])
    assert [kind for kind, _ in engine_events(made.client, container, *TOUCHED)] == ["start"]

    manage(stack, "maintenance", "end", window)
    stack.wait_records(name, HEALED, timeout=60)
    stack.wait_alerts(name, ["warning", "info"], timeout=30)
    assert len(engine_events(made.client, container, "start")) == 2


def test_31_in_a_dry_run(stack: Stack, made: Containers) -> None:
    """What would be done is recorded and told once; the engine is not touched before the dry run is over."""
    container, name = made.run_web("dry", labels=quick(), healthcheck=PATIENT), made.name("dry")
    stack.wait_known(name, timeout=30)
    manage(stack, "dry_run", "on", "--container", name)
    made.exec(container, faults.BREAK_HEALTH)
    found = wait_reason(stack, name, f"dry run of container {name}: would restart: ")
    assert found["action"] == "none"
    stack.wait_alerts(name, ["info"], timeout=30)
    stack.wait_checks(name, 1)
    assert stack.attempts(name) == []
    assert [kind for kind, _ in engine_events(made.client, container, *TOUCHED)] == ["start"]

    manage(stack, "dry_run", "off", "--container", name)
    stack.wait_records(name, HEALED, timeout=60)
    stack.wait_alerts(name, ["info", "warning", "info"], timeout=30)
    assert len(engine_events(made.client, container, "start")) == 2
