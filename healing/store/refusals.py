"""Writes that the database has refused for want of room, as this process has met them. Kept in memory: where else?

Such a database answers, takes the signs of life that overwrite old room, and lets nothing new be put on record. By such
a sign those are told that do not write themselves.
"""

from __future__ import annotations

import threading
import time
from datetime import datetime, timedelta

from django.db import DataError, IntegrityError, ProgrammingError, connection, transaction

from healing.models import Heartbeat
from healing.store import hosts

LASTS = 5.0
"""Seconds over which they must have come to be told of."""
OVER = 15.0
"""Seconds without one after which there is room again."""
SIGN = "refusal"
_CODES = frozenset({"53100", "58030"})  # disk_full, io_error
_TEXTS = ("No space left on device", "could not extend file", "could not write init file", "disk is full")
_ROWS = 10_000
"""In the smallest memory that a query can have, these go through a file of about 150 KB."""


class Refusals:
    """When the first and the last of them was met, by a steady clock; all threads of a process share one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._first: float | None = None
        self._last = 0.0
        self._error = ""

    def note(self, error: BaseException, at: float | None = None) -> bool:
        """Note an error if it is one; whether it is."""
        if not is_refusal(error):
            return False
        at = time.monotonic() if at is None else at
        with self._lock:
            if self._first is None or at - self._last > OVER:
                self._first = at
            self._last, self._error = at, (str(error).splitlines() or [""])[0]
        return True

    def lasting(self, at: float) -> str:
        """What the database has said last, while it goes on refusing; empty where it does not."""
        with self._lock:
            if self._first is None or at - self._last > OVER or self._last - self._first < LASTS:
                return ""
            return self._error


def is_refusal(error: BaseException) -> bool:
    """Whether the database, or its own start of a connection, had no room."""
    code = getattr(error.__cause__ or error, "pgcode", None)
    return code in _CODES or any(text in str(error) for text in _TEXTS)


def is_of_the_statement(error: BaseException) -> bool:
    """Whether the database has understood and declined: what it was asked, not its state, is at fault."""
    return isinstance(error, (DataError, IntegrityError, ProgrammingError))


def ask_for_room() -> None:
    """Have the database write a little, in a file that it removes at once. Raise as it does. Only PostgreSQL is asked."""
    if connection.vendor != "postgresql":
        return
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL work_mem TO '64kB'")
        cursor.execute("SELECT count(*) FROM generate_series(1, %s)", [_ROWS])


def show(refusal: str, now: datetime) -> None:
    """Leave a sign of what the database says while it refuses; empty where it does not."""
    hosts.beat(SIGN, now, says=refusal)


def said(now: datetime) -> str:
    """What it says while it refuses, as this process has met it or another one has lately shown; empty where it does not."""
    shown = Heartbeat.objects.filter(name=SIGN, at__gt=now - timedelta(seconds=OVER))
    details = shown.values_list("details", flat=True).first() or {}
    return lasting(time.monotonic()) or str(details.get("says", ""))


_of_this_process = Refusals()
note, lasting = _of_this_process.note, _of_this_process.lasting
