"""A pipeline whose time is passed in, for all tests of it; some fill it with containers of their own first."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integration.loop.timeline import Timeline


@pytest.fixture
def timeline(db: None) -> Iterator[Timeline]:
    with Timeline() as made:
        yield made
