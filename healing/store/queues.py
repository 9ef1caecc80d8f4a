"""Which queue the work of a host waits in, and whether workers take from it.

A worker shows that it serves a queue (`worker_signs.serve`). That nobody does is seen when work has been claimed for a queue
and nobody takes it up: one lost message is not yet that, so it has to be so for UNSERVED_FOR.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime, timedelta

from django.conf import settings

from healing.core.queues import CHECKS, HEAL, common_of, name_of, near
from healing.models import CheckShard, FailureRecord, Heartbeat, Host, HostState
from healing.store.closely import CLOSELY

SIGN = "queue:"
SILENT = timedelta(seconds=20)
"""Signs come every few seconds from a worker that has work; after this long without one nobody serves the queue."""
UNSERVED_FOR = timedelta(seconds=25)
HEAL_UNSERVED = timedelta(seconds=30)
_SUSPECT = "unserved:"
_BROKEN_OFF = timedelta(seconds=30)
_only: ContextVar[Collection[str] | None] = ContextVar("only", default=None)


def of_hosts(host_ids: Iterable[int]) -> dict[int, str]:
    """The names of these hosts' queues. One process serves all by itself: empty then, for all."""
    if settings.EMBEDDED:
        return dict.fromkeys(host_ids, "")
    return dict(Host.objects.filter(pk__in=set(host_ids)).values_list("pk", "queue"))


def of_failures(failure_ids: Iterable[int]) -> dict[int, str]:
    """The names of the queues of the hosts that these failures are on."""
    if settings.EMBEDDED:
        return dict.fromkeys(failure_ids, "")
    rows = FailureRecord.objects.filter(pk__in=set(failure_ids))
    return {pk: name or "" for pk, name in rows.values_list("pk", "container__host__queue")}


@contextmanager
def only(names: Collection[str] | None) -> Iterator[None]:
    """Within, this thread acts for the hosts of the queues of these names alone (None: for all, as one process does)."""
    before = _only.set(None if settings.EMBEDDED else names)
    try:
        yield
    finally:
        _only.reset(before)


def is_ours(host: Host) -> bool:
    """Whether this thread may act for a host: from elsewhere its address may mean another engine. A disabled one is asked by nobody."""
    names = _only.get()
    return names is None or host.queue in names or not host.enabled


def hosts_of(queue: str) -> list[Host]:
    """The enabled hosts whose work waits in this queue."""
    return list(Host.objects.filter(enabled=True, queue=name_of(queue)).order_by("name"))


def with_unclaimed_checks(now: datetime) -> set[str]:
    """Queues in which a check, or a close look at probes, was left until its claim ended."""
    rows = CheckShard.objects.filter(lease_until__lte=now, host__enabled=True)
    found = rows.values_list("number", "host__queue")
    return {near(HEAL if number == CLOSELY else CHECKS, name) for number, name in found}


def with_late_heals(now: datetime) -> set[str]:
    """Queues in which a heal has been due for HEAL_UNSERVED and nobody has it."""
    rows = FailureRecord.objects.filter(is_found=True, resolved_at=None, due_at__lte=now - HEAL_UNSERVED)
    rows = rows.filter(lease_until=None, container__host__enabled=True)
    rows = rows.exclude(container__host__state=HostState.DOWN)
    return {near(HEAL, name) for name in rows.values_list("container__host__queue", flat=True).distinct()}


def is_served(queue: str, now: datetime) -> bool:
    """Whether a worker has lately shown that it takes from this queue."""
    return Heartbeat.objects.filter(name=f"{SIGN}{queue}", at__gt=now - SILENT).exists()


def is_unserved(queue: str, now: datetime) -> bool:
    """Note that work waits in this queue; True once nobody has served it for UNSERVED_FOR of waiting."""
    if is_served(queue, now):
        return False
    suspicion, _ = Heartbeat.objects.get_or_create(
        name=f"{_SUSPECT}{queue}", defaults={"at": now, "details": {"since": now.isoformat()}}
    )
    since = datetime.fromisoformat(suspicion.details["since"])
    if now - suspicion.at > _BROKEN_OFF:
        since = now
    suspicion.at, suspicion.details = now, {"since": since.isoformat()}
    suspicion.save(update_fields=["at", "details"])
    return now - since >= UNSERVED_FOR


def forget_suspicion(queue: str) -> None:
    Heartbeat.objects.filter(name=f"{_SUSPECT}{queue}").delete()


def is_check_queue(queue: str) -> bool:
    return common_of(queue) == CHECKS
