"""The grid of times on which hosts are swept."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from healing.core.cadence import LONGEST, next_slot, with_sweep

MOMENTS = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))
INTERVALS = st.floats(1.0, 86_400.0)
KEYS = st.integers(1, 10**7)


@given(MOMENTS, INTERVALS, KEYS)
def test_the_next_slot_is_within_one_interval(now: datetime, interval: float, key: int) -> None:
    """No sweep is later than its interval, and none comes at once again."""
    wait = (next_slot(now, interval, key) - now).total_seconds()
    assert 0 < wait <= interval * 1.000001 + 0.000002


@given(MOMENTS, st.sampled_from([1.0, 2.5, 10.0, 60.0]), KEYS, st.floats(0, 0.9))
def test_a_late_sweep_does_not_move_the_grid(now: datetime, interval: float, key: int, late: float) -> None:
    """Lateness must not add up."""
    slot = next_slot(now, interval, key)
    after = next_slot(slot + timedelta(seconds=late * interval), interval, key)
    assert abs((after - slot).total_seconds() - interval) < 0.001


def test_hosts_are_spread_over_the_interval() -> None:
    """Twenty hosts must not all be swept in the same second."""
    now = datetime(2030, 1, 1, tzinfo=UTC)
    waits = sorted((next_slot(now, 10.0, key) - now).total_seconds() for key in range(1, 21))
    assert max(b - a for a, b in pairwise(waits)) < 1.0


@given(MOMENTS, st.floats(10.0, 3600.0), KEYS)
def test_a_look_of_its_own_meets_a_sweep(at: datetime, interval: float, key: int) -> None:
    """One failing container must not have its whole host swept once more."""
    moved = with_sweep(at, interval, key)
    assert abs((moved - at).total_seconds()) <= LONGEST / 2 + 0.001
    assert abs((next_slot(moved - timedelta(seconds=1), LONGEST, key) - moved).total_seconds()) < 0.001


def test_what_is_looked_at_more_often_keeps_its_time() -> None:
    """An interval of a second is not rounded to ten."""
    at = datetime(2030, 1, 1, 0, 0, 1, tzinfo=UTC)
    assert with_sweep(at, 1.0, 7) == at
