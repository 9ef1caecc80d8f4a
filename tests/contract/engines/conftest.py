"""The engines that the contract suite runs over: three kinds, and the fleet simulator's imitation of Docker."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.engines.labs import DockerLab, FakeLab, Lab, ProcessLab
from tests.contract.engines.simulated import SimulatedLab
from tests.testbed.containers import Containers


@pytest.fixture(params=["docker", "simulated", "process", "fake"])
def lab(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Lab]:
    """Each engine in turn."""
    kind = str(request.param)
    if kind == "docker":
        containers: Containers = request.getfixturevalue("containers")
        made: Lab = DockerLab(containers)
    elif kind == "simulated":
        made = SimulatedLab()
    else:
        made = ProcessLab(tmp_path) if kind == "process" else FakeLab()
    try:
        yield made
    finally:
        made.close()
