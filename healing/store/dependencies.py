"""How the containers that others need stand, and the failures that wait for them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, TypeVar

from django.db.models import F, Model, OuterRef, Q, QuerySet, Subquery

from healing.core.decide import HELD
from healing.core.dependencies import Member
from healing.core.types import Health, Lifecycle
from healing.models import AttemptState, Container, FailureRecord, HealthStatus, Stage
from healing.store import hosts
from healing.store.heals import Next

WAITS = f"{HELD}: waits for "
"""So begins the reason of a failure that is held because a container that it needs fails."""
NOTE = "dependency"
"""The part of a failure's details that says for whom it was held, and since when that is back."""
ALONG = "restart_along"
"""The part that says along with whom the container is to be restarted, and since when."""
_SEEM_WELL = (Lifecycle.NEW, Lifecycle.STARTING, Lifecycle.RUNNING, Lifecycle.RESTARTING)
_OPEN = {"resolved_at__isnull": True, "is_found": True}
_Row = TypeVar("_Row", bound=Model)


def members(container_ids: Collection[int]) -> dict[int, Member]:
    """How these containers stand; those that nobody looks at are left out (one statement)."""
    open_failure = FailureRecord.objects.filter(container_id=OuterRef("pk"), **_OPEN).values("pk")[:1]
    rows = HealthStatus.objects.filter(
        pk__in=container_ids, container__monitored=True, container__host__enabled=True
    ).annotate(failure=Subquery(open_failure))
    found = rows.values_list("pk", "container__name", "status", "lifecycle", "failure")
    return {
        pk: Member(name, Health(status), Lifecycle(state), failure)
        for pk, name, status, state, failure in found
    }


def seem_well(container_ids: Collection[int], host_id: int) -> list[int]:
    """Those of this host of which nothing bad is known, so that it is worth looking at them."""
    rows = HealthStatus.objects.filter(
        pk__in=container_ids, container__host_id=host_id, lifecycle__in=_SEEM_WELL
    )
    failing = FailureRecord.objects.filter(container_id__in=container_ids, **_OPEN)
    return list(rows.exclude(pk__in=failing.values("container_id")).values_list("pk", flat=True))


def wake(container_ids: Collection[int], came_back: int, now: datetime) -> list[Next]:
    """Have the failures of these containers that wait for the one that has come back decided anew, and them looked at.

    Those that wait for a container of the same service are meant too, as one of them may be enough. What somebody is
    deciding about at this moment is left to them. Call it in a transaction: it waits for no row that another one holds.
    """
    free = Q(lease_until__isnull=True) | Q(lease_until__lte=now)
    held = list(_held(container_ids).filter(free).select_related("container"))
    if not held:
        return []
    names, host_id = _service_of(came_back)
    woken = [failure for failure in held if _waits_for_any(failure.reason, names)]
    if not woken:
        return []
    statuses = HealthStatus.objects.filter(pk__in=[failure.container_id for failure in woken])
    _unlocked(statuses).update(next_check_at=now)
    _unlocked(FailureRecord.objects.filter(free, pk__in=[failure.pk for failure in woken])).update(due_at=now)
    for its_host in sorted({failure.container.host_id for failure in woken}):
        hosts.sooner(its_host, now)
    return [
        Next(Stage.DIAGNOSE, each.pk, each.priority, elsewhere=each.container.host_id != host_id)
        for each in woken
    ]


def _unlocked(rows: QuerySet[_Row]) -> QuerySet[_Row]:
    """Those of these rows that nobody else has locked, locked now: two that wake each other's would wait for ever."""
    free = rows.select_for_update(skip_locked=True).values_list("pk", flat=True)
    return rows.model._default_manager.filter(pk__in=list(free))


def _service_of(container_id: int) -> tuple[list[str], int | None]:
    """The names of a container and of the others of its service; and its host (None: it is gone)."""
    rows = Container.objects.filter(Q(pk=container_id) | Q(service__containers=container_id))
    found = list(rows.values_list("pk", "name", "host_id").distinct())
    host_id = next((its_host for pk, _, its_host in found if pk == container_id), None)
    return [name for _, name, _ in found], host_id


def away(container_ids: Collection[int], host_id: int) -> set[int]:
    """Those of these containers that are on other hosts than this one."""
    rows = Container.objects.filter(pk__in=container_ids).exclude(host_id=host_id)
    return set(rows.values_list("pk", flat=True))


def _waits_for_any(reason: str, names: Collection[str]) -> bool:
    return any(reason == f"{WAITS}{name}" or reason.startswith(f"{WAITS}{name} (") for name in names)


def _held(container_ids: Collection[int]) -> QuerySet[FailureRecord]:
    return FailureRecord.objects.filter(
        container_id__in=container_ids, stage=Stage.DIAGNOSE, reason__startswith=WAITS, **_OPEN
    ).order_by("priority", "pk")


def note(failure: FailureRecord, now: datetime, **details: Any) -> bool:
    """Add to what an open failure that is only thought about keeps, and have it decided anew at once.

    False where it is being acted upon. Who is deciding about it finds the claim gone, and would not have known of this.
    """
    rows = FailureRecord.objects.filter(pk=failure.pk, fence=failure.fence, resolved_at__isnull=True)
    return bool(
        rows.filter(stage__in=(Stage.DIAGNOSE, Stage.OBSERVE)).update(
            stage=Stage.DIAGNOSE,
            due_at=now,
            fence=F("fence") + 1,
            lease_until=None,
            details={**failure.details, **details},
        )
    )


def along_with(failure: FailureRecord) -> str:
    """The container along with which this one is still to be restarted; empty where there is none, or it has been."""
    noted = failure.details.get(ALONG)
    if not noted:
        return ""
    made = failure.attempts.filter(intent_at__gte=datetime.fromisoformat(noted["at"]))
    return "" if made.exclude(state=AttemptState.WITHDRAWN).exists() else str(noted["with"])


def root(failure_id: int | None) -> int | None:
    """The incident that a failure belongs to: its parent, or itself; None where it is gone."""
    if failure_id is None:
        return None
    row = FailureRecord.objects.filter(pk=failure_id).values_list("parent_id", flat=True).first()
    return row or failure_id


def newest_failure(container_id: int) -> int | None:
    """The newest found failure of a container, open or closed."""
    rows = FailureRecord.objects.filter(container_id=container_id, is_found=True)
    return rows.order_by("-detected_at", "-pk").values_list("pk", flat=True).first()


def first_held(container_ids: Collection[int], name: str, besides: int) -> int | None:
    """The oldest failure of these containers that waits for the container of this name."""
    waits = Q(reason=f"{WAITS}{name}") | Q(reason__startswith=f"{WAITS}{name} (")
    rows = _held(container_ids).filter(waits).exclude(pk=besides)
    return rows.order_by("pk").values_list("pk", flat=True).first()


def waiting(failure: FailureRecord) -> list[str]:
    """The names of the containers whose open failures belong to this one."""
    rows = FailureRecord.objects.filter(parent_id=failure.pk, reason__startswith=WAITS, **_OPEN)
    return list(rows.order_by("container_name").values_list("container_name", flat=True))


def up(container_ids: Sequence[int]) -> list[Container]:
    """Those of these containers that are looked at and run, with all that a record is to be named by."""
    rows = Container.objects.filter(
        pk__in=container_ids,
        monitored=True,
        host__enabled=True,
        health__lifecycle__in=(Lifecycle.STARTING, Lifecycle.RUNNING),
    )
    return list(rows.select_related("host", "project", "service", "health").order_by("pk"))
