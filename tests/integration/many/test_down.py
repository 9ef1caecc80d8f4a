"""Engines that are down: asked less and less often, and by few at a time."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest

from healing.core.errors import EngineUnreachable
from healing.models import CheckShard, Host, HostState
from healing.pipeline import engines
from healing.store import hosts
from healing.store.clock import db_now

pytestmark = pytest.mark.django_db


def _down(since: datetime) -> Host:
    return Host.objects.create(
        name="h", address="unix:///nowhere.sock", state=HostState.DOWN, state_since=since, error="gone"
    )


@pytest.mark.parametrize(("seconds", "pause"), [(0, 5), (10, 5), (100, 25), (3600, 60)])
def test_the_pause_grows(seconds: float, pause: float) -> None:
    """An engine that hangs for days costs a worker's thread 5 s a minute; one that is back at once is seen at once."""
    now = db_now()
    host = _down(now - timedelta(seconds=seconds))
    hosts.finish_shard(host.pk, 0, now, now, None)
    due_at = CheckShard.objects.get(host=host).next_due_at
    assert due_at is not None
    assert (due_at - now).total_seconds() == pytest.approx(pause)


@pytest.fixture
def all_asking() -> Iterator[None]:
    for _ in range(engines.ASKED_AT_ONCE):
        assert engines._asking.acquire(blocking=False)
    yield
    for _ in range(engines.ASKED_AT_ONCE):
        engines._asking.release()


def test_few_threads_wait_for_engines_that_are_down(all_asking: None) -> None:
    """Where these few wait already, another host keeps its error and is not asked: the other threads stay free."""
    with pytest.raises(EngineUnreachable) as caught:
        engines.confirm_back(_down(db_now()))
    assert str(caught.value) == "gone"


def test_places_are_given_back() -> None:
    """A host that cannot be opened costs nobody's place."""
    host = _down(db_now())
    for _ in range(3 * engines.ASKED_AT_ONCE):
        with pytest.raises(EngineUnreachable) as caught:
            engines.confirm_back(host)
        assert "nowhere.sock" in str(caught.value)
