"""What a person asked for and could not be had in time: a restart long after it was wanted surprises everybody.

Asked by the stages when they have claimed a heal.
"""

from __future__ import annotations

import logging
from datetime import timedelta

from django.db import transaction

from healing.core.types import ActionResult
from healing.models import FailureRecord
from healing.pipeline import alerts
from healing.store import heals
from healing.store.clock import db_now

logger = logging.getLogger(__name__)

LASTS = timedelta(minutes=10)
"""So long after it was made, a demand to heal is met; then it is dropped."""


def dropped(failure: FailureRecord) -> bool:
    """Drop the demand on a claimed heal where it is too old; True where the record ended with it.

    A failure that a check had found goes on without it, by the usual rules.
    """
    now = db_now()
    if not failure.forced or failure.forced_at is None or now - failure.forced_at < LASTS:
        return False
    minutes = LASTS.total_seconds() / 60
    reason = (
        f"the heal asked for at {failure.forced_at:%H:%M:%S} UTC was not possible within {minutes:g} minutes"
    )
    reason += f" and is dropped; last: {failure.reason}" if failure.reason else " and is dropped"
    logger.info("%s", reason, extra={"action": "demand_dropped", "failure": failure.pk})
    if failure.detected_at != failure.forced_at:
        details = {**failure.details, "demand": reason}
        heals.write(failure, forced=False, reason=reason, details=details)
        return False
    with transaction.atomic():
        heals.close(failure, ActionResult.FAILED, reason, now, in_success_rate=False)
        alerts.resolved(failure, f"{failure.container_name}: {reason}")
    return True
