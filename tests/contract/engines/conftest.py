"""The engines that the contract suite runs over: three kinds, and the fleet simulator's imitation of Docker."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.contract.engines.labs import DockerLab, FakeLab, Lab, ProcessLab
from tests.contract.engines.simulated import SimulatedLab
from tests.testbed.containers import Containers


@pytest.fixture(params=["docker", "simulated", "process", "fake"])
def lab(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Lab]:
    """Each engine in turn."""
    with closing(_made(request, tmp_path)) as made:
        yield made


@pytest.fixture(params=["docker", "simulated", "fake"])
def container_lab(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Lab]:
    """Each engine that has containers and not processes."""
    with closing(_made(request, tmp_path)) as made:
        yield made


def _made(request: pytest.FixtureRequest, tmp_path: Path) -> Lab:
    kind = str(request.param)
    if kind == "docker":
        containers: Containers = request.getfixturevalue("containers")
        return DockerLab(containers)
    if kind == "simulated":
        return SimulatedLab()
    return ProcessLab(tmp_path) if kind == "process" else FakeLab()
