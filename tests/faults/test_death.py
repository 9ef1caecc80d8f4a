"""`manage.py up` itself: killed in the middle of a heal, and its parts killed one after the other."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.scenarios.labels import quick
from tests.scenarios.stack import Stack, engine_events, running
from tests.testbed import faults
from tests.testbed.containers import Containers, healthcheck
from tests.testbed.engine import Engine, docker_engine
from tests.testbed.wait import until

_SLOW = ["sh", "-c", "trap '' TERM; touch /tmp/ok; while :; do sleep 0.2; done"]


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with docker_engine("faults") as private:
        yield private


@contextmanager
def containers(engine: Engine) -> Iterator[Containers]:
    made = Containers(engine.host)
    try:
        yield made
    finally:
        made.remove_all()


@pytest.mark.parametrize("mode", [pytest.param("embedded", marks=pytest.mark.quick_fault), "production"])
def test_the_death_of_selfheal_in_the_middle_of_a_heal(engine: Engine, mode: str) -> None:
    """Killed while the engine restarts a container: the next start finishes that heal without a second restart."""
    with running(mode, engine.host) as stack, containers(engine) as made:
        healthy, name = made.run_web("healthy", labels=quick()), made.name("slow")
        slow = made.run(
            "slow", _SLOW, labels=quick(stop_timeout=5), healthcheck=healthcheck(faults.HEALTH_FILE)
        )
        made.wait_health(slow, "healthy")
        stack.wait_known(name)
        stack.wait_known(made.name("healthy"))
        made.exec(slow, faults.BREAK_HEALTH)
        until(lambda: engine_events(made.client, slow, "kill"), 20, "the engine is at it")
        assert _states(stack, name) == ["called"]
        stack.kill()
        stack.start()
        _wait_healed(stack, name)
        assert len(engine_events(made.client, slow, "restart")) == 1
        assert _states(stack, name) == ["succeeded"]
        assert engine_events(made.client, healthy, "restart", "die") == []


@pytest.mark.quick_fault
def test_parts_that_are_killed_are_started_again_and_heal(engine: Engine) -> None:
    """Workers, beat, the watcher die of SIGKILL: they come back, and what fails meanwhile is found and healed once."""
    with running("production", engine.host) as stack, containers(engine) as made:
        for part in ("worker", "beat", "watch"):
            container, name = made.run_web(part, labels=quick()), made.name(part)
            stack.wait_known(name)
            killed = _processes(stack, part)
            assert killed
            for pid in killed:
                os.kill(pid, signal.SIGKILL)
            made.exec(container, faults.BREAK_HEALTH)
            _wait_healed(stack, name)
            until(lambda: len(_processes(stack, part)) == len(killed), 30, "they are back")  # noqa: B023
            assert len(engine_events(made.client, container, "restart")) == 1


def _states(stack: Stack, name: str) -> list[str]:
    return [row["state"] for row in stack.attempts(name)]


def _wait_healed(stack: Stack, name: str) -> None:
    until(lambda: stack.found(name).get("action_result") == "success", 90, f"healed: {stack.found(name)}")


def _processes(stack: Stack, word: str) -> list[int]:
    """The stack's own child processes whose command line has this word."""
    assert stack.child is not None
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((path / "stat").read_text().rpartition(")")[2].split()[1])
            command = (path / "cmdline").read_bytes().decode().split("\0")
        except (OSError, ValueError):
            continue
        if parent == stack.child.pid and word in command:
            found.append(int(path.name))
    return found
