"""The slow-start window of each host."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from django.db import transaction

from healing.core.decide import SLOW_START
from healing.core.window import Window
from healing.models import Attempt, AttemptState, FailureRecord, Host, Stage

PLACES_PER_HEAL = 2
"""A verified heal frees its own place and opens one more."""
_UNDER_WAY = (AttemptState.INTENDED, AttemptState.CALLED, AttemptState.VERIFYING)


def locked(host_id: int) -> Window:
    """The window with who is inside; the host's row is locked, so that two decisions do not take one place.

    Call it in a transaction.
    """
    host = Host.objects.select_for_update(no_key=True).only("heal_window", "heal_window_at").get(pk=host_id)
    rows = Attempt.objects.filter(
        container__host_id=host_id, state__in=_UNDER_WAY, failure__resolved_at__isnull=True
    )
    numbers = list(rows.values_list("row_number", flat=True))
    first = sum(1 for number in numbers if number <= 1)
    return Window(host.heal_window, host.heal_window_at, first, len(numbers) - first)


def move(host_id: int, by: Callable[[float], float], now: datetime) -> float:
    """Open or close the window, and hand the place on; the window's new size."""
    with transaction.atomic():
        host = (
            Host.objects.select_for_update(no_key=True).only("heal_window", "heal_window_at").get(pk=host_id)
        )
        size = by(Window(host.heal_window, host.heal_window_at).size_at(now))
        Host.objects.filter(pk=host_id).update(heal_window=size, heal_window_at=now)
    hand_on(host_id, now)
    return size


def hand_on(host_id: int, now: datetime) -> int:
    """Have those ask again that have waited longest for room; the next tick finds them due."""
    waiting = FailureRecord.objects.filter(
        container__host_id=host_id,
        stage=Stage.DIAGNOSE,
        resolved_at__isnull=True,
        due_at__gt=now,
        reason__startswith=SLOW_START,
    )
    longest = list(waiting.order_by("detected_at").values_list("pk", flat=True)[:PLACES_PER_HEAL])
    return FailureRecord.objects.filter(pk__in=longest, stage=Stage.DIAGNOSE).update(due_at=now)
