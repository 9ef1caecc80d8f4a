"""Durations as Compose writes them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from healing.core.duration import parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30s", 30),
        ("1m30s", 90),
        ("500ms", 0.5),
        ("1.5h", 5400),
        ("1h2m3.5s", 3723.5),
        ("2d", 172_800),
        ("10us", 1e-5),
        ("100000ns", 1e-4),
        ("0", 0),
        ("0s", 0),
        (" 5s ", 5),
        (".5s", 0.5),
    ],
)
def test_durations_are_read_in_seconds(text: str, seconds: float) -> None:
    """Every unit that Compose knows means what it means there."""
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("30", "has no unit"),
        ("-5s", "is negative"),
        ("5 s", "is not a duration"),
        ("", "is not a duration"),
        ("s", "is not a duration"),
        ("1m30", "is not a duration"),
        (True, "is not a duration"),
        (None, "is not a duration"),
    ],
)
def test_what_is_no_duration_is_refused_with_a_sentence(text: object, words: str) -> None:
    """A wrong duration never becomes a number, and the message shows how to write one."""
    with pytest.raises(ValueError, match=words) as raised:
        parse_duration(text)
    assert "30s" in str(raised.value)


@given(st.integers(0, 10**6), st.integers(0, 59), st.integers(0, 59))
def test_hours_minutes_and_seconds_add_up(hours: int, minutes: int, seconds: int) -> None:
    """A composed duration is the sum of its parts."""
    assert parse_duration(f"{hours}h{minutes}m{seconds}s") == hours * 3600 + minutes * 60 + seconds
