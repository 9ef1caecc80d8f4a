"""Recognises an alert that comes and goes so often that one message about it says more than one each time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

WINDOW = timedelta(minutes=10)
ENTER = 6
"""So many changes within the window begin it."""
LEAVE = 2
"""So few changes within the window end it."""


@dataclass(frozen=True, slots=True)
class Flap:
    """It flaps: so many changes within the window that ends now."""

    changes: int
    window: timedelta


def flapping(
    changes: Sequence[datetime],
    now: datetime,
    *,
    enter: int = ENTER,
    leave: int = LEAVE,
    window: timedelta = WINDOW,
    was_flapping: bool,
) -> Flap | None:
    """Whether it flaps now, by when it changed between firing and resolved (in any order, older ones too).

    It begins with `enter` changes within `window` and ends when no more than `leave` are left, so that it does not
    flap itself. `leave` must be less than `enter`.
    """
    if leave >= enter:
        raise ValueError(f"leave ({leave}) must be less than enter ({enter})")
    recent = sum(now - window < at <= now for at in changes)
    flaps = recent > leave if was_flapping else recent >= enter
    return Flap(recent, window) if flaps else None
