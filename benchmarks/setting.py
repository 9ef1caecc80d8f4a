"""What every measurement runs on, and its name in the result."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from unittest import mock

import docker

from benchmarks.machine import machine
from tests.testbed.engine import Engine, docker_engine
from tests.testbed.services import postgres_server
from tests.testbed.shared import POSTGRES


@contextmanager
def setting() -> Iterator[tuple[Engine, str]]:
    """A private engine and a PostgreSQL that really writes: the engine, and the machine in one sentence."""
    # The tests' PostgreSQL does not wait for the disk, which would flatter the production mode.
    with (
        postgres_server(durable=True) as postgres,
        mock.patch.dict(os.environ, {POSTGRES: postgres.url}),
        docker_engine("bench") as engine,
    ):
        yield engine, machine_of(engine.host)


def machine_of(host: str) -> str:
    """The machine, the engine, and how busy the machine was."""
    with contextlib.closing(docker.APIClient(base_url=host, version="auto")) as client:
        engine = client.version()["Version"]
    load = os.getloadavg()[0]
    return f"{machine(f'Docker Engine {engine}')}; load average before the run {load:.1f}"
