"""The arithmetic of reliability."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from healing.core import stats

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("oldest", "newest", "count", "expected"),
    [
        (None, None, 0, None),
        (at(0), at(0), 1, None),
        (at(0), at(600), 2, 600.0),
        (at(0), at(600), 3, 300.0),
        (at(0), at(0), 3, 0.0),
    ],
)
def test_mtbf_is_newest_minus_oldest_over_one_less(
    oldest: datetime | None, newest: datetime | None, count: int, expected: float | None
) -> None:
    """MTBF is as the document has it, and says nothing under two failures."""
    assert stats.mtbf(oldest, newest, count) == expected


@pytest.mark.parametrize(
    ("healed", "expected"),
    [
        ([], None),
        ([(at(0), at(10))], 10.0),
        ([(at(0), at(10)), (at(100), at(130))], 20.0),
        ([(at(10), at(0)), (at(0), at(4))], 2.0),
    ],
)
def test_mttr_is_the_mean_time_to_resolution(
    healed: list[tuple[datetime, datetime]], expected: float | None
) -> None:
    """MTTR averages detection to resolution; a clock that ran backwards does not make it negative."""
    assert stats.mttr(healed) == expected


@pytest.mark.parametrize(
    ("succeeded", "failed", "expected"),
    [(0, 0, None), (3, 1, 0.75), (0, 2, 0.0), (5, 0, 1.0)],
)
def test_success_rate(succeeded: int, failed: int, expected: float | None) -> None:
    """A rate without anything that ended is not 0 but unknown."""
    assert stats.success_rate(succeeded, failed) == expected


@pytest.mark.parametrize(
    ("values", "share", "expected"),
    [
        ([], 0.5, None),
        ([7.0], 0.5, 7.0),
        ([7.0], 0.0, 7.0),
        ([4.0, 1.0, 3.0, 2.0], 0.5, 2.0),
        ([float(n) for n in range(1, 11)], 0.9, 9.0),
        ([float(n) for n in range(1, 11)], 1.0, 10.0),
    ],
)
def test_percentile_is_the_nearest_rank(values: list[float], share: float, expected: float | None) -> None:
    """A percentile is one of the measured values, whatever their order."""
    assert stats.percentile(values, share) == expected


def test_percentile_refuses_a_share_that_is_none() -> None:
    """Asking for percentile 90 instead of 0.9 is an error and not the maximum."""
    with pytest.raises(ValueError, match="from 0 to 1"):
        stats.percentile([1.0], 90)


@given(st.lists(st.floats(min_value=0, max_value=1e9), min_size=1), st.floats(min_value=0.01, max_value=1))
def test_percentile_covers_its_share(values: list[float], share: float) -> None:
    """At least the asked share of the values do not exceed the percentile."""
    result = stats.percentile(values, share)
    assert result in values
    assert sum(value <= result for value in values) >= share * len(values)


def test_latency_counts_and_ranks() -> None:
    """Latency tells how many were measured beside p50 and p90."""
    pairs = [(at(0), at(seconds)) for seconds in range(1, 11)]
    assert stats.latency(pairs) == stats.Latency(count=10, p50=5.0, p90=9.0)
    assert stats.latency([]) == stats.Latency(count=0, p50=None, p90=None)
