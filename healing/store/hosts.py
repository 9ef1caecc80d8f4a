"""Hosts and our own sight: transitions are conditional UPDATEs, so that each is told once whoever sees it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db import IntegrityError, connection, transaction
from django.db.models import Case, Min, Q, Value, When
from django.db.models.functions import Least

from healing.core.cadence import SLACK, next_slot
from healing.core.shedding import DEFAULT_RANK
from healing.models import CheckShard, HealthStatus, Heartbeat, Host, HostState, Trouble
from healing.store.clock import TOLERANCE

SHARD_LEASE = 12.0
"""Seconds for which a shard is claimed; whoever checks it renews that (`worker_signs`), so a worker's death costs no more."""
BLIND = "probe:"
"""The key of our trouble to look at one container begins so, and ends with its id."""
DOWN_RETRY, LONGEST_DOWN_RETRY = 5.0, 60.0
WATCHER_FRESH = timedelta(seconds=10)


def became_down(host: Host, error: str, now: datetime) -> bool:
    """Note that the engine does not answer; True for the one who noticed first."""
    rows = Host.objects.filter(pk=host.pk).exclude(state=HostState.DOWN)
    if rows.update(state=HostState.DOWN, state_since=now, error=error, stream_since=None):
        return True
    Host.objects.filter(pk=host.pk).exclude(error=error).update(error=error)
    return False


def became_up(host: Host, now: datetime) -> tuple[bool, str]:
    """Note that the engine answers; (True, state before) for the one who noticed first.

    An engine that was away gets its start grace, in which stopped containers are left to it.
    """
    for before in (HostState.DOWN, HostState.NEW):
        grace = now + timedelta(seconds=host.start_grace) if before is HostState.DOWN else host.grace_until
        rows = Host.objects.filter(pk=host.pk, state=before)
        if rows.update(state=HostState.UP, state_since=now, error="", last_seen=now, grace_until=grace):
            host.grace_until, host.state = grace, HostState.UP
            return True, before.value
    return False, HostState.UP.value


def seen(host: Host, now: datetime, version: str = "") -> None:
    fields: dict[str, Any] = {"last_seen": now} | ({"version": version} if version else {})
    Host.objects.filter(pk=host.pk).update(**fields)


def claim_due_shards(now: datetime) -> list[tuple[int, int, int]]:
    """(host, shard number, priority) of each shard that is due and that nobody checks, the most important first.

    Each is claimed for SHARD_LEASE seconds.
    """
    free = Q(lease_until__isnull=True) | Q(lease_until__lte=now)
    is_due = Q(next_due_at__isnull=True) | Q(next_due_at__lte=now + TOLERANCE)
    with transaction.atomic():
        rows = CheckShard.objects.filter(free, is_due, host__enabled=True)
        if connection.features.has_select_for_update_skip_locked:
            rows = rows.select_for_update(skip_locked=True, of=("self",))
        rows = rows.order_by("priority", "next_due_at", "pk")
        found = list(rows.values_list("pk", "host_id", "number", "priority"))
        if found:
            lease = now + timedelta(seconds=SHARD_LEASE)
            claimed = CheckShard.objects.filter(pk__in=[pk for pk, *_ in found])
            claimed.update(lease_until=lease, begun_at=None)
    return [(host_id, number, priority) for _, host_id, number, priority in found]


def finish_shard(
    host_id: int,
    number: int,
    began: datetime,
    now: datetime,
    pause: float | None,
    *,
    priority: int = DEFAULT_RANK,
    has_put_off: bool = False,
    is_cut_short: bool = False,
) -> None:
    """Give the shard back, due on its grid of `pause` seconds, and before when a container of it is.

    None for `pause`: the host does not answer, and is asked again at a growing pause. Where somebody has wanted it
    sooner while it was being swept, which began at `began`, that counts too. `priority` is that of its most important
    container. What it has put off waits for the grid.
    """
    if pause is None:
        due_at = now + _down_retry(host_id, now)
    else:
        due_at = next_slot(began, pause, host_id)
        rows = HealthStatus.objects.filter(container__host_id=host_id, container__monitored=True)
        if has_put_off:
            rows = rows.filter(next_check_at__gt=began + SLACK)
        first = rows.aggregate(first=Min("next_check_at"))["first"]
        if first is not None and first < due_at - SLACK:
            due_at = first
    wanted = Case(
        When(next_due_at__gt=began, then=Least("next_due_at", Value(due_at))), default=Value(due_at)
    )
    CheckShard.objects.filter(host_id=host_id, number=number).update(
        lease_until=None, checked_at=now, next_due_at=wanted, priority=priority, is_cut_short=is_cut_short
    )


def _down_retry(host_id: int, now: datetime) -> timedelta:
    """A quarter of the time for which it has been down. Its watcher asks more often, and has no worker wait for it."""
    since = Host.objects.filter(pk=host_id).values_list("state_since", flat=True).first() or now
    seconds = (now - since).total_seconds() / 4
    return timedelta(seconds=min(max(seconds, DOWN_RETRY), LONGEST_DOWN_RETRY))


def sooner(host_id: int, at: datetime) -> None:
    """Have the host's shard looked at no later than `at`; one that is down is asked at its own pace."""
    rows = CheckShard.objects.filter(host_id=host_id).exclude(host__state=HostState.DOWN)
    rows.filter(Q(next_due_at__gt=at) | Q(lease_until__isnull=False)).update(next_due_at=at)


def beat(name: str, now: datetime, **details: Any) -> None:
    """Show that a part of Selfheal works (one statement once its row exists)."""
    if not Heartbeat.objects.filter(name=name).update(at=now, details=details):
        Heartbeat.objects.get_or_create(name=name, defaults={"at": now, "details": details})


def beat_all(names: Sequence[str], now: datetime) -> None:
    """Show that these parts work (one statement once their rows exist)."""
    if Heartbeat.objects.filter(name__in=names).update(at=now) < len(names):
        for name in names:
            beat(name, now)


def without_stream(host_ids: Sequence[int]) -> list[int]:
    """Those of these hosts whose events are not known to be seen."""
    return list(Host.objects.filter(pk__in=host_ids, stream_since__isnull=True).values_list("pk", flat=True))


def stream_stands(host_id: int, since: datetime | None) -> None:
    """A call that got no answer has not broken the event stream: since when it is seen still stands."""
    Host.objects.filter(pk=host_id, stream_since__isnull=True).update(stream_since=since)


def watched_since(host: Host, now: datetime) -> datetime | None:
    """Since when the host's events are seen without a gap; None where its watcher gives no sign of life."""
    if host.stream_since is None:
        return None
    fresh = Heartbeat.objects.filter(name=f"watch:{host.name}", at__gt=now - WATCHER_FRESH)
    return host.stream_since if fresh.exists() else None


def open_trouble(key: str, message: str, now: datetime) -> bool:
    """True for the one who saw this trouble first."""
    if Trouble.objects.filter(key=key, resolved_at__isnull=True).exists():
        return False
    try:
        with transaction.atomic():
            Trouble.objects.create(key=key, message=message, since=now)
    except IntegrityError:
        return False
    return True


def trouble_since(key: str) -> datetime | None:
    """When this trouble began, while it lasts."""
    return Trouble.objects.filter(key=key, resolved_at__isnull=True).values_list("since", flat=True).first()


def end_trouble(key: str, now: datetime) -> bool:
    """True for the one who saw it end."""
    return bool(Trouble.objects.filter(key=key, resolved_at__isnull=True).update(resolved_at=now))


def open_trouble_keys(prefix: str) -> set[str]:
    rows = Trouble.objects.filter(key__startswith=prefix, resolved_at__isnull=True)
    return set(rows.values_list("key", flat=True))
