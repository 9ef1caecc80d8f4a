"""Heals that are not Selfheal's business, or not now: somebody has taken out or paused the container, or works on it."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

from django.db import transaction

from healing.core.decide import HELD
from healing.core.types import ActionResult
from healing.effective import ConfigBook
from healing.models import FailureRecord, Stage
from healing.pipeline import alerts
from healing.store import attempts, heals
from healing.store.clock import db_now

logger = logging.getLogger(__name__)

LOOK_AGAIN = timedelta(seconds=10)
"""A pause and a maintenance window are looked at again so soon, because a person may end them early."""


def taken_out(failure: FailureRecord, *, forced: bool = False) -> str:
    """Why this heal is to end, or empty. What a person asked for (`forced`) is done to an unmonitored container too."""
    container = failure.container
    if not container.host.enabled:
        return f"host {container.host.name} was disabled"
    return "" if container.monitored or forced else "no longer monitored"


def leave(failure: FailureRecord, reason: str) -> None:
    """End a claimed heal of what was taken out; an attempt that is open ends with it."""
    now = db_now()
    with transaction.atomic():
        attempts.end_open(failure, reason, now)
        heals.close(failure, ActionResult.FAILED, reason, now, in_success_rate=False)
        alerts.resolved(failure, f"{failure.container_name}: {reason}")
    logger.info("heal ended: %s", reason, extra={"action": "heal_left", "failure": failure.pk})


def left_alone(failure: FailureRecord, book: ConfigBook) -> bool:
    """Whether a claimed heal that is only to be thought about was ended, or put off because of a pause or of maintenance."""
    reason = taken_out(failure, forced=failure.forced)
    if reason:
        leave(failure, reason)
        return True
    now = db_now()
    until, by = book.paused(failure.container, now)
    if until is not None:
        heals.move(failure, Stage(failure.stage), min(until, now + LOOK_AGAIN), reason=f"paused: {by}")
        return True
    return _held_as_before(failure, book, now)


def _held_as_before(failure: FailureRecord, book: ConfigBook, now: datetime) -> bool:
    """A failure that is held by the same maintenance window as at its last decision needs no look: checks go on, and close it."""
    hold = book.maintenance(failure.container, now) if not failure.forced else None
    if hold is None or failure.reason != f"{HELD}: {hold.reason}":
        return False
    heals.move(failure, Stage(failure.stage), min(hold.until, now + LOOK_AGAIN))
    return True
