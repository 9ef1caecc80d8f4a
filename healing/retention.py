"""How long histories are kept, and how the rest is deleted."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from functools import reduce
from operator import or_
from typing import Any

from django.db import transaction
from django.db.models import F, Q, QuerySet

from healing.core.dependencies import Origin
from healing.core.types import Lifecycle
from healing.models import (
    Container,
    DeadLetter,
    Dependency,
    FailureRecord,
    Heartbeat,
    MaintenanceWindow,
    PutOff,
    Recurrence,
    Trouble,
)
from healing.observer import DOWN
from healing.pipeline import deadletters, liveness
from healing.registration.adoption import wanted
from healing.store import breakers, signs
from notifications import retention as notifications

KEEP_DAYS = 90
BATCH = 500
_BUDGET_DAYS = 7
"""The longest restart_window: attempts count against a budget for so long, whatever the retention."""
_COME_AND_GO = ("queue:", "unserved:", "canary:", "tried:", "sweep", "skew:")
_OF_QUEUES = reduce(or_, (Q(name__startswith=prefix) for prefix in _COME_AND_GO))
_WORKER_DAYS = 1
_LONGEST_DAYS = 36_500

logger = logging.getLogger(__name__)


def prune(now: datetime, keep_days: int = KEEP_DAYS, batch: int = BATCH) -> dict[str, int]:
    """Delete what ended more than `keep_days` ago, `batch` rows at a time; return how many rows of each kind.

    Open failures, alerts that fire and unsent notifications are never deleted, nor are closed failures whose restarts may still count against a budget, or whose incident is not over. What
    automation did about a failure goes with the failure; failures of its incident stay until it is their time. Heartbeats of queues and sweepers that are gone go after a day, but
    the last of a sweeper that is missed. Containers that their engine no longer has go when no history of theirs is left.
    """
    if keep_days < 1 or batch < 1:
        raise ValueError(f"keep_days ({keep_days}) and batch ({batch}) must be whole numbers from 1 up")
    cutoff = now - timedelta(days=min(keep_days, _LONGEST_DAYS))
    counts = {
        "dead_letters": _delete(DeadLetter.objects.filter(at__lt=cutoff), batch)
        + _delete(DeadLetter.objects.filter(pk__lte=deadletters.newest_but(deadletters.KEPT)), batch),
        "checks_put_off": _delete(PutOff.objects.filter(hour__lt=cutoff), batch),
        "failure_records": _delete(_ended_failures(now, cutoff), batch),
        "containers": _delete(_gone_containers(cutoff), batch),
        "troubles": _delete(_ended_troubles(cutoff), batch),
        "maintenance_windows": _delete(
            MaintenanceWindow.objects.filter(recurrence=Recurrence.ONCE, ends_at__lt=cutoff), batch
        ),
        **{kind: _delete(rows, batch) for kind, rows in notifications.old(cutoff).items()},
        "heartbeats": _delete(_signs_of_gone(now - timedelta(days=_WORKER_DAYS)), batch),
    }
    logger.info("old history deleted", extra={"action": "prune_history", **counts})
    return counts


def _ended_failures(now: datetime, cutoff: datetime) -> QuerySet[FailureRecord]:
    own = Q(parent=None) | Q(is_found=True)
    old = FailureRecord.objects.filter(own, resolved_at__lt=cutoff).exclude(pk__in=breakers.of_incidents())
    return old.exclude(attempts__intent_at__gte=now - timedelta(days=_BUDGET_DAYS))


def _ended_troubles(cutoff: datetime) -> QuerySet[Trouble]:
    """Those of the database are counted: the ids of their alerts are made of their number."""
    return Trouble.objects.filter(resolved_at__lt=cutoff).exclude(key=f"{DOWN}{liveness.DATABASE}")


def _signs_of_gone(cutoff: datetime) -> QuerySet[Heartbeat]:
    return Heartbeat.objects.filter(_OF_QUEUES, at__lt=cutoff).exclude(name__in=_last_of_sweepers())


def _last_of_sweepers() -> list[str]:
    """The last sign of a common one, and of one near each queue that an enabled host names: gone, its silence would be over."""
    last: dict[str, str] = {}
    rows = Heartbeat.objects.filter(name__startswith="sweep").order_by("at")
    for name, at in rows.values_list("name", "at"):
        for queue in signs.swept_near({name: at}) or [""]:
            last[queue] = name
    wanted = ("", *signs.host_queues())
    return [name for queue, name in last.items() if queue in wanted]


def _gone_containers(cutoff: datetime) -> QuerySet[Container]:
    """Those that have left nothing that a person wrote, and that would be registered again by themselves."""
    rows = Container.objects.filter(
        Q(paused_until=None) | Q(paused_until__lt=cutoff),
        Q(tenant=None) | Q(tenant=F("host__tenant")),
        health__lifecycle=Lifecycle.GONE,
        health__last_check_time__lt=cutoff,
        created_at__lt=cutoff,
        config=None,
        dry_run=False,
        probes=None,
        failures=None,
        attempts=None,
    )
    written = Dependency.objects.filter(origin__in=(Origin.MANUAL, Origin.BOTH))
    rows = rows.exclude(pk__in=MaintenanceWindow.objects.exclude(container=None).values("container"))
    rows = rows.exclude(pk__in=written.values("dependant")).exclude(pk__in=written.values("dependency"))
    gone = [row.pk for row in rows.select_related("host") if wanted(row.host, row.labels) is not None]
    return Container.objects.filter(pk__in=gone)


def _delete(rows: QuerySet[Any], batch: int) -> int:
    """Delete in batches of ids, each in a transaction of its own, so that nobody waits long for a lock."""
    deleted = 0
    while ids := list(rows.order_by("pk").values_list("pk", flat=True)[:batch]):
        with transaction.atomic():
            if rows.model is FailureRecord:
                FailureRecord.objects.filter(parent_id__in=ids, is_found=False).delete()
            rows.model._default_manager.filter(pk__in=ids).delete()
        deleted += len(ids)
    return deleted
