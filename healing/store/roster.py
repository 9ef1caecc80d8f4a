"""What a sweep needs to know of a host's containers: one lean row each, without the ORM's objects.

Read at the start of a sweep.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from healing.models import HealthStatus


@dataclass(frozen=True, slots=True)
class Entry:
    """One monitored container. `next_check_at` None: it is looked at with each sweep of its host."""

    pk: int
    host_id: int
    name: str
    engine_id: str
    tenant_id: int | None
    project_id: int | None
    service_id: int | None
    paused_until: datetime | None
    paused_reason: str
    status: str
    lifecycle: str
    consecutive_failures: int
    next_check_at: datetime | None
    quarantine_until: datetime | None
    priority: int


_COLUMNS = (
    "container_id",
    "container__host_id",
    "container__name",
    "container__engine_id",
    "container__tenant_id",
    "container__project_id",
    "container__service_id",
    "container__paused_until",
    "container__paused_reason",
    "status",
    "lifecycle",
    "consecutive_failures",
    "next_check_at",
    "quarantine_until",
    "priority",
)


def of_host(host_id: int) -> list[Entry]:
    """All monitored containers of a host (one query)."""
    rows = HealthStatus.objects.filter(container__host_id=host_id, container__monitored=True)
    return [Entry(*row) for row in rows.values_list(*_COLUMNS)]
