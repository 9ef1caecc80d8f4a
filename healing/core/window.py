"""Slow start in a storm: how many heals of one host may be under way or not yet verified. Pure.

As TCP has for packets: acting that helps opens the window, acting that does not help closes it to one.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

INITIAL = 8.0
SMALLEST = 1.0
LARGEST = 64.0
QUIET = timedelta(minutes=10)
"""So long without a move restores the initial size."""


@dataclass(frozen=True, slots=True)
class Window:
    """The window of one host, when it moved last, and who is inside.

    `first` counts containers at their first attempt in a row; one at a later attempt waits in the one slot of
    `repeated`, so that a hopeless container starves nobody.
    """

    size: float = INITIAL
    moved_at: datetime | None = None
    first: int = 0
    repeated: int = 0

    def size_at(self, now: datetime) -> float:
        """The size that counts now."""
        quiet = self.moved_at is None or now - self.moved_at >= QUIET
        return INITIAL if quiet else self.size

    def has_room(self, in_row: int, now: datetime) -> bool:
        """Whether a container that has made `in_row` attempts in a row may be acted on."""
        return self.repeated < 1 if in_row else self.first < int(self.size_at(now))


def after_verified(size: float) -> float:
    """One more for each heal that worked."""
    return min(size + 1.0, LARGEST)


def after_failed(size: float) -> float:
    """Half for each that did not."""
    return max(size / 2.0, SMALLEST)
