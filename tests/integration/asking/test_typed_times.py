"""Durations and times as people type them."""

from __future__ import annotations

from argparse import ArgumentTypeError
from datetime import UTC, datetime, timedelta, timezone

import pytest
from django.utils import timezone as django_timezone

from healing.management.times import parse_duration, parse_since, parse_time


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("90s", 90), ("15m", 900), ("1h30m", 5400), ("1.5h", 5400), ("2d", 172_800), (" 1H ", 3600)],
)
def test_durations(text: str, seconds: float) -> None:
    """The usual ways of writing a duration are understood."""
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "soon", "-1h", "1x", "h", "0", "0s", "99999d", "1h 30", "1e9", "30 m"])
def test_durations_that_are_none(text: str) -> None:
    """Nothing is guessed: what is no duration, or not more than nothing, is refused."""
    with pytest.raises(ArgumentTypeError, match="duration"):
        parse_duration(text)


def test_times_are_utc_unless_they_say_otherwise() -> None:
    """A time without an offset is UTC; one with an offset is taken at its word."""
    assert parse_time("2026-01-31T18:00") == datetime(2026, 1, 31, 18, tzinfo=UTC)
    assert parse_time("2026-01-31T18:00+08:00") == datetime(
        2026, 1, 31, 18, tzinfo=timezone(timedelta(hours=8))
    )


@pytest.mark.parametrize("text", ["", "tomorrow", "2026-13-01T00:00", "18:00"])
def test_times_that_are_none(text: str) -> None:
    """A time that does not exist is refused with an example of one that does."""
    with pytest.raises(ArgumentTypeError, match="2026-01-31T18:00"):
        parse_time(text)


def test_since_takes_a_time_a_date_or_a_period() -> None:
    """`--since 7d` is seven days ago."""
    before = django_timezone.now()
    assert before <= parse_since("7d") + timedelta(days=7) <= django_timezone.now()
    assert parse_since("2026-01-31T00:00") == parse_since("2026-01-31") == datetime(2026, 1, 31, tzinfo=UTC)
