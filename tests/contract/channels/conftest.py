"""What the tests of channels share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.contract.channels.receiver import Receiver, receiving
from tests.contract.channels.sink import Sink, sinking


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    """A webhook receiver that answers 200; proxies of the machine are left out of it."""
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    with receiving() as running:
        yield running


@pytest.fixture
def sink() -> Iterator[Sink]:
    """A server for any request, which answers 200 with an empty object."""
    with sinking() as running:
        yield running
