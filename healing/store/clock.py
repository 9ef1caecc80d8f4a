"""The time that orders things: the database's."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection
from django.utils import timezone

REFRESH = 5.0
"""Seconds after which the database is asked again; in between this process adds what its own steady clock counts."""
GOOD = 0.02
"""An answer that took longer, in seconds, says too little about the moment that it means, and is not kept."""
TOLERANCE = timedelta(seconds=0.05)
"""By how much two processes may differ about the time: more than GOOD, and nothing that a heal would notice."""


@dataclass(frozen=True, slots=True)
class _Reading:
    at: datetime
    measured: float


_reading: _Reading | None = None
_behind = timedelta()


def db_now() -> datetime:
    """PostgreSQL's clock, asked for every REFRESH seconds; with SQLite the database is on this machine and so is its clock.

    Processes agree to within TOLERANCE. A database that cannot be asked raises as every query does.
    """
    if connection.vendor != "postgresql":
        return timezone.now()
    reading = _reading
    elapsed = steady() - reading.measured if reading is not None else REFRESH
    if reading is None or not 0 <= elapsed < REFRESH:
        return _ask()
    return reading.at + timedelta(seconds=elapsed)


def behind() -> timedelta:
    """By how much this process's clock is behind the database's (ahead: negative), when that was asked last."""
    return _behind


def forget_reading() -> None:
    """Ask at the next call."""
    global _reading
    _reading = None


def _ask() -> datetime:
    global _reading, _behind
    before = steady()
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        at: datetime = cursor.fetchone()[0]
    after = steady()
    _behind = at - timezone.now() + timedelta(seconds=(after - before) / 2)
    if after - before <= GOOD:
        _reading = _Reading(at, (before + after) / 2)
    return at


def steady() -> float:
    """Seconds that nobody can set, and that go on while the machine sleeps, where it can tell them."""
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return time.clock_gettime(clock) if clock is not None else time.monotonic()
