"""Past attempts of a container, as the limits count them."""

from __future__ import annotations

from healing.core.limits import PastAttempt
from healing.models import Attempt, AttemptState, Container


def past_attempts(container: Container, limit: int) -> list[PastAttempt]:
    """The newest `limit` attempts, newest first (one query)."""
    rows = (
        Attempt.objects.filter(container=container)
        .select_related("failure")
        .only("intent_at", "ended_at", "state", "failure__detected_at")
        .order_by("-intent_at", "-id")[:limit]
    )
    return [
        PastAttempt(
            intent_at=row.intent_at,
            failure_detected_at=row.failure.detected_at,
            ended_at=row.ended_at,
            verified_at=row.ended_at if row.state == AttemptState.SUCCEEDED else None,
        )
        for row in rows
    ]
