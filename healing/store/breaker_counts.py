"""What the breakers count: failures that people do not know of yet, among the containers that normally run."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection
from django.db.models import Count, IntegerField, Q, QuerySet
from django.db.models.expressions import RawSQL

from healing.core import breaker
from healing.core.breaker import BREAKER, LEAST
from healing.core.decide import HELD
from healing.core.types import FailureType, Lifecycle
from healing.models import (
    FailureRecord,
    HealthStatus,
    Host,
    HostState,
    SystemState,
)
from healing.store import troubles
from healing.store.statuses import AT_REST

Row = Host | SystemState
"""Where a breaker is kept: a host's own, or the fleet's."""
STARTED = "started"
"""The heartbeat that says when Selfheal began to work after it had been away."""
AWAY = timedelta(seconds=30)
NOT_OVER = Q(breaker_since__isnull=False) | Q(breaker_incident__isnull=False)
_NOT_RUNNING = (*AT_REST, Lifecycle.NEW, Lifecycle.PAUSED)
_UNSETTLED = ~Q(failure_type=FailureType.HEALTH_CHECK_FAILED)
"""As `is_unsettled`."""
_BY_US = f"{HELD}: {BREAKER} "
_SPARED = (
    (Q(reason__startswith=f"{HELD}: ") & ~Q(reason__startswith=_BY_US))
    | Q(reason__startswith="paused: ")
    | Q(is_trial=True)
    | Q(in_success_rate=False)
)
"""Held for maintenance or for another that fails, paused, tried in quarantine, or no failure but somebody's wish."""


def counted() -> QuerySet[FailureRecord]:
    """The open failures that count: of containers that are supervised and normally run."""
    rows = FailureRecord.objects.filter(
        resolved_at__isnull=True,
        is_found=True,
        container__monitored=True,
        container__host__enabled=True,
    )
    return rows.exclude(container__health__lifecycle__in=_NOT_RUNNING).exclude(_SPARED).order_by()


def _running() -> QuerySet[HealthStatus]:
    rows = HealthStatus.objects.filter(container__monitored=True, container__host__enabled=True)
    return rows.exclude(lifecycle__in=_NOT_RUNNING).order_by()


def with_open_failures(rows: QuerySet[Host]) -> QuerySet[Host]:
    """Hosts with `open_failures`, as part of the same statement: no fewer than those that count."""
    return rows.annotate(open_failures=_OF_HOST)


def count_of(host: Any) -> breaker.Count | None:
    """What a host that was read `with_open_failures` counts; None, without a statement, where that is no storm."""
    if host.open_failures < LEAST:
        return None
    return breaker.Count(failures_of(host).count(), number_running(host))


def is_unsettled(failure: FailureRecord) -> bool:
    """Whether its container is stopped, or looping: not seen to run and yet be sick."""
    return failure.failure_type != FailureType.HEALTH_CHECK_FAILED


def failures_of(row: Row) -> QuerySet[FailureRecord]:
    """The failures that count for this breaker, oldest first."""
    rows = counted()
    if isinstance(row, Host):
        rows = rows.filter(container__host_id=row.pk)
    else:
        rows = rows.exclude(container__host__state=HostState.DOWN)
    return rows.select_related("container__host").order_by("detected_at", "pk")


def failing_among(container_ids: Collection[int]) -> set[int]:
    """Those of these containers that have an open failure (no statement for none)."""
    if not container_ids:
        return set()
    rows = FailureRecord.objects.filter(
        container_id__in=container_ids, resolved_at__isnull=True, is_found=True
    )
    return set(rows.values_list("container_id", flat=True))


def running_of(host_ids: Collection[int] | None = None) -> dict[int, int]:
    """How many containers normally run, by host that is not down; of all hosts for None (one statement)."""
    rows = _running().exclude(container__host__state=HostState.DOWN)
    if host_ids is not None:
        rows = rows.filter(container__host_id__in=host_ids)
    return dict(rows.values_list("container__host_id").annotate(Count("pk")))


def number_running(row: Row) -> int:
    """How many containers of a host, or of the fleet, normally run."""
    rows = _running()
    return (rows.filter(container__host_id=row.pk) if isinstance(row, Host) else rows).count()


def failing_by_host() -> dict[int, breaker.Count]:
    """What fails, hosts that are down apart: nothing is known of them. `running` is not counted yet."""
    rows = counted().exclude(container__host__state=HostState.DOWN).values("container__host_id")
    found = rows.annotate(failing=Count("pk"), unsettled=Count("pk", filter=_UNSETTLED))
    return {row["container__host_id"]: breaker.Count(row["failing"], 0, row["unsettled"]) for row in found}


@dataclass(frozen=True, slots=True)
class Glance:
    """Whether anything is to be looked at closely.

    `open_failures` over all hosts, counted or not. `any_open`: a breaker is open, or its incident not over. `any_up`: an
    enabled host is not down. `is_blind`: people were told that no engine answers. `ticked`: not longer than AWAY ago.
    """

    open_failures: int
    any_open: bool
    any_up: bool
    is_blind: bool
    ticked: bool

    @property
    def is_quiet(self) -> bool:
        """Whether no breaker can move."""
        return not self.any_open and self.open_failures < LEAST


def glance(now: datetime) -> Glance:
    """One statement, written out: the ORM would take milliseconds of every second to compose it."""
    since = connection.ops.adapt_datetimefield_value(now - AWAY)
    with connection.cursor() as cursor:
        cursor.execute(_GLANCE, [HostState.DOWN.value, troubles.NO_ENGINE, since])
        number, *flags = cursor.fetchone()
    return Glance(number, *map(bool, flags))


_GLANCE = """
    SELECT (SELECT COUNT(*) FROM healing_failurerecord WHERE is_found AND resolved_at IS NULL),
        EXISTS (SELECT 1 FROM healing_host WHERE breaker_since IS NOT NULL OR breaker_incident_id IS NOT NULL)
            OR EXISTS (SELECT 1 FROM healing_systemstate
                WHERE breaker_since IS NOT NULL OR breaker_incident_id IS NOT NULL),
        EXISTS (SELECT 1 FROM healing_host WHERE enabled AND state <> %s),
        EXISTS (SELECT 1 FROM healing_trouble WHERE key = %s AND resolved_at IS NULL),
        EXISTS (SELECT 1 FROM healing_heartbeat WHERE name = 'beat' AND at > %s)
"""
_OF_HOST = RawSQL(
    """(SELECT COUNT(*) FROM healing_failurerecord f JOIN healing_container c ON c.id = f.container_id
        WHERE c.host_id = healing_host.id AND f.is_found AND f.resolved_at IS NULL)""",
    (),
    output_field=IntegerField(),
)
"""Written out, as it is part of each decision: composing it would take longer than counting does."""
