"""The three engines that the contract suite runs over."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.engines.labs import DockerLab, FakeLab, Lab, ProcessLab
from tests.testbed.containers import Containers


@pytest.fixture(params=["docker", "process", "fake"])
def lab(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Lab]:
    """Each engine in turn."""
    kind = str(request.param)
    if kind == "docker":
        containers: Containers = request.getfixturevalue("containers")
        made: Lab = DockerLab(containers)
    else:
        made = ProcessLab(tmp_path) if kind == "process" else FakeLab()
    try:
        yield made
    finally:
        made.close()
