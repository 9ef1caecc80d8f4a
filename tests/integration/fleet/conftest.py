"""A small simulated fleet, and Selfheal's engine on it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from benchmarks.fleet.container import Container
from benchmarks.fleet.fleet import Fleet
from benchmarks.fleet.settings import FleetSettings, Pace
from benchmarks.fleet.thread import FleetThread, running
from healing.core.ports import EngineConfig
from healing.core.types import Snapshot
from healing.engines.docker import DockerEngine

ONE, TWO = "engine-01", "engine-02"
TIMEOUT = 1.0
STARTS_PER_SECOND = 20.0
PACE = Pace(restart_seconds=0.1, starts_per_second=STARTS_PER_SECOND, exec_seconds=0.01)


@dataclass
class Scene:
    """The fleet, and an engine at each of its two endpoints; `web` is a container of the first."""

    fleet: FleetThread
    one: DockerEngine
    two: DockerEngine
    web: str

    def seen(self) -> Snapshot:
        return self.one.inspect(self.web)

    def inner(self) -> Container:
        return self.fleet.do(lambda fleet: fleet.find(ONE, self.web)[1])


def first_container(fleet: Fleet) -> str:
    return fleet.containers(ONE)[0]["id"]


@pytest.fixture
def scene() -> Iterator[Scene]:
    with tempfile.TemporaryDirectory(prefix="fleet") as folder:
        settings = FleetSettings(Path(folder), 2, 20, {"team": "shop"}, health_interval=0.2, pace=PACE)
        with running(settings) as fleet:
            addresses = fleet.do(lambda fleet: fleet.addresses())
            one, two = (
                DockerEngine(EngineConfig("docker", addresses[name], timeout=TIMEOUT)) for name in (ONE, TWO)
            )
            yield Scene(fleet, one, two, fleet.do(first_container))
            one.close()
            two.close()
