"""The database's time, without asking the database each time."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from healing.store import clock

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    clock.forget_reading()
    yield
    clock.forget_reading()


def test_the_clock_is_asked_for_seldom() -> None:
    """A heal reads the time a dozen times, and each question to the database is a wait."""
    clock.db_now()
    with CaptureQueriesContext(connection) as captured:
        times = [clock.db_now() for _ in range(50)]
    # An answer that took too long is not kept; on a busy machine it may be asked for once more.
    assert len(captured) <= 2
    assert times == sorted(times)


def test_it_is_the_databases_time() -> None:
    """What this process counts on from must be what the database said."""
    kept, asked = clock.db_now(), timezone.now()
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT clock_timestamp()")
            asked = cursor.fetchone()[0]
    assert abs(asked - kept) < clock.TOLERANCE + timedelta(seconds=1)


def test_a_database_whose_clock_was_set_is_believed_within_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reading ends with REFRESH, and also where our own steady clock has gone backwards."""
    if connection.vendor != "postgresql":
        return
    steady = clock.steady()
    monkeypatch.setattr(clock, "steady", lambda: steady)
    first = clock.db_now()
    for moved in (clock.REFRESH + 0.1, -1.0):
        monkeypatch.setattr(clock, "steady", lambda moved=moved: steady + moved)
        with CaptureQueriesContext(connection) as captured:
            later = clock.db_now()
        assert len(captured) == 1
        assert abs(later - first) < timedelta(seconds=3), (
            "the database's clock, not ours, says what time it is"
        )
        clock.forget_reading()
        monkeypatch.setattr(clock, "steady", lambda: steady)
        clock.db_now()
