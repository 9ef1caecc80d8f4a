"""Budget and back-off, counted from our own attempts and never from the engine's counter. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from healing.core.config import Config

LASTING_RECOVERY = timedelta(minutes=10)
"""A recovery that held for so long ends a row of attempts and resets the back-off."""


@dataclass(frozen=True, slots=True)
class PastAttempt:
    """One attempt that has spent budget. `verified_at` is None where it did not lead to a verified recovery."""

    intent_at: datetime
    failure_detected_at: datetime
    ended_at: datetime | None = None
    verified_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Budget:
    """How much is spent. `not_before` is when back-off allows the next attempt; `frees_at` when the window does.

    `is_released`: a person has released the container since, and without the attempts of before there is room.
    """

    in_window: int
    in_row: int
    limit: int
    backoff: float
    not_before: datetime | None
    frees_at: datetime | None
    is_released: bool = False

    @property
    def window_is_spent(self) -> bool:
        return self.in_window >= self.limit

    @property
    def row_is_spent(self) -> bool:
        return self.in_row >= self.limit


def attempts_in_row(
    attempts: Sequence[PastAttempt], detected_at: datetime, released_at: datetime | None = None
) -> int:
    """How many attempts, newest first, were made since the last recovery that held, or since a person's release.

    `detected_at` is that of the failure at hand.
    """
    next_failure = detected_at
    for count, attempt in enumerate(attempts):
        if released_at is not None and attempt.intent_at <= released_at:
            return count
        if attempt.verified_at is not None and next_failure - attempt.verified_at >= LASTING_RECOVERY:
            return count
        next_failure = attempt.failure_detected_at
    return len(attempts)


def is_first(row_number: int, withdrawn: int) -> bool:
    """Whether a heal worked at the first attempt, where `withdrawn` of its failure's attempts never reached the engine.

    `row_number` is that of the attempt that worked, attempts for failures just before included: a container that keeps
    failing soon after each heal is not healed at first, however well each first attempt works.
    """
    return row_number - withdrawn <= 1


def backoff_before(in_row: int, config: Config) -> float:
    """Seconds of pause before the next attempt when `in_row` were made: none before the first, then doubling."""
    if in_row <= 0:
        return 0.0
    doublings = min(in_row - 1, 30)
    return float(min(config.backoff_initial * 2**doublings, max(config.backoff_max, config.backoff_initial)))


def budget(
    attempts: Sequence[PastAttempt],
    detected_at: datetime,
    config: Config,
    now: datetime,
    released_at: datetime | None = None,
) -> Budget:
    """Judge `attempts` (all of one container, newest first, at least the newest max_restarts of them)."""
    window = timedelta(seconds=config.restart_window)
    recent = [a.intent_at for a in attempts if now - a.intent_at < window]
    since_release = [intent for intent in recent if released_at is None or intent > released_at]
    in_row = attempts_in_row(attempts, detected_at, released_at)
    pause = backoff_before(in_row, config)
    last = (attempts[0].ended_at or attempts[0].intent_at) if attempts else None
    frees_at = recent[config.max_restarts - 1] + window if len(recent) >= config.max_restarts else None
    return Budget(
        in_window=len(recent),
        in_row=in_row,
        limit=config.max_restarts,
        backoff=pause,
        not_before=last + timedelta(seconds=pause) if last is not None and pause else None,
        frees_at=frees_at,
        is_released=len(since_release) < min(len(recent), config.max_restarts),
    )
