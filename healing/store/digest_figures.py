"""What a digest counts: the found failures of a time and their attempts. Two statements, however many there are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Q, QuerySet

from healing.models import Attempt, FailureRecord

_COLUMNS = (
    "pk", "container_id", "container_name", "host_name", "detected_at", "resolved_at", "action", "action_result",
    "reason", "is_trial", "details__first__failed_at",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Found:
    """One failure that was found in that time. `failed_at`: when it began, where the engine could tell."""

    pk: int
    container_id: int
    name: str
    host: str
    detected_at: datetime
    resolved_at: datetime | None
    action: str
    result: str
    reason: str
    is_trial: bool
    failed_at: datetime | None


@dataclass(frozen=True, slots=True)
class Made:
    """One attempt: for which failure, the how-manieth in a row, how far it came, and whether the engine was called."""

    failure_id: int
    row_number: int
    state: str
    is_called: bool


def found(start: datetime, end: datetime, tenant_id: int | None = None) -> Iterator[Found]:
    """The failures that were found from `start` to before `end`, oldest first."""
    rows = _failures(start, end, tenant_id).order_by("detected_at", "pk")
    for columns in rows.values_list(*_COLUMNS).iterator():
        values: list[Any] = list(columns)
        values[-1] = datetime.fromisoformat(values[-1]) if values[-1] else None
        yield Found(*values)


def made(start: datetime, end: datetime, tenant_id: int | None = None) -> Iterator[Made]:
    """The attempts that were made for these failures, oldest first for each."""
    failures = _failures(start, end, tenant_id).order_by()
    rows = Attempt.objects.filter(failure__in=failures.values("pk")).order_by("failure_id", "number")
    for failure_id, row_number, state, called_at in rows.values_list(
        "failure_id", "row_number", "state", "called_at"
    ).iterator():
        yield Made(failure_id, row_number, state, called_at is not None)


def _failures(start: datetime, end: datetime, tenant_id: int | None) -> QuerySet[FailureRecord]:
    """As `healing_stats` counts them: found ones, without those that say nothing about healing."""
    rows = FailureRecord.objects.filter(
        is_found=True, in_success_rate=True, detected_at__gte=start, detected_at__lt=end
    )
    return rows if tenant_id is None else rows.filter(_of_tenant(tenant_id))


def _of_tenant(tenant_id: int) -> Q:
    """The container's own tenant, else its project's, else its host's."""
    own = Q(tenant=tenant_id)
    project = Q(tenant=None, container__project__tenant=tenant_id)
    host = Q(tenant=None, container__project__tenant=None, container__host__tenant=tenant_id)
    return own | project | host
