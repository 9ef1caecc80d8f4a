"""Heals: claiming one, moving it on, closing it. One heal a container at any time; a stale fence never writes."""

from __future__ import annotations

import logging
import os
import socket
import threading
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Case, F, Q, When

from healing.core.shedding import DEFAULT_RANK
from healing.core.types import ActionKind, ActionResult, FailureType
from healing.core.wording import storable
from healing.models import AttemptState, CheckShard, Container, FailureRecord, Stage
from healing.store import queues, worker_signs
from healing.store.clock import TOLERANCE, db_now
from healing.store.suspects import is_let, one_last_life
from healing.store.violations import is_taken

logger = logging.getLogger(__name__)

CALL_SLACK = 20.0
"""Seconds beyond the stop timeout that the engine may take to answer."""
TAKE_OVER_SLACK = 10.0
"""Seconds after lease and stop timeout are over before another worker may take a restart over."""
BROKEN_PAUSE = timedelta(seconds=5)
"""Until a stage that has ended by an exception is tried again."""
_NAMES = ("tenant_id", "engine_id", "container_name", "host_name", "service_name", "project_name")


class StaleFence(Exception):
    """Somebody else has taken this heal over: nothing was written."""


@dataclass(frozen=True, slots=True)
class Next:
    """The stage that a heal is to go through next, as soon as somebody has time."""

    stage: Stage
    failure_id: int
    priority: int = field(default=DEFAULT_RANK, compare=False)
    """Its rank: 0 goes first."""
    elsewhere: bool = field(default=False, compare=False)
    """It follows from the work for another host, and has to be done where its own host's work is."""


def owner(mode: str = "worker") -> str:
    return f"{mode}:{socket.gethostname()}:{os.getpid()}:{threading.get_ident()}"


def claim(failure_id: int, stage: Stage, lease: float, *, early: bool = False) -> FailureRecord | None:
    """Take the heal for `lease` seconds if it is at this stage, is due (or `early`) and nobody else has it.

    A lease that has ended and was never given back is counted in `lost_claims`: its worker may have died of this heal.
    One that would be set aside for another such end goes alone: in step, the innocent would be set aside with the guilty.
    One of a host that is not `queues.is_ours` is left to whom it is sent next.
    """
    now = db_now()
    rows = FailureRecord.objects.filter(pk=failure_id, stage=stage, resolved_at__isnull=True)
    rows = rows.filter(Q(lease_until__isnull=True) | Q(lease_until__lte=now))
    if not early:
        rows = rows.filter(Q(due_at__isnull=True) | Q(due_at__lte=now + TOLERANCE))
    rows = rows.filter(is_let(now))
    lost = Case(When(lease_until__isnull=False, then=F("lost_claims") + 1), default=F("lost_claims"))
    lease_until = now + timedelta(seconds=lease)
    taken = rows.update(fence=F("fence") + 1, lease_until=lease_until, lease_owner=owner(), lost_claims=lost)
    if not taken:
        return None
    logger.debug("claimed", extra={"action": "claimed", "failure": failure_id, "stage": stage.value})
    # Whoever stands still right here, for longer than the lease, must not read the fence of its successor.
    mine = FailureRecord.objects.filter(pk=failure_id, lease_owner=owner())
    failure = mine.select_related("container__host", "container__health").first()
    return failure if failure is None or _is_ours(failure) else None


def _is_ours(failure: FailureRecord) -> bool:
    """Whether this thread may go on with what it has claimed; the claim is given back where it may not."""
    host = failure.container.host
    if queues.is_ours(host):
        return True
    FailureRecord.objects.filter(pk=failure.pk, fence=failure.fence, lease_owner=failure.lease_owner).update(
        lease_until=None
    )
    extra = {"action": "left_elsewhere", "failure": failure.pk, "host": host.name}
    logger.info("left to those that serve the queue of its host", extra=extra)
    return False


def write(failure: FailureRecord, **fields: Any) -> None:
    """Write fields of a claimed heal; raise StaleFence where the claim is no longer ours.

    Claims are not synced to disk: a database that crashed may give a fence out twice, and to another.
    """
    fields = {name: storable(value) if isinstance(value, str) else value for name, value in fields.items()}
    rows = FailureRecord.objects.filter(pk=failure.pk, fence=failure.fence, resolved_at__isnull=True)
    rows = rows.filter(lease_owner=failure.lease_owner)
    if not rows.update(**fields):
        raise StaleFence(f"failure #{failure.pk} was taken over by another worker")
    for name, value in fields.items():
        setattr(failure, name, value)
    if failure.lease_until is not None:
        worker_signs.lasts_until(failure.lease_until)


def move(failure: FailureRecord, stage: Stage, due_at: datetime | None, **fields: Any) -> None:
    """Go to a stage, due at a time (None: at once), and give the claim back: nobody has died of it this time.

    A diagnosis that ends well says nothing of the call that it leads to, so it forgets no deaths.
    """
    lost = failure.lost_claims if failure.stage == Stage.DIAGNOSE else 0
    back: dict[str, Any] = {"lease_until": None, "lost_claims": lost}
    write(failure, stage=stage, due_at=due_at or db_now(), **(back | fields))


def extend(failure: FailureRecord, seconds: float) -> None:
    """Keep the claim for so long from now on, where what comes may take longer than the lease."""
    write(failure, lease_until=db_now() + timedelta(seconds=seconds))


def keep(failure: FailureRecord, seconds: float) -> None:
    """Have the claim last so long from now on (no statement where it does anyhow). Raise StaleFence where it is no longer ours."""
    ends = failure.lease_until
    if ends is None or ends < db_now() + timedelta(seconds=seconds):
        extend(failure, 2 * seconds)


def close(failure: FailureRecord, result: ActionResult, reason: str, now: datetime, **fields: Any) -> None:
    """End the record. Nothing about it is due any more."""
    write(
        failure,
        stage=Stage.CLOSED,
        action_result=result,
        reason=reason,
        resolved_at=now,
        due_at=None,
        lease_until=None,
        **fields,
    )


def open_failure(container: Container, now: datetime, **fields: Any) -> FailureRecord | None:
    """Open the one failure of a container; None where one is open already. Raise what else the database has against it."""
    try:
        with transaction.atomic():
            return FailureRecord.objects.create(
                container=container,
                detected_at=now,
                due_at=now,
                stage=Stage.DIAGNOSE,
                **names(container),
                **fields,
            )
    except IntegrityError as error:
        if not is_taken(error):
            raise
        return None


def add_child(
    failure: FailureRecord,
    failure_type: FailureType,
    action: ActionKind,
    result: ActionResult,
    message: str,
    now: datetime,
) -> FailureRecord:
    """A record of its own about what automation did."""
    return FailureRecord.objects.create(
        container=failure.container,
        parent=failure,
        is_found=False,
        failure_type=failure_type,
        cause=failure.cause,
        error_message=message,
        action=action,
        action_result=result,
        reason=message,
        detected_at=now,
        resolved_at=now,
        stage=Stage.CLOSED,
        **{name: getattr(failure, name) for name in _NAMES},
    )


def names(container: Container) -> dict[str, Any]:
    """What a record keeps of its container, so that it still says so when the container is gone."""
    return {
        "tenant_id": container.tenant_id,
        "engine_id": container.engine_id,
        "container_name": container.name,
        "host_name": container.host.name,
        "service_name": container.service.name if container.service else "",
        "project_name": container.project.name if container.project else "",
    }


def open_failures(container_ids: list[int]) -> dict[int, FailureRecord]:
    """The open failures of these containers, by container."""
    rows = FailureRecord.objects.filter(
        container_id__in=container_ids, resolved_at__isnull=True, is_found=True
    )
    return {row.container_id: row for row in rows}


def open_failures_of_host(host_id: int) -> dict[int, FailureRecord]:
    rows = FailureRecord.objects.filter(container__host_id=host_id, resolved_at__isnull=True, is_found=True)
    return {row.container_id: row for row in rows}


def due(now: datetime, limit: int = 500, unserved: Collection[str] = ()) -> list[Next]:
    """Heals that nobody is moving although it is their time, the most important first.

    Of each of the host queues that nobody serves only one, to find out when somebody does: the others would fill `limit`.
    """
    rows = FailureRecord.objects.filter(is_found=True, resolved_at__isnull=True, due_at__lte=now)
    rows = (
        rows.filter(Q(lease_until__isnull=True) | Q(lease_until__lte=now))
        .filter(is_let(now))
        .order_by("priority", "due_at")
        .only("stage", "priority", "lost_claims", "lease_until")
    )
    found = (
        list(rows.exclude(container__host__queue__in=unserved)[:limit]) if unserved else list(rows[:limit])
    )
    for queue in sorted(unserved):
        found += rows.filter(container__host__queue=queue)[:1]
    return [Next(Stage(row.stage), row.pk, row.priority) for row in one_last_life(found)]


def overdue(
    now: datetime, by: timedelta, taken: Collection[int], host_queues: Collection[str] | None, limit: int
) -> list[Next]:
    """As `due`, for a sweeper: only what has been due, and free, for longer than `by`, or was `taken` up by it before.

    Of hosts of these queues (None: of all), and of disabled ones, whose heals are only to be ended.
    """
    free = Q(lease_until__isnull=True) | Q(lease_until__lte=now - by)
    waits = Q(due_at__lte=now - by) | Q(pk__in=taken, due_at__lte=now)
    rows = FailureRecord.objects.filter(free, waits, is_let(now), is_found=True, resolved_at__isnull=True)
    if host_queues is not None:
        rows = rows.filter(Q(container__host__queue__in=host_queues) | Q(container__host__enabled=False))
    found = rows.order_by("priority", "due_at").only("stage", "priority", "lost_claims", "lease_until")
    return [Next(Stage(row.stage), row.pk, row.priority) for row in one_last_life(found[:limit])]


def put_back(failure_id: int, pause: timedelta, reason: str, *, counts: bool) -> bool:
    """Give back a claim of this thread that an exception has left, to be taken up again after `pause`; False where it has none.

    `counts`: the heal itself may be the cause, as it may be of a worker's death. A restart that was called keeps its time.
    """
    later = db_now() + pause
    due_at = Case(When(due_at__gt=later, then=F("due_at")), default=later)
    lost = F("lost_claims") + 1 if counts else F("lost_claims")
    rows = FailureRecord.objects.filter(pk=failure_id, lease_owner=owner(), lease_until__isnull=False)
    return bool(rows.update(lease_until=None, due_at=due_at, lost_claims=lost, reason=storable(reason)))


def is_common(failure_id: int, reason: str, now: datetime) -> bool:
    """Whether another heal stands for a reason that begins so as well, and none has succeeded since it was last tried."""
    open_ones = FailureRecord.objects.filter(is_found=True, resolved_at__isnull=True)
    if not open_ones.filter(reason__startswith=reason).exclude(pk=failure_id).exists():
        return False
    ended = FailureRecord.objects.filter(is_found=True, resolved_at__gt=now - BROKEN_PAUSE)
    return not ended.filter(action_result=ActionResult.SUCCESS).exists()


def any_stands(reason: str) -> bool:
    """Whether some open heal stands for a reason that begins so."""
    rows = FailureRecord.objects.filter(is_found=True, resolved_at__isnull=True)
    return rows.filter(reason__startswith=reason).exists()


def wake(reason: str, now: datetime) -> int:
    """Have the heals that wait for a reason that begins so decided again now; how many."""
    waiting = FailureRecord.objects.filter(
        is_found=True, resolved_at__isnull=True, lease_until__isnull=True, due_at__gt=now
    )
    stages = (Stage.DIAGNOSE, Stage.OBSERVE)
    return waiting.filter(stage__in=stages, reason__startswith=reason).update(due_at=now)


def take_over_at(lease_until: datetime, stop_timeout: float) -> datetime:
    """When another worker may look at a restart whose worker has gone silent."""
    return lease_until + timedelta(seconds=stop_timeout + TAKE_OVER_SLACK)


def end_leases_of_dead_process() -> int:
    """After a start of the embedded mode: its state folder is locked, so whoever held a lease is dead.

    A restart that had been called still waits for its stop timeout, because the engine goes on with it.
    """
    now = db_now()
    CheckShard.objects.filter(lease_until__isnull=False).update(lease_until=None)
    ended = 0
    rows = FailureRecord.objects.filter(resolved_at__isnull=True, lease_until__isnull=False)
    for failure in rows:
        attempt = failure.attempts.order_by("-number").first()
        called = attempt is not None and attempt.state == AttemptState.CALLED
        due_at = take_over_at(now, attempt.stop_timeout) if called and attempt is not None else now
        ended += FailureRecord.objects.filter(pk=failure.pk, fence=failure.fence).update(
            lease_until=None, due_at=due_at
        )
    return ended
