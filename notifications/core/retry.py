"""When a delivery that failed is tried again, and when it is given up."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

FIRST_PAUSE = timedelta(seconds=10)
LONGEST_PAUSE = timedelta(hours=1)
GIVE_UP_AFTER = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class RetryAt:
    """Try again at `at`."""

    at: datetime


@dataclass(frozen=True, slots=True)
class GiveUp:
    """No further try; `reason` says why."""

    reason: str


def next_try(
    tries: int, created_at: datetime, now: datetime, retry_after: float | None = None
) -> RetryAt | GiveUp:
    """What follows try number `tries` (from 1) of something written at `created_at`.

    The pause doubles from 10 s to an hour and is never shorter than what the receiver asked for in `retry_after`
    seconds. A day after `created_at` the telling has lost its worth.
    """
    pause = min(FIRST_PAUSE * 2 ** min(max(tries, 1) - 1, 20), LONGEST_PAUSE)
    if retry_after is not None and retry_after > 0:
        pause = max(pause, timedelta(seconds=min(retry_after, GIVE_UP_AFTER.total_seconds())))
    deadline = created_at + GIVE_UP_AFTER
    if now + pause > deadline:
        return GiveUp(f"given up after {tries} tries in {_hours(now - created_at)}")
    return RetryAt(now + pause)


def parse_retry_after(text: str | None, now: datetime) -> float | None:
    """Seconds from an HTTP Retry-After header (a number, or a date); None where it says nothing usable."""
    if not text:
        return None
    if text.strip().isdecimal() and text.strip().isascii():
        return float(min(int(text.strip()[:12]), 86_400))
    try:
        at = parsedate_to_datetime(text)
    except (ValueError, IndexError, TypeError):
        return None
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return max(0.0, (at - now).total_seconds())


def _hours(age: timedelta) -> str:
    return f"{age.total_seconds() / 3600:.1f} h"
