"""Whose turn it is to probe a host closely: one row beside its shards, which is there only where a host has such probes."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta

from django.db.models import Q, QuerySet

from healing.models import CheckShard, Container, HealthStatus

CLOSELY = 1000
"""The number of that row among the host's shards."""
RUN = 4.0
"""Seconds that one run lasts: shorter than a process that is to stop waits for its tasks."""
LEASE = RUN + 6.0
HAND_OVER = 4.0
"""Seconds after which the tick goes on where the message to the next run was lost."""
PAUSE = 8.0
"""Seconds after which a host is looked at again of whose containers none was to be probed."""


def ensure(host_id: int) -> None:
    """Have the tick start a run for this host."""
    CheckShard.objects.get_or_create(host_id=host_id, number=CLOSELY)


def begin(host_id: int, now: datetime) -> bool:
    """Take the host for one run; False where a run is under way, or the host has no such probes any more."""
    idle = Q(checked_at__isnull=True) | Q(checked_at__lte=now - timedelta(seconds=LEASE))
    ends = {"lease_until": now + timedelta(seconds=LEASE), "next_due_at": now + timedelta(seconds=RUN)}
    ends["begun_at"] = now
    # No other table: PostgreSQL would not look at the row again after it has waited for another's update.
    return bool(_shard(host_id).filter(idle).update(checked_at=now, **ends))


def hand_over(host_id: int, now: datetime) -> None:
    """The run has ended, and the next one is about to be sent."""
    _shard(host_id).update(
        checked_at=None,
        lease_until=now + timedelta(seconds=HAND_OVER),
        next_due_at=now,
        begun_at=None,
        lost_claims=0,
    )


def rest(host_id: int, now: datetime) -> None:
    """The run has ended, and there is nothing to be done for a while."""
    _shard(host_id).update(
        checked_at=None,
        lease_until=None,
        next_due_at=now + timedelta(seconds=PAUSE),
        begun_at=None,
        lost_claims=0,
    )


def forget(host_id: int) -> None:
    """The host has no such probes any more."""
    _shard(host_id).delete()


def _shard(host_id: int) -> QuerySet[CheckShard]:
    return CheckShard.objects.filter(host_id=host_id, number=CLOSELY)


def supervised(host_ids: Collection[int]) -> list[Container]:
    """All containers of these hosts that are supervised, with their labels."""
    return list(Container.objects.filter(host_id__in=host_ids, host__enabled=True, monitored=True))


def rows(container_ids: Collection[int]) -> list[HealthStatus]:
    """What is known of these containers; labels are left in the database."""
    found = HealthStatus.objects.filter(pk__in=container_ids, container__monitored=True)
    return list(found.select_related("container__host").defer("container__labels", "container__mapped"))
