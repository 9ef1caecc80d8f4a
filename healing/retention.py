"""How long histories are kept, and how the rest is deleted."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from typing import Any

from django.apps import apps
from django.db.models import Q, QuerySet

from healing.models import FailureRecord, Heartbeat, PutOff

KEEP_DAYS = 90
BATCH = 500
_BUDGET_DAYS = 7
"""The longest restart_window: attempts count against a budget for so long, whatever the retention."""
_OF_QUEUES = Q(name__startswith="queue:") | Q(name__startswith="unserved:")
_WORKER_DAYS = 1
_LONGEST_DAYS = 36_500

logger = logging.getLogger(__name__)


def prune(now: datetime, keep_days: int = KEEP_DAYS, batch: int = BATCH) -> dict[str, int]:
    """Delete what ended more than `keep_days` ago, `batch` rows at a time; return how many rows of each kind.

    Open failures and unsent notifications are never deleted, nor are closed ones whose restarts may still count against a budget. What
    automation did about a failure goes with the failure. Heartbeats of queues that are gone go after a day.
    """
    if keep_days < 1 or batch < 1:
        raise ValueError(f"keep_days ({keep_days}) and batch ({batch}) must be whole numbers from 1 up")
    cutoff = now - timedelta(days=min(keep_days, _LONGEST_DAYS))
    counts = {
        "checks_put_off": _delete(PutOff.objects.filter(hour__lt=cutoff), batch),
        "failure_records": _delete(_ended_failures(now, cutoff), batch),
        "notifications": _delete(_ended_notifications(cutoff), batch),
        "heartbeats": _delete(
            Heartbeat.objects.filter(_OF_QUEUES, at__lt=now - timedelta(days=_WORKER_DAYS)),
            batch,
        ),
    }
    logger.info("old history deleted", extra={"action": "prune_history", **counts})
    return counts


def _ended_failures(now: datetime, cutoff: datetime) -> QuerySet[FailureRecord]:
    old = FailureRecord.objects.filter(resolved_at__lt=cutoff, parent=None)
    return old.exclude(attempts__intent_at__gte=now - timedelta(days=_BUDGET_DAYS))


def _ended_notifications(cutoff: datetime) -> QuerySet[Any]:
    model = apps.get_model("notifications", "Notification")
    return model._default_manager.filter(created_at__lt=cutoff).exclude(state="pending")


def _delete(rows: QuerySet[Any], batch: int) -> int:
    """Delete in batches of ids, each in a transaction of its own, so that nobody waits long for a lock."""
    deleted = 0
    while ids := list(rows.order_by("pk").values_list("pk", flat=True)[:batch]):
        rows.model._default_manager.filter(pk__in=ids).delete()
        deleted += len(ids)
    return deleted
