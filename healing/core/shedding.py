"""Overload is shed by importance, never evenly: when to shed, what, and how much of a limit each priority may use. Pure.

A priority's rank is its place in order: 0 is critical, 1 default, 2 non-critical.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import IntEnum

from healing.core.config import Priority

RANKS: tuple[Priority, ...] = tuple(Priority)
DEFAULT_RANK = RANKS.index(Priority.DEFAULT)

LATE = 1.5
"""Seconds that checks wait for a worker before the least important are shed."""
VERY_LATE = 4.0
"""So late, only the critical ones are left."""
CALM = LATE / 2
PERSISTS = timedelta(seconds=2.9)
"""What is late for a shorter time is a hiccup and no want of capacity."""
CUT_SHORT = timedelta(seconds=15)
"""Sweeps that have no time for everything for so long are overload too; the first of a large host is none."""
STEP = timedelta(seconds=3)
"""Between two steps up, so that the first can show what it does."""
HOLD = timedelta(seconds=30)
"""So long everything has to be on time before a step down."""
LONGEST_HOLD = timedelta(minutes=10)
RECURRENCE = timedelta(minutes=5)
"""Overload that is back so soon after a step down doubles the hold: load that is too much does not swing."""
SHARE = 0.2
"""What this share of all shards has to wait at least is the lateness that counts: one stuck engine is none."""

_SHARES = (1.0, 0.9, 0.75)


class Level(IntEnum):
    """What is shed. Critical is never among it."""

    NONE = 0
    NON_CRITICAL = 1
    DEFAULT = 2


@dataclass(frozen=True, slots=True)
class Pressure:
    """What is remembered between two measurements: the level, since when it is late or calm, and the last steps."""

    level: Level = Level.NONE
    late_since: datetime | None = None
    calm_since: datetime | None = None
    raised_at: datetime | None = None
    lowered_at: datetime | None = None
    hold: timedelta = HOLD


def rank(priority: Priority) -> int:
    """0 for the most important."""
    return RANKS.index(priority)


def is_shed(its_rank: int, level: Level) -> bool:
    """Whether checks of this rank are put off at this level."""
    return its_rank > len(RANKS) - 1 - level


def may_heal(its_rank: int, under_way: int, ceiling: int) -> bool:
    """Whether one more heal of this rank may begin: the last places are kept for the more important."""
    return under_way < max(1, math.floor(ceiling * _SHARES[its_rank]))


def lateness(waits: Sequence[float], total: int) -> float:
    """What SHARE of all `total` shards have to wait at least, in seconds; `waits` are of those that wait."""
    enough = max(1, math.ceil(total * SHARE))
    return max(sorted(waits, reverse=True)[enough - 1], 0.0) if len(waits) >= enough else 0.0


def level(before: Pressure, late_by: float, now: datetime, *, is_cut_short: bool = False) -> Pressure:
    """The pressure after one more measurement: up when lateness persists, down one step after each calm hold.

    `is_cut_short`: SHARE of all sweeps had no time for everything.
    """
    if late_by > LATE or is_cut_short:
        return _late(before, late_by, now)
    if late_by > CALM:
        return replace(before, late_since=None, calm_since=None)
    return _calm(before, now)


def _late(before: Pressure, late_by: float, now: datetime) -> Pressure:
    since = before.late_since or now
    late = replace(before, late_since=since, calm_since=None)
    wanted = Level.DEFAULT if late_by > VERY_LATE else Level.NON_CRITICAL
    stepped = before.raised_at is not None and before.level and now - before.raised_at < STEP
    persists = PERSISTS if late_by > LATE else CUT_SHORT
    if now - since < persists or stepped or wanted <= before.level:
        return late
    recurs = before.lowered_at is not None and now - before.lowered_at < RECURRENCE
    hold = min(before.hold * 2, LONGEST_HOLD) if recurs else before.hold if before.level else HOLD
    return replace(late, level=wanted, raised_at=now, lowered_at=None, hold=hold)


def _calm(before: Pressure, now: datetime) -> Pressure:
    if before.level is Level.NONE:
        return replace(before, late_since=None, calm_since=None)
    since = before.calm_since or now
    if now - since < before.hold:
        return replace(before, late_since=None, calm_since=since)
    return replace(before, level=Level(before.level - 1), late_since=None, calm_since=now, lowered_at=now)
