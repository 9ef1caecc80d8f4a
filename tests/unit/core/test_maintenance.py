"""When a maintenance window is open: on the wall clock, also on the days when that is changed."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from healing.core.errors import ConfigError
from healing.core.maintenance import Schedule, next_opening, open_until, parse

BERLIN, NEW_YORK, LORD_HOWE = "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"
TICK = timedelta(seconds=1)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def daily(start: str, end: str, zone: str = "UTC", **more: Any) -> Schedule:
    return window("daily", start, end, zone, **more)


def window(recurrence: str, start: str, end: str, zone: str = "UTC", **more: Any) -> Schedule:
    times = {"start_time": time.fromisoformat(start), "end_time": time.fromisoformat(end)}
    return parse("nightly", recurrence, time_zone=zone, **times, **more)


def once(start: str, end: str) -> Schedule:
    return parse("once", "once", starts_at=utc(start), ends_at=utc(end))


SPANS = {
    "once": (once("2026-03-01T10:00", "2026-03-01T12:00"), "2026-03-01T10:00", "2026-03-01T12:00"),
    "an ordinary day": (daily("22:00", "23:30", BERLIN), "2026-01-15T21:00", "2026-01-15T22:30"),
    "past midnight": (daily("22:00", "04:00", BERLIN), "2026-01-15T21:00", "2026-01-16T03:00"),
    "a whole day": (
        window("weekly", "08:00", "08:00", BERLIN, weekdays="thu"),
        "2026-01-15T07:00",
        "2026-01-16T07:00",
    ),
    "its start is skipped": (daily("02:30", "04:00", BERLIN), "2026-03-29T01:00", "2026-03-29T02:30"),
    "its start and end are skipped": (
        daily("02:15", "02:45", BERLIN),
        "2026-03-29T01:00",
        "2026-03-29T01:45",
    ),
    "it ends where the gap ends": (daily("02:30", "03:00", BERLIN), "2026-03-29T01:00", "2026-03-29T01:30"),
    "its end is skipped": (daily("01:00", "02:30", BERLIN), "2026-03-29T00:00", "2026-03-29T01:30"),
    "the gap lies within": (daily("01:00", "04:00", BERLIN), "2026-03-29T00:00", "2026-03-29T02:00"),
    "its start comes twice": (daily("02:30", "04:00", BERLIN), "2026-10-25T00:30", "2026-10-25T03:00"),
    "its end comes twice": (daily("01:00", "02:30", BERLIN), "2026-10-24T23:00", "2026-10-25T01:30"),
    "both come twice": (daily("02:10", "02:50", BERLIN), "2026-10-25T00:10", "2026-10-25T01:50"),
    "past midnight into the change": (
        daily("23:00", "02:30", BERLIN),
        "2026-10-24T21:00",
        "2026-10-25T01:30",
    ),
    "New York in spring": (daily("02:30", "05:00", NEW_YORK), "2026-03-08T07:00", "2026-03-08T09:30"),
    "New York in autumn": (daily("01:30", "01:45", NEW_YORK), "2026-11-01T05:30", "2026-11-01T06:45"),
    # Half an hour: 02:00 becomes 02:30 on 4 October, and 02:00 becomes 01:30 on 5 April.
    "Lord Howe in spring": (daily("02:10", "03:00", LORD_HOWE), "2026-10-03T15:30", "2026-10-03T16:20"),
    "Lord Howe in autumn": (daily("01:40", "01:50", LORD_HOWE), "2026-04-04T14:40", "2026-04-04T15:20"),
    "midnight is skipped": (
        daily("00:00", "02:00", "America/Sao_Paulo"),
        "2018-11-04T03:00",
        "2018-11-04T05:00",
    ),
}


@pytest.mark.parametrize("name", SPANS)
def test_open_from_its_first_instant_to_its_last(name: str) -> None:
    """Each window opens and ends at the instants that its wall clock means, the change of clocks included."""
    schedule, begin, end = SPANS[name]
    assert next_opening(schedule, utc(begin) - timedelta(minutes=5)) == utc(begin)
    assert open_until(schedule, utc(begin) - TICK) is None
    assert open_until(schedule, utc(begin)) == utc(end)
    assert open_until(schedule, utc(end) - TICK) == utc(end)
    assert open_until(schedule, utc(end)) is None


@pytest.mark.parametrize(
    ("schedule", "now", "expected"),
    [
        (once("2026-03-01T10:00", "2026-03-01T12:00"), "2026-03-01T10:00", None),
        (daily("22:00", "04:00"), "2026-01-15T23:00", "2026-01-16T22:00"),
        (window("weekly", "01:00", "02:00", weekdays="mon,Sat"), "2026-01-15T00:00", "2026-01-17T01:00"),
        (window("weekly", "01:00", "02:00", weekdays="thu"), "2026-01-15T01:00", "2026-01-22T01:00"),
        (window("monthly", "01:00", "02:00", days="-1"), "2028-02-01T00:00", "2028-02-29T01:00"),
        (window("monthly", "01:00", "02:00", days="31"), "2026-01-31T12:00", "2026-03-31T01:00"),
        (window("monthly", "01:00", "02:00", days="15, -2"), "2026-01-15T12:00", "2026-01-30T01:00"),
        (daily("22:00", "23:00", starts_at=utc("2026-06-01T22:30")), "2026-01-01T00:00", "2026-06-01T22:30"),
        (daily("22:00", "23:00", ends_at=utc("2026-01-02T00:00")), "2026-01-01T22:00", None),
    ],
)
def test_the_next_opening(schedule: Schedule, now: str, expected: str | None) -> None:
    """The next time is strictly after now, and within the outer bounds."""
    assert next_opening(schedule, utc(now)) == (utc(expected) if expected else None)


def test_outer_bounds_cut_a_window_short() -> None:
    """A recurring window is not open before its first day begins or after its last ends."""
    bounds = {"starts_at": utc("2026-01-10T22:30"), "ends_at": utc("2026-01-12T22:15")}
    schedule = daily("22:00", "23:00", **bounds)
    assert open_until(schedule, utc("2026-01-10T22:29")) is None
    assert open_until(schedule, utc("2026-01-10T22:30")) == utc("2026-01-10T23:00")
    assert open_until(schedule, utc("2026-01-12T22:00")) == utc("2026-01-12T22:15")
    assert open_until(schedule, utc("2026-01-13T22:30")) is None


TIMES: dict[str, Any] = {"start_time": time(22), "end_time": time(23)}


@pytest.mark.parametrize(
    ("field", "recurrence", "values", "words"),
    [
        ("recurrence", "yearly", {}, "once, daily, weekly, monthly"),
        ("starts_at", "once", {}, "date and a time"),
        ("ends_at", "once", {"starts_at": utc("2026-01-01T00:00")}, "date and a time"),
        (
            "ends_at",
            "once",
            {"starts_at": utc("2026-01-01T00:00"), "ends_at": utc("2026-01-01T00:00")},
            "later time",
        ),
        ("ends_at", "daily", TIMES | {"ends_at": utc("9999-12-31T00:00")}, "to 9000"),
        ("start_time", "daily", {"end_time": time(3)}, "such as 22:00"),
        ("end_time", "daily", {"start_time": time(3)}, "such as 04:30"),
        (
            "start_time",
            "once",
            TIMES | {"starts_at": utc("2026-01-01T00:00"), "ends_at": utc("2026-01-02T00:00")},
            "leave it empty",
        ),
        ("weekdays", "weekly", TIMES, "mon,wed,sun"),
        ("weekdays", "weekly", TIMES | {"weekdays": "mon,someday"}, "'someday' is no weekday"),
        ("weekdays", "daily", TIMES | {"weekdays": "mon"}, "leave it empty"),
        ("days", "monthly", TIMES, "-1 for the last"),
        ("days", "monthly", TIMES | {"days": "0"}, "'0' is no day"),
        ("days", "monthly", TIMES | {"days": "1,-31"}, "'-31' is no day"),
        ("days", "monthly", TIMES | {"days": "1;2"}, "'1;2' is no day"),
        ("time_zone", "daily", TIMES | {"time_zone": "Berlin"}, "Europe/Berlin"),
        ("time_zone", "daily", TIMES | {"time_zone": "Europe"}, "Europe/Berlin"),
        ("time_zone", "daily", TIMES | {"time_zone": "../etc/passwd"}, "Europe/Berlin"),
        ("time_zone", "daily", TIMES | {"time_zone": ""}, "Europe/Berlin"),
    ],
)
def test_what_cannot_be_used_is_refused_at_its_field(
    field: str, recurrence: str, values: dict[str, Any], words: str
) -> None:
    """The sentence names the field and says what to write."""
    with pytest.raises(ConfigError, match=words) as refused:
        parse("nightly", recurrence, **values)
    assert refused.value.field == field


ZONES = st.sampled_from([BERLIN, NEW_YORK, LORD_HOWE, "UTC", "Africa/Cairo", "Asia/Kolkata"])
MINUTES = st.integers(0, 24 * 60 - 1).map(lambda m: time(m // 60, m % 60))


@given(zone=ZONES, start=MINUTES, end=MINUTES, minute=st.integers(0, 2 * 366 * 24 * 60))
def test_open_whenever_the_wall_clock_says_so(zone: str, start: time, end: time, minute: int) -> None:
    """Whatever the zone and the day: while the clock on the wall shows a time of the window, it is open; and it ends."""
    now = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=minute)
    shown = now.astimezone(ZoneInfo(zone)).time()
    within = start <= shown < end if start < end else shown >= start or shown < end
    schedule = parse("any", "daily", time_zone=zone, start_time=start, end_time=end)
    until = open_until(schedule, now)
    if within:
        assert until is not None
    if until is not None:
        assert now < until <= now + timedelta(hours=26)
    opens = next_opening(schedule, now)
    assert opens is not None
    assert now < opens <= now + timedelta(hours=26)
    assert open_until(schedule, opens) is not None
