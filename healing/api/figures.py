"""The queries behind `healing_stats`: what the database counts, and what `healing.core.stats` computes from it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from django.apps import apps
from django.db.models import Count, Max, Min, Q, QuerySet, Sum

from healing.core import stats
from healing.core.shedding import RANKS
from healing.core.types import (
    FOUND_TYPES,
    ActionKind,
    ActionResult,
    AlertLevel,
    FailureType,
    Health,
    Lifecycle,
)
from healing.models import (
    Attempt,
    AttemptState,
    Container,
    FailureRecord,
    HealthStatus,
    Host,
    Project,
    PutOff,
)


@dataclass(frozen=True, slots=True)
class Selection:
    """What to count: None is no limit on that side."""

    since: datetime | None = None
    project: Project | None = None
    host: Host | None = None

    def where(self, prefix: str = "") -> Q:
        """The condition on the container behind `prefix`."""
        condition = Q()
        if self.project is not None:
            condition &= Q(**{f"{prefix}project": self.project})
        if self.host is not None:
            condition &= Q(**{f"{prefix}host": self.host})
        return condition

    def from_time(self, field: str) -> Q:
        return Q(**{f"{field}__gte": self.since}) if self.since is not None else Q()


def figures(selection: Selection) -> dict[str, Any]:
    """All figures of one selection; durations in seconds, rates from 0 to 1, None where nothing can be told."""
    records = FailureRecord.objects.filter(
        selection.where("container__") & selection.from_time("detected_at")
    )
    found = records.filter(is_found=True, in_success_rate=True).order_by()
    return {
        "containers": Container.objects.filter(selection.where()).count(),
        **_failures(found),
        **_restarts(found),
        "failure_types": _counts(found, "failure_type", FOUND_TYPES),
        "automation_records": _counts(
            records.filter(is_found=False),
            "failure_type",
            tuple(kind for kind in FailureType if kind not in FOUND_TYPES),
        ),
        "alerts_by_level": _alerts(selection),
        "health_distribution": _counts(_statuses(selection), "status", tuple(Health)),
        "lifecycle_distribution": _counts(_statuses(selection), "lifecycle", tuple(Lifecycle)),
        "healing_latency": _healing_latency(found),
        "put_off": {"checks": _checks_put_off(selection), "heals": _heals_put_off(records)},
    }


def _failures(found: QuerySet[FailureRecord]) -> dict[str, Any]:
    totals = found.aggregate(
        count=Count("id"),
        oldest=Min("detected_at"),
        newest=Max("detected_at"),
        unresolved=Count("id", filter=Q(resolved_at=None)),
    )
    healed = found.filter(action_result=ActionResult.SUCCESS, resolved_at__isnull=False).exclude(
        action__in=(ActionKind.ALERT, ActionKind.NONE)
    )
    return {
        "failures": totals["count"],
        "open_failures": totals["unresolved"],
        "mtbf": stats.mtbf(totals["oldest"], totals["newest"], totals["count"]),
        "mttr": stats.mttr(_pairs(healed, "detected_at", "resolved_at")),
    }


def _restarts(found: QuerySet[FailureRecord]) -> dict[str, Any]:
    states = _counts(
        Attempt.objects.filter(failure__in=found.values("id")),
        "state",
        (AttemptState.SUCCEEDED, AttemptState.FAILED),
    )
    succeeded, failed = states[AttemptState.SUCCEEDED], states[AttemptState.FAILED]
    results = _counts(
        found.filter(action__in=(ActionKind.RESTART, ActionKind.RECREATE), resolved_at__isnull=False),
        "action_result",
        tuple(ActionResult),
    )
    return {
        "restarts_succeeded": succeeded,
        "restarts_failed": failed,
        "restart_success_rate": stats.success_rate(succeeded, failed),
        "heal_success_rate": stats.success_rate(results[ActionResult.SUCCESS], results[ActionResult.FAILED]),
    }


def _healing_latency(found: QuerySet[FailureRecord]) -> dict[str, Any]:
    first = Attempt.objects.filter(failure__in=found.values("id"), number=1, answered_at__isnull=False)
    return asdict(stats.latency(_pairs(first, "failure__detected_at", "answered_at")))


def _checks_put_off(selection: Selection) -> dict[str, int] | None:
    """By priority; None for one project, because they are counted by host, in hours."""
    if selection.project is not None:
        return None
    rows = PutOff.objects.filter(host=selection.host) if selection.host else PutOff.objects.all()
    if selection.since is not None:
        rows = rows.filter(hour__gt=selection.since - timedelta(hours=1))
    counted = dict(rows.order_by().values_list("priority").annotate(Sum("checks")))
    return {priority.value: counted.get(rank, 0) for rank, priority in enumerate(RANKS)}


def _heals_put_off(records: QuerySet[FailureRecord]) -> dict[str, int]:
    rows = records.filter(put_off_at__isnull=False).order_by()
    counted = dict(rows.values_list("priority").annotate(Count("pk")))
    return {priority.value: counted.get(rank, 0) for rank, priority in enumerate(RANKS)}


def _pairs(rows: QuerySet[Any], start: str, end: str) -> Iterator[tuple[datetime, datetime]]:
    pairs: Iterator[tuple[datetime, datetime]] = rows.order_by().values_list(start, end).iterator()
    return pairs


def _statuses(selection: Selection) -> QuerySet[HealthStatus]:
    return HealthStatus.objects.filter(selection.where("container__"))


def _alerts(selection: Selection) -> dict[str, int]:
    notifications = apps.get_model("notifications", "Notification")._default_manager.all()
    condition = selection.from_time("created_at")
    if selection.project is not None:
        condition &= Q(project=selection.project.name)
    if selection.host is not None:
        condition &= Q(host=selection.host.name)
    return _counts(notifications.filter(condition), "level", tuple(AlertLevel))


def _counts(rows: QuerySet[Any], field: str, expected: tuple[Any, ...]) -> dict[str, int]:
    """How many rows have each value: the expected ones always, in their order, others only where they occur."""
    counted = dict(rows.order_by().values_list(field).annotate(Count("pk")))
    return {str(value): counted.pop(value, 0) for value in expected} | dict(sorted(counted.items()))
