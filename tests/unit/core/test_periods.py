"""Which day or week a digest tells of."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from healing.core.periods import latest

BERLIN = ZoneInfo("Europe/Berlin")


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("now", "start", "end"),
    [
        ("2030-01-09 08:00:00", "2030-01-08 08:00", "2030-01-09 08:00"),
        ("2030-01-09 07:59:59", "2030-01-07 08:00", "2030-01-08 08:00"),
        ("2030-01-09 23:00:00", "2030-01-08 08:00", "2030-01-09 08:00"),
        ("2030-01-10 00:00:00", "2030-01-08 08:00", "2030-01-09 08:00"),
    ],
)
def test_a_day_ends_at_eight(now: str, start: str, end: str) -> None:
    """From eight o'clock on it is the day that has just ended, and until the next eight o'clock it stays that."""
    assert latest(utc(now), UTC, weekly=False) == (utc(start), utc(end))


@pytest.mark.parametrize(
    ("now", "start", "end"),
    [
        ("2030-01-07 08:00:00", "2029-12-31 08:00", "2030-01-07 08:00"),
        ("2030-01-07 07:59:59", "2029-12-24 08:00", "2029-12-31 08:00"),
        ("2030-01-13 23:59:59", "2029-12-31 08:00", "2030-01-07 08:00"),
    ],
)
def test_a_week_ends_on_monday(now: str, start: str, end: str) -> None:
    """The same for weeks, over the turn of a year."""
    assert latest(utc(now), UTC, weekly=True) == (utc(start), utc(end))


def test_it_is_eight_where_people_are() -> None:
    """Also where the clocks are set forward: that day has 23 hours, and nothing is told twice or not at all."""
    start, end = latest(utc("2030-03-31 06:00"), BERLIN, weekly=False)
    assert (start, end) == (utc("2030-03-30 07:00"), utc("2030-03-31 06:00"))
    assert latest(utc("2030-03-31 05:59"), BERLIN, weekly=False)[1] == start


@pytest.mark.parametrize("weekly", [False, True])
def test_periods_follow_each_other_without_a_gap(weekly: bool) -> None:
    """Whenever somebody looks, it is one of a row of periods that touch, and one that has ended."""
    now, ends = utc("2030-03-01 00:00"), []
    while now < utc("2030-05-01 00:00"):
        start, end = latest(now, BERLIN, weekly=weekly)
        assert end <= now < end + timedelta(days=8 if weekly else 2)
        if not ends or ends[-1] != end:
            assert not ends or ends[-1] == start
            ends.append(end)
        now += timedelta(hours=1)
    assert len(ends) > 7
