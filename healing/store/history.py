"""What was done and told about a container before: its past attempts, as the limits count them, and its quarantine."""

from __future__ import annotations

from collections.abc import Iterable

from django.db.models import Q

from healing.core.limits import PastAttempt
from healing.models import Attempt, AttemptState, Container, FailureRecord

QUARANTINED, SET_ASIDE = "quarantined: ", "set aside: "
"""So begin the reasons of the failures that have led to a quarantine."""


def newest_attempts(container: Container, limit: int) -> list[Attempt]:
    """The newest `limit` attempts, newest first, each with when its failure was detected (one query).

    In the order in which they were made: their times may lie otherwise, where the clock was set back in between.
    """
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
    return list(rows.only(*facts, "failure__detected_at").order_by("-id")[:limit])


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
    """Those of these attempts that were made for this failure, oldest first."""
    mine = (row for row in attempts if row.failure_id == failure.pk)
    return tuple(sorted(mine, key=lambda row: row.number))


def quarantine_was_told(container_id: int) -> bool | None:
    """Whether people were told of the failure that led to the quarantine, or of a trial in it; None where no record is left.

    Not where they were told of another failure since: the end of that is the end of both.
    """
    leads = Q(is_trial=False, reason__startswith=QUARANTINED) | Q(reason__startswith=SET_ASIDE)
    rows = FailureRecord.objects.filter(leads | ~Q(alert_level=""), container_id=container_id, is_found=True)
    newest = rows.order_by("-detected_at", "-pk").values_list("alert_level", "reason").first()
    if newest is None:
        return None
    level, reason = newest
    return level != "" and reason.startswith((QUARANTINED, SET_ASIDE))
