"""What every measurement runs on, and its name in the result."""

from __future__ import annotations

import contextlib
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from unittest import mock

import docker

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
        yield engine, machine(engine.host)


def machine(host: str) -> str:
    """Cores, processor, kernel, engine, Python, date, and how busy the machine was."""
    with contextlib.closing(docker.APIClient(base_url=host, version="auto")) as client:
        engine = client.version()["Version"]
    load = os.getloadavg()[0]
    return (
        f"{len(os.sched_getaffinity(0))} cores ({_processor()}), Linux {platform.release()}, Docker Engine {engine}, "
        f"Python {platform.python_version()}, {datetime.now(UTC):%Y-%m-%d}; load average before the run {load:.1f}"
    )


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
