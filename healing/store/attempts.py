"""Attempts that end with their heal, whoever ends it."""

from __future__ import annotations

from datetime import datetime

from healing.models import Attempt, AttemptState, FailureRecord


def end_open(failure: FailureRecord, reason: str, now: datetime) -> None:
    """End what is open of a heal that ends: what was not called is withdrawn, what was has failed. Two statements."""
    attempts = Attempt.objects.filter(failure=failure)
    intended = attempts.filter(state=AttemptState.INTENDED)
    intended.update(state=AttemptState.WITHDRAWN, outcome=reason, ended_at=now)
    under_way = attempts.filter(state__in=(AttemptState.CALLED, AttemptState.VERIFYING))
    under_way.update(state=AttemptState.FAILED, outcome=reason, ended_at=now)
