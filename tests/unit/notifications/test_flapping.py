"""Flapping: when it begins, and when it ends."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from notifications.core.flapping import Flap, flapping

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
WINDOW = timedelta(minutes=10)


def changes(count: int, old: int = 0) -> list[datetime]:
    """So many changes within the window, and before it."""
    recent = [NOW - timedelta(seconds=number) for number in range(count)]
    return recent + [NOW - WINDOW - timedelta(seconds=number) for number in range(old)]


@pytest.mark.parametrize(
    ("count", "was_flapping", "expected"),
    [
        (0, False, False),
        (5, False, False),
        (6, False, True),
        (12, False, True),
        (6, True, True),
        (5, True, True),
        (3, True, True),
        (2, True, False),
        (0, True, False),
    ],
)
def test_flapping(count: int, was_flapping: bool, expected: bool) -> None:
    """Protects people from 24 messages, and from messages that flap between flapping and not."""
    found = flapping(changes(count, old=20), NOW, was_flapping=was_flapping)
    assert found == (Flap(count, WINDOW) if expected else None)


def test_window_and_limits_are_arguments() -> None:
    """Protects settings of one's own."""
    window = timedelta(hours=1)
    found = flapping(changes(2, old=2), NOW, enter=4, leave=1, window=window, was_flapping=False)
    assert found == Flap(4, window)
    assert flapping(changes(3), NOW, enter=4, leave=1, window=window, was_flapping=False) is None


def test_changes_to_come_do_not_count() -> None:
    """Protects from clocks that go apart."""
    later = [NOW + timedelta(seconds=number) for number in range(1, 20)]
    assert flapping(later, NOW, was_flapping=True) is None


def test_limits_must_differ() -> None:
    """Protects from limits that would make flapping flap itself."""
    with pytest.raises(ValueError, match="less than"):
        flapping([], NOW, enter=2, leave=2, was_flapping=False)


@settings(deadline=None)
@given(st.lists(st.integers(0, 3_600), max_size=40), st.booleans())
def test_it_ends(seconds: list[int], was_flapping: bool) -> None:
    """Protects alerts from being held for ever: a window without a change ends it, and more changes never do."""
    times = [NOW - timedelta(seconds=each) for each in seconds]
    assert flapping(times, NOW + WINDOW, was_flapping=was_flapping) is None
    if flapping(times, NOW, was_flapping=False):
        assert flapping(times, NOW, was_flapping=True)
        assert flapping([*times, NOW], NOW, was_flapping=was_flapping)
