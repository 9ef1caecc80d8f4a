"""A stream that is silent but dead, while its engine lives: found out by asking the engine what it should have brought."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from healing.core.errors import EngineUnreachable
from healing.core.ports import EngineConfig
from healing.engines import open_engine
from tests.testbed.containers import Containers
from tests.testbed.proxy import Rule, engine_proxy


def test_a_dead_stream_of_a_living_engine_is_found_out(
    docker_host: str, containers: Containers, tmp_path: Path
) -> None:
    """Nothing comes through any more, and the engine remembers a start that it has sent: the watcher reconnects."""
    stuck = threading.Event()
    with engine_proxy(docker_host, tmp_path) as proxy:
        engine = open_engine(EngineConfig("docker", proxy.host))
        # The answer's head comes through at once, what follows it never does.
        proxy.rules.append(Rule(r"GET .*/events", hold=stuck, after=1))
        stream = engine.events(None, 1.0)
        containers.run("unseen")
        with pytest.raises(EngineUnreachable, match="is dead: it did not bring"):
            next(stream)
        engine.close()
        stuck.set()


def test_a_stream_that_works_is_not_called_dead(docker_host: str, containers: Containers) -> None:
    """Silence in which nothing happens is no death: the next event comes through the same stream."""
    engine = open_engine(EngineConfig("docker", docker_host))
    stream = engine.events(None, 0.3)
    timer = threading.Timer(1.5, containers.run, args=("late",))
    timer.start()
    try:
        name = containers.name("late")
        assert next(event.name for event in stream if event.name == name) == name
    finally:
        timer.join()
        engine.close()
