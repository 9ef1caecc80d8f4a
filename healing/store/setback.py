"""A clock that was set back: what was to come at a time of before comes as soon as it would have.

Left as they are: an engine's own times and what is compared with them (stop signals above all: moved to before the start of
its run, a person's stop would be forgotten), ends that people have set, and since when a breaker is open, which nothing
measures and by which messages name the opening to be approved.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import F, Model, Q

from healing.models import (
    Attempt,
    CheckShard,
    FailureRecord,
    HealthStatus,
    Heartbeat,
    Host,
    Overload,
    SystemState,
)
from healing.store import hosts

BEAT = "beat"
NOTICED = timedelta(seconds=5)
"""Set back by less, nothing waits for long."""
_FRESH = timedelta(seconds=120)
"""A claim that ends sooner may have been made since."""
_TIMES: dict[type[Model], tuple[str, ...]] = {
    Host: ("state_since", "stream_since", "grace_until", "heal_window_at", "breaker_calm_since"),
    SystemState: ("breaker_calm_since",),
    HealthStatus: ("next_check_at",),
    CheckShard: ("next_due_at", "checked_at"),
    Attempt: ("intent_at", "called_at", "answered_at", "ended_at", "verify_until"),
    Overload: ("late_since", "calm_since", "raised_at", "lowered_at"),
    Heartbeat: ("at",),
}
"""In the order in which others lock the rows; those of failures come last."""

logger = logging.getLogger(__name__)


def beat(now: datetime) -> None:
    """Show that the tick works (one statement); where it has shown so at a later time, time was set back since."""
    rows = Heartbeat.objects.filter(name=BEAT)
    if rows.filter(at__lte=now + NOTICED).update(at=now, details={}):
        return
    with transaction.atomic():
        shown = rows.select_for_update().values_list("at", flat=True).first()
        hosts.beat(BEAT, now)
        if shown is not None and shown > now + NOTICED:
            _follow(shown, now)


def _follow(shown: datetime, now: datetime) -> None:
    """Set back by as much what lies in the future, as seen from the last tick."""
    back = shown - now
    logger.warning("the clock was set back by %s", back, extra={"action": "clock_set_back"})
    old = min(shown, now + _FRESH)
    for model, names in _TIMES.items():
        for name in names:
            _move(model, name, Q(**{f"{name}__gt": now}), back)
    _move(CheckShard, "lease_until", Q(lease_until__gt=old), back)
    _move_verdicts(now, back)
    _move_records(now, old, back)


def _move_verdicts(now: datetime, back: timedelta) -> None:
    """What checks write too; those under way are dropped.

    A release counts from now on: set back, it would come before attempts that it has forgiven.
    """
    newer = F("version") + 1
    for name in ("quarantined_at", "quarantine_until"):
        _move(HealthStatus, name, Q(**{f"{name}__gt": now}), back, version=newer)
    HealthStatus.objects.filter(released_at__gt=now).update(released_at=now, version=newer)


def _move_records(now: datetime, old: datetime, back: timedelta) -> None:
    """Limits compare when a failure was found with its attempts; one that has ended is moved as a whole."""
    _move(FailureRecord, "due_at", Q(due_at__gt=now, lease_until=None) | Q(due_at__gt=old), back)
    _move(FailureRecord, "lease_until", Q(lease_until__gt=old), back)
    _move(FailureRecord, "forced_at", Q(forced_at__gt=now), back)
    ended = F("resolved_at") - back
    _move(FailureRecord, "detected_at", Q(detected_at__gt=now), back, resolved_at=ended)


def _move(model: type[Model], name: str, chosen: Q, back: timedelta, **fields: Any) -> None:
    model._default_manager.filter(chosen).update(**{name: F(name) - back}, **fields)
