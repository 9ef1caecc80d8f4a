"""Who is on duty: handover on the wall clock, also where the clock is changed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from notifications.core.duty import on_duty
from notifications.core.errors import ConfigError

BERLIN = "Europe/Berlin"
START = datetime(2026, 3, 2, 9, tzinfo=ZoneInfo(BERLIN))
"""A Monday in winter, at nine."""


def berlin(month: int, day: int, hour: int, minute: int = 0, fold: int = 0) -> datetime:
    return datetime(2026, month, day, hour, minute, tzinfo=ZoneInfo(BERLIN), fold=fold)


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        (berlin(3, 2, 9), 0),
        (berlin(3, 9, 8, 59), 0),
        (berlin(3, 9, 9), 1),
        (berlin(3, 16, 9), 2),
        (berlin(3, 23, 8, 59), 2),
        (berlin(3, 23, 9), 0),
        (berlin(3, 30, 8, 59), 0),  # the clock was put forward the day before
        (berlin(3, 30, 9), 1),
        (berlin(10, 26, 8, 59), 0),  # the clock was put back the day before
        (berlin(10, 26, 9), 1),
        (berlin(3, 2, 8, 59), 2),
        (berlin(2, 23, 8, 59), 1),
    ],
)
def test_weekly_rotation_of_three(now: datetime, expected: int) -> None:
    """Protects people from being called out of their week."""
    assert on_duty(START, 7, BERLIN, 3, now) == expected
    assert on_duty(START.astimezone(UTC), 7, BERLIN, 3, now.astimezone(UTC)) == expected


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        (berlin(10, 25, 2, 29), 0),
        (berlin(10, 25, 2, 30), 1),
        (berlin(10, 25, 2, 15, fold=1), 1),
        (berlin(10, 25, 2, 45, fold=1), 1),
        (berlin(10, 26, 2, 30), 0),
    ],
)
def test_handover_in_the_hour_that_comes_twice(now: datetime, expected: int) -> None:
    """Protects from duty that goes back to who has just gone to bed."""
    assert on_duty(berlin(10, 24, 2, 30), 1, BERLIN, 2, now.astimezone(UTC)) == expected


@pytest.mark.parametrize(
    ("now", "expected"), [(berlin(3, 29, 1, 59), 0), (berlin(3, 29, 3, 29), 0), (berlin(3, 29, 3, 30), 1)]
)
def test_handover_in_the_hour_that_is_left_out(now: datetime, expected: int) -> None:
    """Protects from a handover that never comes."""
    assert on_duty(berlin(3, 28, 2, 30), 1, BERLIN, 2, now.astimezone(UTC)) == expected


def test_time_zone_decides_the_handover() -> None:
    """Protects teams far from the server."""
    start = datetime(2026, 1, 1, 1, tzinfo=UTC)
    assert on_duty(start, 1, "Asia/Shanghai", 5, start + timedelta(hours=24)) == 1
    assert on_duty(start, 1, "Asia/Shanghai", 5, start + timedelta(hours=23, minutes=59)) == 0


@pytest.mark.parametrize(
    ("start", "days", "zone", "count", "field"),
    [
        (START, 7, "Mars/Olympus", 3, "rotation_timezone"),
        (START, 7, "", 3, "rotation_timezone"),
        (START, 0, BERLIN, 3, "rotation_days"),
        (START, 367, BERLIN, 3, "rotation_days"),
        (START, 7, BERLIN, 0, "members"),
        (datetime(2026, 3, 2, 9), 7, BERLIN, 3, "rotation_start"),
    ],
)
def test_unusable_values(start: datetime, days: int, zone: str, count: int, field: str) -> None:
    """Protects from a rotation in which nobody is on duty: the error names the field."""
    with pytest.raises(ConfigError) as caught:
        on_duty(start, days, zone, count, START)
    assert caught.value.field == field


@settings(deadline=None)
@given(
    st.datetimes(datetime(2026, 1, 1), datetime(2027, 12, 31), timezones=st.just(UTC)),
    st.integers(1, 14),
    st.integers(1, 5),
    st.sampled_from([BERLIN, "America/New_York", "Asia/Shanghai", "Australia/Lord_Howe", "UTC"]),
    st.integers(0, 60 * 24 * 400),
)
def test_one_after_the_other(start: datetime, days: int, count: int, zone: str, minutes: int) -> None:
    """Protects the order: within a day there is at most one handover, to the next, and a turn lasts its days."""
    now = start + timedelta(minutes=minutes)
    before = on_duty(start, days, zone, count, now)
    after = on_duty(start, days, zone, count, now + timedelta(hours=22))
    assert after in (before, (before + 1) % count)
    assert on_duty(start, days, zone, count, now + timedelta(days=days, hours=2)) in (
        (before + 1) % count,
        (before + 2) % count,
    )
    assert on_duty(start, days, zone, count, start) == 0
