"""When the next sweep of a host is due. Pure."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

_GOLDEN = 0.618033988749895
SLACK = timedelta(seconds=0.5)
"""A look that is due so soon after a sweep is taken along by it."""
LONGEST = 10.0
"""Seconds between two sweeps of a host at the most, whatever the intervals of its containers are."""


def with_sweep(at: datetime, interval: float, key: int) -> datetime:
    """A look that is due at `at`, one of every `interval` seconds, moved to the sweep that is nearest to it.

    So that one container with a time of its own does not have its whole host swept once more.
    """
    return next_slot(at - timedelta(seconds=LONGEST / 2), LONGEST, key) if interval >= LONGEST else at


def next_slot(now: datetime, interval: float, key: int) -> datetime:
    """The first time after `now` on the grid of `interval` seconds that belongs to `key`.

    A grid does not drift, however late a sweep comes; different keys are spread evenly over the interval.
    """
    phase = (key * _GOLDEN) % 1.0
    slots = math.floor(now.timestamp() / interval - phase) + 1
    at = datetime.fromtimestamp((slots + phase) * interval, UTC)
    return at if at > now else at + timedelta(seconds=interval)
