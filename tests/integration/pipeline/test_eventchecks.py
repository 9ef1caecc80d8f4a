"""Checks that events ask for, made in the watcher's own process."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from unittest import mock

import pytest
from django.db import OperationalError

from healing import eventchecks
from healing.eventchecks import EventChecks
from healing.models import Container, Host
from tests.testbed.wait import until

NOW = datetime(2030, 1, 1, tzinfo=UTC)


class Checks:
    """Stands where a check is made: each waits until it is let go."""

    def __init__(self) -> None:
        self.begun: list[int] = []
        self.go = threading.Event()
        self.error: Exception | None = None

    def __call__(
        self, host_id: int, container_ids: list[int], *, by_event: bool, event_at: datetime
    ) -> list[object]:
        self.begun += container_ids
        if self.error is not None:
            raise self.error
        assert self.go.wait(20)
        return []


@pytest.fixture
def checks() -> Iterator[Checks]:
    made = Checks()
    with mock.patch.object(eventchecks.check, "check_some", made):
        yield made
        made.go.set()


@pytest.fixture
def sent() -> Iterator[list[int]]:
    ids: list[int] = []
    with mock.patch.object(eventchecks, "check_now", lambda found, **_: ids.extend(found)):
        yield ids


def container(pk: int, host: int = 1) -> Container:
    return Container(pk=pk, name=f"web-{pk}", host=Host(pk=host, name=f"host-{host}"))


def test_a_host_that_hangs_leaves_room_for_others(checks: Checks, sent: list[int]) -> None:
    """What finds no thread goes through the broker, at once, and other hosts' checks do not wait behind it."""
    pool = EventChecks(threads=3, per_host=2)
    for pk in (1, 2, 3):
        pool.check(container(pk), NOW)
    pool.check(container(4, host=2), NOW)
    pool.check(container(5, host=3), NOW)
    until(lambda: len(checks.begun) == 3, 10, "three checks have begun")
    assert (sorted(checks.begun), sent) == ([1, 2, 4], [3, 5])
    checks.go.set()
    until(lambda: pool._at_work.total() == 0, 10, "the threads are free")
    pool.check(container(6), NOW)
    until(lambda: 6 in checks.begun, 10, "a freed thread is used again")
    pool.stop()


def test_a_check_that_fails_gives_its_thread_back(checks: Checks, sent: list[int]) -> None:
    """A database that is away for a while must not cost the watcher its threads."""
    checks.error = OperationalError("away")
    pool = EventChecks(threads=1, per_host=1)
    for pk in (1, 2):
        pool.check(container(pk), NOW)
        until(lambda: pool._at_work.total() == 0, 10, "the thread is free")
    assert (checks.begun, sent) == ([1, 2], [])
    pool.stop()


def test_after_the_end_hints_go_through_the_broker(checks: Checks, sent: list[int]) -> None:
    """An event that comes while the watcher stops is not lost."""
    pool = EventChecks()
    pool.stop()
    pool.check(container(1), NOW)
    assert (checks.begun, sent) == ([], [1])
