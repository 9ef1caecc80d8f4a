"""Real processes killed at the worst moment; judged by the engine's own events."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.scenarios.labels import quick
from tests.scenarios.stack import MODES, Stack, engine_events, running
from tests.testbed import faults
from tests.testbed.containers import Containers
from tests.testbed.engine import Engine, docker_engine
from tests.testbed.wait import until


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with docker_engine("faults") as private:
        yield private


@pytest.fixture(params=MODES)
def stack(request: pytest.FixtureRequest, engine: Engine) -> Iterator[Stack]:
    """A Selfheal of one test: it is killed."""
    with running(request.param, engine.host) as started:
        yield started


@pytest.fixture
def made(engine: Engine, stack: Stack) -> Iterator[Containers]:
    containers = Containers(engine.host)
    try:
        yield containers
    finally:
        containers.remove_all()


def test_the_death_of_selfheal_in_the_middle_of_a_heal(stack: Stack, made: Containers) -> None:
    """Killed while the engine restarts a container: the next start finishes that heal without a second restart."""
    container, name = (
        made.run_web("victim", labels=quick(stop_timeout=5), check=faults.HEALTH_FILE),
        made.name("victim"),
    )
    slow = made.run("slow", _SLOW, labels=quick(stop_timeout=5), healthcheck=_FILE)
    slow_name = made.name("slow")
    made.wait_health(slow, "healthy")
    stack.wait_known(slow_name)
    stack.wait_known(name)
    made.exec(slow, ["rm", "-f", "/tmp/ok"])
    until(
        lambda: [a["state"] for a in stack.attempts(slow_name)] == ["called"],
        20,
        "the engine is being called",
    )
    stack.kill()
    stack.start()
    until(
        lambda: stack.found(slow_name).get("action_result") == "success",
        90,
        f"healed: {stack.found(slow_name)}",
    )
    assert len(engine_events(made.client, slow, "restart")) == 1
    assert [row["state"] for row in stack.attempts(slow_name)] == ["succeeded"]
    assert engine_events(made.client, container, "restart", "die") == []


_SLOW = ["sh", "-c", "trap '' TERM; touch /tmp/ok; while :; do sleep 0.2; done"]
_FILE = {
    "test": faults.HEALTH_FILE,
    "interval": 500_000_000,
    "timeout": 2_000_000_000,
    "retries": 1,
    "start_period": 0,
}


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


@pytest.mark.parametrize("part", ["worker", "beat", "watch"])
def test_a_part_that_is_killed_is_started_again_and_heals(engine: Engine, part: str) -> None:
    """Workers, beat or the watcher die of SIGKILL: they come back, and what fails meanwhile is found and healed once."""
    made = Containers(engine.host)
    try:
        with running("production", engine.host) as stack:
            container, name = made.run_web("web", labels=quick()), made.name("web")
            stack.wait_known(name)
            killed = _processes(stack, part)
            assert killed
            for pid in killed:
                os.kill(pid, signal.SIGKILL)
            made.exec(container, faults.BREAK_HEALTH)
            until(
                lambda: stack.found(name).get("action_result") == "success",
                60,
                f"healed: {stack.status(name)}",
            )
            until(lambda: len(_processes(stack, part)) == len(killed), 30, "they are back")
            assert len(engine_events(made.client, container, "restart")) == 1
    finally:
        made.remove_all()
