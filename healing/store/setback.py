"""A clock that was set back: what was to come at a time of before comes as soon as it would have."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import F, Model, Q

from healing.models import Attempt, CheckShard, FailureRecord, HealthStatus, Heartbeat, Host
from healing.store import hosts

BEAT = "beat"
NOTICED = timedelta(seconds=5)
"""Set back by less, nothing waits for long."""
_FRESH = timedelta(seconds=120)
"""A claim that ends sooner may have been made since."""
_TIMES: dict[type[Model], tuple[str, ...]] = {
    CheckShard: ("next_due_at", "checked_at"),
    HealthStatus: ("next_check_at",),
    Host: ("state_since", "stream_since", "grace_until", "heal_window_at"),
    Attempt: ("intent_at", "called_at", "answered_at", "ended_at", "verify_until"),
}

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
    _move(FailureRecord, "due_at", Q(due_at__gt=now, lease_until=None) | Q(due_at__gt=old), back)
    _move(FailureRecord, "lease_until", Q(lease_until__gt=old), back)
    _move(CheckShard, "lease_until", Q(lease_until__gt=old), back)
    for model, names in _TIMES.items():
        for name in names:
            _move(model, name, Q(**{f"{name}__gt": now}), back)


def _move(model: type[Model], name: str, chosen: Q, back: timedelta) -> None:
    model._default_manager.filter(chosen).update(**{name: F(name) - back})
