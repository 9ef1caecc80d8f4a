"""Health statuses: read as `core` wants them, written only where nobody else has written meanwhile."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Case, F, Min, Q, QuerySet, Value, When
from django.db.models.functions import Greatest, Least

from healing.core.cadence import SLACK
from healing.core.shedding import DEFAULT_RANK
from healing.core.status import Status
from healing.core.types import Health, Lifecycle
from healing.models import Container, HealthStatus, HostState
from healing.store.clock import db_now

# What a check decides. Of the marks that the watcher sets the stop signals are not among them: they are compared
# with the container's start time and need no clearing.
_DECIDED = (
    "message",
    "consecutive_failures",
    "consecutive_successes",
    "healthy_since",
    "started_at",
    "ended_at",
    "quarantined_at",
    "quarantine_until",
)
BATCH = 500
AT_REST = (Lifecycle.FINISHED, Lifecycle.STOPPED_BY_HAND, Lifecycle.QUARANTINED, Lifecycle.GONE)
_MARKS = ("unpaused_at", "stop_signal_at", "stopped_by_hand_at", "interrupted_at")


def to_core(row: HealthStatus) -> Status:
    """The row as `core` reads it."""
    return Status(
        health=Health(row.status),
        lifecycle=Lifecycle(row.lifecycle),
        exits=tuple((float(a), float(b)) for a, b in row.exits),
        **{name: getattr(row, name) for name in (*_DECIDED, *_MARKS)},
    )


def write(row: HealthStatus, status: Status, **fields: Any) -> bool:
    """Write a verdict; False where the row has changed since it was read, and nothing was written."""
    decided = {name: getattr(status, name) for name in _DECIDED}
    exits = [list(pair) for pair in status.exits]
    rows = HealthStatus.objects.filter(pk=row.pk, version=row.version)
    return bool(
        rows.update(
            status=status.health,
            lifecycle=status.lifecycle,
            exits=exits,
            version=F("version") + 1,
            **decided,
            **fields,
        )
    )


def mark(container_id: int, **marks: datetime | None) -> bool:
    """Set the watcher's marks; a check that looked before them is dropped."""
    return bool(HealthStatus.objects.filter(pk=container_id).update(version=F("version") + 1, **marks))


def interrupted_at(container_id: int) -> datetime | None:
    """Since when its engine has been away, as far as it was running then."""
    return HealthStatus.objects.filter(pk=container_id).values_list("interrupted_at", flat=True).first()


def check_again(container_id: int, now: datetime) -> None:
    """Have it checked at once, unless its host is down."""
    rows = HealthStatus.objects.filter(pk=container_id).exclude(container__host__state=HostState.DOWN)
    rows.update(next_check_at=now)


def _in_batches(container_ids: Sequence[int]) -> Iterator[QuerySet[HealthStatus]]:
    """Their rows, as many at a time as every database takes in one statement."""
    for start in range(0, len(container_ids), BATCH):
        yield HealthStatus.objects.filter(pk__in=container_ids[start : start + BATCH])


def due_in(seconds_of: Mapping[int, float], now: datetime) -> None:
    """Have each of these containers looked at again after its seconds: one statement for each different time."""
    by_seconds: dict[float, list[int]] = defaultdict(list)
    for pk, seconds in seconds_of.items():
        by_seconds[seconds].append(pk)
    for seconds, ids in by_seconds.items():
        next_check = now + timedelta(seconds=seconds)
        for rows in _in_batches(ids):
            # Somebody else has looked meanwhile and wants to again, sooner than this.
            overdue = Q(next_check_at__isnull=True) | Q(next_check_at__lte=now + SLACK)
            rows.filter(overdue).update(last_check_time=now, next_check_at=next_check)


def due_with_sweep(container_ids: Sequence[int]) -> None:
    """Have these containers looked at with each sweep of their host (no statement where there are none)."""
    if container_ids:
        HealthStatus.objects.filter(pk__in=container_ids).update(next_check_at=None)


def put_off(container_ids: Sequence[int], now: datetime) -> None:
    """Note since when these wait that had no time of their own; the others keep theirs, which has passed."""
    for rows in _in_batches(container_ids):
        rows.filter(next_check_at__isnull=True).update(next_check_at=now)


def set_priorities(rank_of: Mapping[int, int]) -> None:
    """Note the changed ranks of containers: a statement for each rank, and none where nothing has changed."""
    for rank in sorted(set(rank_of.values())):
        ids = [pk for pk, its_rank in rank_of.items() if its_rank == rank]
        for rows in _in_batches(ids):
            rows.update(priority=rank)


def most_important(container_ids: Sequence[int]) -> int:
    """The rank of the most important of these containers."""
    found = HealthStatus.objects.filter(pk__in=container_ids).aggregate(rank=Min("priority"))["rank"]
    return DEFAULT_RANK if found is None else int(found)


def of_containers(container_ids: Sequence[int]) -> list[HealthStatus]:
    """The rows of these containers as far as they are monitored, with all that a record is to be named by."""
    related = ("container__host", "container__service", "container__project")
    rows = HealthStatus.objects.filter(pk__in=container_ids, container__monitored=True)
    return list(rows.select_related(*related))


def quarantine(container: Container, now: datetime, until: datetime | None) -> None:
    """Hands off until a person or the release time. What it stands for is a known failure, also where only the heal has seen it."""
    HealthStatus.objects.filter(pk=container.pk).update(
        lifecycle=Lifecycle.QUARANTINED,
        quarantined_at=now,
        quarantine_until=until,
        consecutive_failures=Greatest(F("consecutive_failures"), Value(1)),
        version=F("version") + 1,
    )


def is_quarantined(container_id: int) -> bool:
    return HealthStatus.objects.filter(pk=container_id, lifecycle=Lifecycle.QUARANTINED).exists()


def lock(container_id: int) -> HealthStatus:
    """Hold the row until the transaction ends: whoever writes both takes it before the failure's, as checks do.

    SQLite has one writer at a time anyway.
    """
    return HealthStatus.objects.select_for_update().get(pk=container_id)


def release(container: Container) -> bool:
    """End a quarantine; False where there was none.

    What it was quarantined for stays a known failure, so that no exit of before is taken for a stop by hand.
    """
    rows = HealthStatus.objects.filter(pk=container.pk, lifecycle=Lifecycle.QUARANTINED)
    return bool(
        rows.update(
            lifecycle=Case(
                When(consecutive_failures__gt=0, then=Value(Lifecycle.EXITED.value)),
                default=Value(Lifecycle.NEW.value),
            ),
            quarantined_at=None,
            quarantine_until=None,
            released_at=db_now(),
            consecutive_failures=Least(F("consecutive_failures"), Value(1)),
            version=F("version") + 1,
        )
    )


def count_restart(container: Container, now: datetime) -> None:
    HealthStatus.objects.filter(pk=container.pk).update(
        total_restarts=F("total_restarts") + 1, last_restart_time=now, version=F("version") + 1
    )


def interrupt(host_id: int, now: datetime, *, killed_since: datetime | None = None) -> int:
    """The engine has gone: remember which of its containers were running.

    With `killed_since` also those whose stop signal came from the engine as it shut down; they lose that mark.
    """
    rows = HealthStatus.objects.filter(container__host_id=host_id, interrupted_at__isnull=True)
    running = (
        Lifecycle.RUNNING,
        Lifecycle.STARTING,
        Lifecycle.RESTARTING,
        Lifecycle.PAUSED,
        Lifecycle.STOPPING,
    )
    chosen = Q(lifecycle__in=running) & (
        Q(stop_signal_at__isnull=True) | Q(stop_signal_at__lt=F("started_at"))
    )
    if killed_since is not None:
        swept = HealthStatus.objects.filter(container__host_id=host_id, stop_signal_at__gte=killed_since)
        marks = {"stop_signal_at": None, "stopped_by_hand_at": None, "interrupted_at": now}
        quarantined = When(lifecycle=Lifecycle.QUARANTINED, then=F("lifecycle"))
        exited = Case(quarantined, default=Value(Lifecycle.EXITED.value))
        return swept.update(lifecycle=exited, version=F("version") + 1, **marks) + rows.filter(chosen).update(
            interrupted_at=now, version=F("version") + 1
        )
    return rows.filter(chosen).update(interrupted_at=now, version=F("version") + 1)


def unknown(host_id: int, message: str) -> None:
    """Nothing of this host can be seen: no verdict counts, but of what is at rest (one statement)."""
    rows = HealthStatus.objects.filter(container__host_id=host_id, container__monitored=True)
    rows = rows.exclude(lifecycle__in=AT_REST)
    rows.exclude(status=Health.UNKNOWN, message=message).update(
        status=Health.UNKNOWN, message=message, consecutive_successes=0, version=F("version") + 1
    )


def any_spared(host_id: int, ended_at: datetime) -> bool:
    """Whether a container of this host was running and had not been told to stop when its engine's events ended.

    What has been started since then says nothing about it.
    """
    running = (Lifecycle.RUNNING, Lifecycle.STARTING, Lifecycle.PAUSED)
    rows = HealthStatus.objects.filter(container__host_id=host_id, lifecycle__in=running)
    rows = rows.exclude(started_at__gt=ended_at)
    return rows.filter(Q(stop_signal_at__isnull=True) | Q(stop_signal_at__lt=F("started_at"))).exists()


def look_soon(host_id: int, at: datetime) -> None:
    """Have no container of a host wait for longer than `at`; those without a time of their own wait for the sweep."""
    HealthStatus.objects.filter(container__host_id=host_id, next_check_at__gt=at).update(next_check_at=at)
