"""What was done and told about a container before: its past attempts, as the limits count them, and its quarantine."""

from __future__ import annotations

from collections.abc import Iterable

from django.db.models import Q

from healing.core.limits import PastAttempt
from healing.models import Attempt, AttemptState, Container, FailureRecord


def newest_attempts(container: Container, limit: int) -> list[Attempt]:
    """The newest `limit` attempts, newest first, each with when its failure was detected (one query)."""
    rows = Attempt.objects.filter(container=container).select_related("failure")
    facts = (
        "number",
        "action",
        "state",
        "intent_at",
        "called_at",
        "answered_at",
        "ended_at",
        "answer",
        "outcome",
    )
    return list(rows.only(*facts, "failure__detected_at").order_by("-intent_at", "-id")[:limit])


def as_past(attempts: Iterable[Attempt]) -> list[PastAttempt]:
    """These attempts as `core` reads them."""
    return [
        PastAttempt(
            intent_at=row.intent_at,
            failure_detected_at=row.failure.detected_at,
            ended_at=row.ended_at,
            verified_at=row.ended_at if row.state == AttemptState.SUCCEEDED else None,
        )
        for row in attempts
    ]


def made_for(failure: FailureRecord, attempts: Iterable[Attempt]) -> tuple[Attempt, ...]:
    """Those of these attempts, newest first, that were made for this failure; oldest first."""
    return tuple(row for row in attempts if row.failure_id == failure.pk)[::-1]


def quarantine_was_told(container_id: int) -> bool | None:
    """Whether people were told of the failure that led to the quarantine, or of a trial in it; None where no record is left."""
    leads = Q(is_trial=False) | ~Q(alert_level="")
    rows = FailureRecord.objects.filter(leads, container_id=container_id, is_found=True)
    level = rows.order_by("-detected_at", "-pk").values_list("alert_level", flat=True).first()
    return None if level is None else level != ""
