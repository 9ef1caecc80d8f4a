"""Where the demo's services run: on the Docker engine of this machine, or as plain processes."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
from pathlib import Path
from typing import Protocol

from healing.core.errors import PluginError
from healing.core.ports import Engine, EngineConfig
from healing.core.types import HealthCommand
from healing.demo.services import PROBED, Service
from healing.engines.process import ProcessEngine, ProcessSpec

DEADLINE = 20.0


class Place(Protocol):
    """An engine on which the demo may start services. Everything that was started is removed by `clean`."""

    config: EngineConfig
    engine: Engine
    told: str

    def start(self, service: Service) -> str:
        """Start it; return its engine id."""

    def clean(self) -> None:
        """Remove all that was made here; safe to call again."""


class ProcessPlace:
    """Local processes, by the built-in engine."""

    def __init__(self, folder: Path) -> None:
        self.config = EngineConfig(kind="process", address=f"process://{folder / 'engine'}")
        self._engine = ProcessEngine(self.config)
        self.engine: Engine = self._engine
        self.told = "the built-in engine, which runs local processes"
        self._folder = folder
        self._started: list[str] = []

    def start(self, service: Service) -> str:
        own = self._folder / "services" / service.name
        own.mkdir(parents=True)
        port = free_port()
        server = f"{sys.executable} -m http.server {port} --bind 127.0.0.1 --directory {own}"
        probe = {"selfheal.probe.web": f"http://127.0.0.1:{port}/"} if service.name == PROBED else {}
        check = (
            HealthCommand(("sh", "-c", service.healthcheck), 1.0, 5.0, 0.0, 1)
            if service.healthcheck
            else None
        )
        identity = self._engine.create(
            ProcessSpec(
                name=service.name,
                argv=("sh", "-c", service.script),
                env={"DIR": str(own), "SERVER": server},
                labels={**service.labels, **probe},
                healthcheck=check or HealthCommand(),
                stop_timeout=2.0,
            )
        )
        self._started.append(identity)
        self._engine.start(identity, DEADLINE)
        return identity

    def clean(self) -> None:
        for identity in self._started:
            with contextlib.suppress(PluginError):
                self._engine.stop(identity, 0.5)
            with contextlib.suppress(PluginError):
                self._engine.remove(identity)
        self._started.clear()
        self._engine.close()


def free_port() -> int:
    """A TCP port of 127.0.0.1 that is free at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def choose(folder: Path) -> Place:
    """Docker where it answers and can run the services, else local processes."""
    from healing.demo.docker_place import DockerPlace, Unusable

    if os.environ.get("SELFHEAL_DEMO_ENGINE", "") == "process":
        return ProcessPlace(folder)
    try:
        return DockerPlace()
    except Unusable as reason:
        place = ProcessPlace(folder)
        place.told += f" ({reason})"
        return place
