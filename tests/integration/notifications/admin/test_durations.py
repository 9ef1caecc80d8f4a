"""Durations as people write them."""

from __future__ import annotations

from datetime import timedelta

import pytest

from notifications.admin.fields import read_duration
from notifications.admin.html import span

WRITTEN = [
    ("30s", timedelta(seconds=30)),
    ("5m", timedelta(minutes=5)),
    ("4h", timedelta(hours=4)),
    ("1h30m", timedelta(minutes=90)),
    ("2d", timedelta(days=2)),
    ("1w", timedelta(weeks=1)),
    ("0s", timedelta(0)),
]


@pytest.mark.parametrize(("text", "value"), WRITTEN)
def test_a_duration_is_shown_as_it_was_written(text: str, value: timedelta) -> None:
    """Opening a form and saving it changes nothing."""
    assert (read_duration(text), span(value)) == (value, text)


@pytest.mark.parametrize(("text", "seconds"), [(" 1 H 30 m ", 5400), ("0", 0), ("90m", 5400)])
def test_spaces_and_capitals_do_not_matter(text: str, seconds: int) -> None:
    """What is meant is clear."""
    assert read_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "5", "m", "5x", "-5m", "30m1h", "9999w", "9" * 400 + "s", "1.5h"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    """A number alone does not say of what, and nothing overflows."""
    with pytest.raises(ValueError, match="duration"):
        read_duration(text)
