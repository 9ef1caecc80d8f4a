"""Heals that are no longer Selfheal's business: somebody has taken out or paused the container, or its host."""

from __future__ import annotations

import logging
from datetime import timedelta

from django.db import transaction

from healing.core.types import ActionResult
from healing.effective import ConfigBook, config_book
from healing.models import Attempt, AttemptState, FailureRecord, Stage
from healing.pipeline import alerts
from healing.store import heals
from healing.store.clock import db_now

logger = logging.getLogger(__name__)

PAUSE_LOOK = timedelta(seconds=10)
"""A pause is looked at again so soon, because a person may end it early."""


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
        attempts = Attempt.objects.filter(failure=failure)
        attempts.filter(state=AttemptState.INTENDED).update(
            state=AttemptState.WITHDRAWN, outcome=reason, ended_at=now
        )
        attempts.filter(state__in=(AttemptState.CALLED, AttemptState.VERIFYING)).update(
            state=AttemptState.FAILED, outcome=reason, ended_at=now
        )
        heals.close(failure, ActionResult.FAILED, reason, now, in_success_rate=False)
        config = config_book().config(failure.container)
        alerts.resolved(failure, config, f"{failure.container_name}: {reason}")
    logger.info("heal ended: %s", reason, extra={"action": "heal_left", "failure": failure.pk})


def left_alone(failure: FailureRecord, book: ConfigBook) -> bool:
    """Whether a claimed heal that is only to be thought about was ended, or put off because of a pause."""
    reason = taken_out(failure, forced=failure.forced)
    if reason:
        leave(failure, reason)
        return True
    now = db_now()
    until, by = book.paused(failure.container, now)
    if until is None:
        return False
    heals.move(failure, Stage(failure.stage), min(until, now + PAUSE_LOOK), reason=f"paused: {by}")
    return True
