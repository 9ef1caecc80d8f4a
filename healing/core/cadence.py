"""When the next sweep of a host is due. Pure."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

_GOLDEN = 0.618033988749895
SLACK = timedelta(seconds=0.5)
"""A look that is due so soon after a sweep is taken along by it."""


def next_slot(now: datetime, interval: float, key: int) -> datetime:
    """The first time after `now` on the grid of `interval` seconds that belongs to `key`.

    A grid does not drift, however late a sweep comes; different keys are spread evenly over the interval.
    """
    phase = (key * _GOLDEN) % 1.0
    slots = math.floor(now.timestamp() / interval - phase) + 1
    at = datetime.fromtimestamp((slots + phase) * interval, UTC)
    return at if at > now else at + timedelta(seconds=interval)
