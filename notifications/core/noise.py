"""What a channel is told about healing: everything, or less."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from notifications.core.alert import AlertLevel, Outcome

PATIENCE = timedelta(minutes=5)
"""A heal that is under way for longer is told after all."""
HEALING = frozenset({"container_failed", "crash_loop", "restart_failed"})
"""The alerts whose end is Selfheal's own work."""


class Tell(StrEnum):
    """How much about healing a channel is told."""

    ALL = "all"
    FIRST_HEALS_IN_DIGEST = "first_in_digest"
    GAVE_UP = "gave_up"


@dataclass(frozen=True, slots=True)
class Held:
    """Not told on this channel, or not yet; `for_digest` where it is over and the digest tells it; `waits` where time alone
    (`PATIENCE` after its begin) has it told."""

    reason: str
    for_digest: bool = False
    waits: bool = False


def held_back(
    tell: Tell, alertname: str, level: AlertLevel, outcome: Outcome, age: timedelta, *, firing: bool
) -> Held | None:
    """Whether a channel that is told so much is not told this; `level` is the highest that the alert has had."""
    if tell is Tell.ALL or alertname not in HEALING:
        return None
    if level is AlertLevel.CRITICAL or outcome is Outcome.GAVE_UP:
        return None
    if tell is Tell.GAVE_UP:
        return Held("this channel is told only when healing gave up", for_digest=not firing)
    return _first_heals(level, outcome, age, firing)


def _first_heals(level: AlertLevel, outcome: Outcome, age: timedelta, firing: bool) -> Held | None:
    if level.reaches(AlertLevel.ERROR):
        return None
    if firing:
        if age >= PATIENCE:
            return None
        return Held("healing is under way; told if the first attempt does not help", waits=True)
    if outcome in (Outcome.HEALED_AT_FIRST, Outcome.RECOVERED, Outcome.GONE):
        return Held("healed at the first attempt: told in the digest", for_digest=True)
    return None
