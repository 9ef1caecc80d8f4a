"""How late checks are taken up, what is shed for it, and how much was: one row a queue, counters by the hour."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Count, F, Min, Q, QuerySet, Sum

from healing.core.shedding import CALM, Level, Pressure, is_shed
from healing.models import CheckShard, FailureRecord, Host, HostState, Overload, PutOff
from healing.store.closely import CLOSELY
from healing.store.hosts import SHARD_LEASE

HEAL_WAITS = timedelta(seconds=5)
"""A heal that nobody has so long after it was due waits for a worker."""


AT_ONCE = timedelta(seconds=0.5)
"""A check that is taken up so soon has not waited."""
RENEWED = timedelta(seconds=6)
"""A claim that is checked has been renewed since then (`worker_signs`), or its worker has died."""
_KEPT = ("id", "queue", "told_at")


@dataclass(slots=True)
class Late:
    """Of one queue: the seconds that shards have waited for a worker, and how many sweeps had no time for everything."""

    waits: list[float] = field(default_factory=list)
    cut_short: int = 0


def late(now: datetime) -> dict[str, Late]:
    """What is late by queue name (one query).

    A shard waits from its claim until a worker takes it up. One that is being checked does not, however long that
    takes, nor one that nobody has claimed because there was no tick.
    """
    waiting = _waiting(now, timedelta(seconds=CALM))
    rows = _shards().filter(waiting | Q(is_cut_short=True)).annotate(is_waiting=waiting)
    found: dict[str, Late] = defaultdict(Late)
    columns = ("host__queue", "lease_until", "is_waiting", "is_cut_short")
    for queue, lease_until, is_waiting, is_cut_short in rows.values_list(*columns):
        of_queue = found[_name(queue)]
        if is_waiting and lease_until is not None:
            of_queue.waits.append((now - lease_until).total_seconds() + SHARD_LEASE)
        of_queue.cut_short += is_cut_short
    return found


def is_waited_for(queue: str, rank: int, now: datetime) -> bool:
    """Whether a host with more important containers than those of this rank waits for a worker of this queue."""
    return _shards_of(queue).filter(_waiting(now, AT_ONCE), priority__lt=rank).exists()


def _waiting(now: datetime, longer_than: timedelta) -> Q:
    """Claimed for longer than that, and taken up by nobody."""
    return Q(begun_at__isnull=True, lease_until__lt=now + timedelta(seconds=SHARD_LEASE) - longer_than)


@dataclass(slots=True)
class Shards:
    """Of one queue: how many there are, and how many are being checked at this moment by a worker that lives."""

    total: int = 0
    busy: int = 0


def shards(now: datetime) -> dict[str, Shards]:
    """By queue name (one query)."""
    renewed = now + timedelta(seconds=SHARD_LEASE) - RENEWED
    busy = Count("pk", filter=Q(begun_at__isnull=False, lease_until__gt=renewed))
    rows = _shards().order_by().values("host__queue").annotate(total=Count("pk"), busy=busy)
    found: dict[str, Shards] = defaultdict(Shards)
    for queue, total, busy_ones in rows.values_list("host__queue", "total", "busy"):
        found[_name(queue)].total += total
        found[_name(queue)].busy += busy_ones
    return found


def late_heals(now: datetime) -> dict[str, int]:
    """By queue name: how many heals are due that nobody has, on hosts that answer."""
    rows = FailureRecord.objects.filter(is_found=True, resolved_at__isnull=True, due_at__lt=now - HEAL_WAITS)
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


def save(row: Overload, pressure: Pressure, lateness: float, now: datetime) -> None:
    """Write a measurement; nothing where all was and is calm."""
    if pressure == to_core(row) == Pressure() and lateness == row.lateness == row.heals_waiting == 0:
        return
    row.level, row.hold = pressure.level, pressure.hold.total_seconds()
    row.late_since, row.calm_since = pressure.late_since, pressure.calm_since
    row.raised_at, row.lowered_at = pressure.raised_at, pressure.lowered_at
    row.lateness, row.measured_at = lateness, now
    if row.pk is None:
        row.pk = Overload.objects.get_or_create(queue=row.queue, defaults={"measured_at": now})[0].pk
        row._state.adding = False
    row.save(update_fields=[field.name for field in Overload._meta.fields if field.name not in _KEPT])


def mark_told(row: Overload, at: datetime | None) -> bool:
    """Note that people are told of an overload, or with None of its end; True for the one who is to tell them."""
    rows = Overload.objects.filter(pk=row.pk, told_at__isnull=at is not None)
    return bool(rows.update(told_at=at))


@dataclass(frozen=True, slots=True)
class State:
    """What is shed at this moment of the checks of one queue, whose most important containers have the rank `highest`.

    `is_tense`: they were late a moment ago.
    """

    level: Level = Level.NONE
    highest: int = 0
    is_tense: bool = False

    def sheds(self, rank: int) -> bool:
        """Whether checks of this rank are put off: never those of the most important, for nobody would gain."""
        return rank > self.highest and is_shed(rank, self.level)


def state_of(queue: str) -> State:
    """Of the checks that come by this queue name (one query, two in overload)."""
    row = Overload.objects.filter(queue=_name(queue)).first()
    if row is None:
        return State()
    highest = 0
    if row.level:
        highest = _shards_of(queue).aggregate(rank=Min("priority"))["rank"] or 0
    return State(Level(row.level), highest, bool(row.level or row.late_since or row.lateness))


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


def _shards_of(queue: str) -> QuerySet[CheckShard]:
    return _shards() if settings.EMBEDDED else _shards().filter(host__queue=queue)


def _name(queue: str) -> str:
    """One process serves all queues by itself."""
    return "" if settings.EMBEDDED else queue
