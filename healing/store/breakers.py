"""Breakers: how they stand on the rows of hosts and of the whole system, and which failures belong to them.

Moves are conditional UPDATEs, so that each is made and told once, whoever sees that it is due.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.db.models.expressions import RawSQL

from healing.core import breaker
from healing.core.breaker import BREAKER, STORM, BreakerMode
from healing.core.decide import HELD
from healing.core.types import Lifecycle
from healing.models import FailureRecord, Heartbeat, Host, Stage, SystemState
from healing.store.breaker_counts import NOT_OVER, STARTED, Row


def hosts_to_look_at(failing: Collection[int]) -> list[Host]:
    """The hosts of these ids, and all whose breaker is open or whose incident is not over."""
    return list(Host.objects.filter(Q(pk__in=failing) | NOT_OVER).order_by("pk"))


def to_core(row: Row) -> breaker.Breaker:
    """The breaker as `core` reads it."""
    return breaker.Breaker(
        name=name_of(row),
        mode=BreakerMode(row.breaker_mode),
        share=row.breaker_share,
        since=row.breaker_since,
        calm_since=row.breaker_calm_since,
        approved_until=row.approved_until,
    )


def name_of(row: Row) -> str:
    """ "host web-1" or "the fleet"."""
    return f"host {row.name}" if isinstance(row, Host) else "the fleet"


def first_of(rows: QuerySet[FailureRecord], now: datetime) -> FailureRecord | None:
    """The failure that began the storm: the oldest of those that belong to no other, or the newest where none is recent.

    What stands for a host's incident already does not stand for the fleet's too, nor the other way round.
    """
    hosts, fleets = (
        model._default_manager.filter(breaker_incident=OuterRef("pk")) for model in (Host, SystemState)
    )
    free = rows.filter(~Exists(hosts), ~Exists(fleets))
    own = free.filter(parent__isnull=True)
    return own.filter(detected_at__gte=now - STORM).first() or own.last() or free.first() or rows.first()


def _same(row: Row) -> QuerySet[Any]:
    return type(row)._default_manager.filter(pk=row.pk)


def _write(row: Row, condition: QuerySet[Any], **fields: Any) -> bool:
    if not condition.update(**fields):
        return False
    for name, value in fields.items():
        setattr(row, name, value)
    return True


def open_up(row: Row, incident_id: int, now: datetime) -> bool:
    """Open it; False where somebody else has. No approval was given for this time yet."""
    fields = {
        "breaker_since": now,
        "breaker_incident_id": incident_id,
        "breaker_calm_since": None,
        "approved_until": None,
    }
    return _write(row, _same(row).filter(breaker_since__isnull=True), **fields)


def set_calm(row: Row, since: datetime | None) -> bool:
    return _write(row, _same(row).filter(breaker_since=row.breaker_since), breaker_calm_since=since)


def close(row: Row) -> bool:
    """Close it; False where somebody else has. An approval was for this time only. The incident may go on."""
    same = _same(row).filter(breaker_since=row.breaker_since, breaker_since__isnull=False)
    return _write(row, same, breaker_since=None, breaker_calm_since=None, approved_until=None)


def end_incident(row: Row) -> bool:
    """Forget the incident of a closed breaker; False where somebody else has."""
    same = _same(row).filter(breaker_since__isnull=True, breaker_incident_id=row.breaker_incident_id)
    return _write(row, same.filter(breaker_incident__isnull=False), breaker_incident_id=None)


def approve(row: Row, until: datetime) -> bool:
    """Note that a person lets this opening's heals go on until then; False where it has closed since it was read."""
    same = _same(row).filter(breaker_since=row.breaker_since, breaker_since__isnull=False)
    return _write(row, same, approved_until=until)


def end_approval(row: Row, now: datetime) -> bool:
    """Note that an approval has run out; False where somebody else has, or a person has given another."""
    return _write(row, _same(row).filter(approved_until__lte=now), approved_until=None)


def replace_incident(row: Row, incident_id: int | None) -> None:
    """Another record stands for the incident: the first was deleted, or it has become the fleet's."""
    _write(row, _same(row).filter(breaker_since__isnull=False), breaker_incident_id=incident_id)


def leave_fleet(incident_id: int, now: datetime) -> None:
    """Hosts whose open breaker was part of the fleet's incident are on their own again: opened anew, and told, if need be.

    What they hold is decided anew. Nothing happens while the fleet's breaker is open.
    """
    is_open = SystemState.objects.filter(breaker_since__isnull=False, breaker_incident_id=incident_id)
    rows = Host.objects.filter(~Exists(is_open), breaker_incident_id=incident_id)
    for host in rows.order_by("pk"):
        with transaction.atomic():  # each on its own: nobody waits for two hosts
            own = rows.filter(pk=host.pk)
            if own.update(breaker_since=None, breaker_calm_since=None, breaker_incident=None):
                wake(host, now)


def attach(incident_id: int, rows: QuerySet[FailureRecord]) -> int:
    """Make these failures part of the incident; what belongs to another already stays there."""
    of_itself = Q(pk=incident_id) | Q(children=incident_id)
    found = rows.filter(parent__isnull=True).exclude(of_itself).order_by("pk")
    ids = list(found.values_list("pk", flat=True))
    return FailureRecord.objects.filter(pk__in=ids, parent__isnull=True).update(parent_id=incident_id)


def belongs(failure_id: int, incidents: Collection[int | None]) -> bool:
    """Whether a failure is a member of one of these incidents (one statement for each step up to it)."""
    seen: set[int] = set()
    each: int | None = failure_id
    while each is not None and each not in seen:
        if each in incidents:
            return True
        seen.add(each)
        each = FailureRecord.objects.filter(pk=each).values_list("parent_id", flat=True).first()
    return False


def members(incident_id: int) -> QuerySet[FailureRecord]:
    """The failures of an incident, its first included, and all that belong to one of them, however many steps away."""
    tree = RawSQL(
        """WITH RECURSIVE tree(id) AS (
            SELECT id FROM healing_failurerecord WHERE id = %s
            UNION SELECT f.id FROM healing_failurerecord f JOIN tree ON f.parent_id = tree.id
        ) SELECT id FROM tree""",
        (incident_id,),
    )
    return FailureRecord.objects.filter(pk__in=tree, is_found=True).order_by("detected_at", "pk")


def of_incidents() -> set[int]:
    """The failures of all incidents that are not over: what a breaker's alert stands for until its end."""
    found: set[int] = set()
    for model in (Host, SystemState):
        rows = model._default_manager.filter(breaker_incident__isnull=False)
        for incident_id in rows.values_list("breaker_incident_id", flat=True):
            found.update(members(incident_id).values_list("pk", flat=True))
    return found


def quarantined(incident_id: int) -> list[str]:
    """The names of the containers of an incident that are in quarantine, and not out of Selfheal's care."""
    names = members(incident_id).filter(
        container__health__lifecycle=Lifecycle.QUARANTINED,
        container__monitored=True,
        container__host__enabled=True,
    )
    return list(dict.fromkeys(names.values_list("container_name", flat=True)))


def write_setting(row: Row, **fields: Any) -> None:
    """Write what a person has set, and nothing else of the row. What it holds is read with each decision."""
    _write(row, _same(row), **fields)


def held(row: Row) -> QuerySet[FailureRecord]:
    """The heals that wait for this breaker."""
    rows = FailureRecord.objects.filter(
        resolved_at__isnull=True, stage=Stage.DIAGNOSE, reason__startswith=f"{HELD}: {BREAKER} {name_of(row)}"
    )
    return rows.filter(container__host_id=row.pk) if isinstance(row, Host) else rows


def wake(row: Row, now: datetime) -> int:
    """Have the heals that wait for this breaker decided anew."""
    return held(row).filter(due_at__gt=now).update(due_at=now)


def in_grace(row: Host, started_at: datetime | None, now: datetime) -> bool:
    """Whether the host was first seen, came back, or Selfheal began to work, less than its start grace ago."""
    if row.grace_until is not None and now < row.grace_until:
        return True
    grace = timedelta(seconds=row.start_grace)
    return any(begun is not None and now < begun + grace for begun in (row.state_since, started_at))


def started_at() -> datetime | None:
    """When Selfheal began to work after it had been away last."""
    return Heartbeat.objects.filter(name=STARTED).values_list("at", flat=True).first()
