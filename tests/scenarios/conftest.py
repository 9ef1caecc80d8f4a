"""One engine and one Selfheal for all scenarios of a file and a mode."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.scenarios.stack import MODES, Stack, running
from tests.testbed.containers import Containers
from tests.testbed.engine import Engine, docker_engine


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    """An engine of this file alone: every Selfheal heals all labelled containers of its engine."""
    with docker_engine("scenes") as private:
        yield private


@pytest.fixture(scope="module", params=MODES)
def stack(request: pytest.FixtureRequest, engine: Engine) -> Iterator[Stack]:
    with running(request.param, engine.host) as started:
        yield started


@pytest.fixture
def made(engine: Engine, stack: Stack) -> Iterator[Containers]:
    """Containers of one scenario on the engine that the stack supervises."""
    containers = Containers(engine.host)
    try:
        yield containers
    finally:
        containers.remove_all()
