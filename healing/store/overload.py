"""How late checks are taken up, what is shed for it, and how much was: one row a queue, counters by the hour."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime, timedelta

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Count, F, Q, QuerySet, Sum

from healing.core.shedding import LATE, Level, Pressure
from healing.models import CheckShard, FailureRecord, Host, HostState, Overload, PutOff
from healing.store.closely import CLOSELY

HEAL_LATE = timedelta(seconds=5)
"""A heal that nobody has so long after it was due waits for a worker."""


def waits(now: datetime, tick: float) -> dict[str, list[float]]:
    """By queue name: the seconds that shards have waited for a worker, those of the tick itself left out.

    Only what is late is there (one query). A shard that is being checked does not wait, however long that takes.
    """
    rows = _shards().filter(next_due_at__lt=now - timedelta(seconds=tick + LATE / 2))
    rows = rows.filter(Q(begun_at__isnull=True) | Q(lease_until__isnull=True) | Q(lease_until__lte=now))
    found: dict[str, list[float]] = defaultdict(list)
    for queue, due_at in rows.values_list("host__queue", "next_due_at"):
        found[_name(queue)].append((now - due_at).total_seconds() - tick)
    return found


def shard_counts() -> dict[str, int]:
    """How many shards are checked by way of each queue name."""
    found: dict[str, int] = defaultdict(int)
    for queue, count in _shards().order_by().values_list("host__queue").annotate(Count("pk")):
        found[_name(queue)] += count
    return found


def late_heals(now: datetime) -> dict[str, int]:
    """By queue name: how many heals are due that nobody has, on hosts that answer."""
    rows = FailureRecord.objects.filter(is_found=True, resolved_at__isnull=True, due_at__lt=now - HEAL_LATE)
    rows = rows.filter(Q(lease_until__isnull=True) | Q(lease_until__lte=now), container__host__enabled=True)
    rows = rows.exclude(container__host__state=HostState.DOWN)
    found: dict[str, int] = defaultdict(int)
    for queue, count in rows.order_by().values_list("container__host__queue").annotate(Count("pk")):
        found[_name(queue)] += count
    return found


def rows() -> dict[str, Overload]:
    """What is known of each queue that was ever late."""
    return {row.queue: row for row in Overload.objects.all()}


def to_core(row: Overload) -> Pressure:
    return Pressure(
        level=Level(row.level),
        late_since=row.late_since,
        calm_since=row.calm_since,
        raised_at=row.raised_at,
        lowered_at=row.lowered_at,
        hold=timedelta(seconds=row.hold),
    )


def save(row: Overload, pressure: Pressure, lateness: float, heals_waiting: int, now: datetime) -> None:
    """Write a measurement; nothing where all was and is calm."""
    if pressure == to_core(row) and lateness == row.lateness == 0 and heals_waiting == row.heals_waiting:
        return
    row.level, row.hold = pressure.level, pressure.hold.total_seconds()
    row.late_since, row.calm_since = pressure.late_since, pressure.calm_since
    row.raised_at, row.lowered_at = pressure.raised_at, pressure.lowered_at
    row.lateness, row.heals_waiting, row.measured_at = lateness, heals_waiting, now
    row.save()


def level_of(queue: str) -> Level:
    """What is shed at this moment of the checks that come by this queue name (one query)."""
    found = Overload.objects.filter(queue=_name(queue)).values_list("level", flat=True).first()
    return Level(found or 0)


def count(host_id: int, put_off: Mapping[int, int], now: datetime) -> None:
    """Add checks that were put off, by rank (a statement for each, and one more for the first of an hour)."""
    hour = now.replace(minute=0, second=0, microsecond=0)
    for rank, checks in put_off.items():
        row = PutOff.objects.filter(host_id=host_id, hour=hour, priority=rank)
        if row.update(checks=F("checks") + checks):
            continue
        try:
            with transaction.atomic():
                PutOff.objects.create(host_id=host_id, hour=hour, priority=rank, checks=checks)
        except IntegrityError:
            row.update(checks=F("checks") + checks)


def counted(queue: str) -> dict[int, int]:
    """All checks put off so far by rank, of the hosts of this queue name."""
    found = PutOff.objects.order_by()
    if not settings.EMBEDDED:
        found = found.filter(host__in=Host.objects.filter(queue=queue))
    return dict(found.values_list("priority").annotate(Sum("checks")))


def _shards() -> QuerySet[CheckShard]:
    rows = CheckShard.objects.filter(host__enabled=True).exclude(number=CLOSELY)
    return rows.exclude(host__state=HostState.DOWN)


def _name(queue: str) -> str:
    """One process serves all queues by itself."""
    return "" if settings.EMBEDDED else queue
