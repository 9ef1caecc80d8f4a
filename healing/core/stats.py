"""The arithmetic of reliability: MTBF, MTTR, success rates, percentiles. All durations are seconds."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Latency:
    """How long something took: how many were measured, and the 50th and 90th percentile (None without any)."""

    count: int
    p50: float | None
    p90: float | None


def mtbf(oldest: datetime | None, newest: datetime | None, count: int) -> float | None:
    """Mean time between failures: newest minus oldest detection over count − 1; None under two failures."""
    if count < 2 or oldest is None or newest is None:
        return None
    return (newest - oldest).total_seconds() / (count - 1)


def mean(values: Sequence[float]) -> float | None:
    """The arithmetic mean, None of nothing."""
    return math.fsum(values) / len(values) if values else None


def seconds_between(pairs: Iterable[tuple[datetime, datetime]]) -> list[float]:
    """The length of each (from, to) pair; a clock that ran backwards counts as no time at all."""
    return [max(0.0, (end - start).total_seconds()) for start, end in pairs]


def mttr(healed: Iterable[tuple[datetime, datetime]]) -> float | None:
    """Mean time to recovery over (detected, resolved) pairs of healed failures; None without any."""
    return mean(seconds_between(healed))


def success_rate(succeeded: int, failed: int) -> float | None:
    """Share from 0 to 1 of what ended well; None where nothing has ended."""
    ended = succeeded + failed
    return succeeded / ended if ended else None


def percentile(values: Sequence[float], share: float) -> float | None:
    """The smallest value that at least `share` (0 to 1) of all values do not exceed (nearest rank); None of nothing."""
    if not 0 <= share <= 1:
        raise ValueError(f"share is {share}; it must be from 0 to 1")
    if not values:
        return None
    rank = max(1, math.ceil(share * len(values)))
    return sorted(values)[rank - 1]


def latency(pairs: Iterable[tuple[datetime, datetime]]) -> Latency:
    """Count, median and 90th percentile of the lengths of (from, to) pairs."""
    values = seconds_between(pairs)
    return Latency(len(values), percentile(values, 0.5), percentile(values, 0.9))
