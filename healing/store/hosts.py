"""Hosts and our own sight: transitions are conditional UPDATEs, so that each is told once whoever sees it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, transaction
from django.db.models import Case, Count, F, JSONField, Min, Q, QuerySet, Subquery, Value, When
from django.db.models.functions import Least

from healing.core.cadence import SLACK, next_slot
from healing.core.exits import REPLAY
from healing.core.shedding import DEFAULT_RANK
from healing.models import CheckShard, HealthStatus, Heartbeat, Host, HostState
from healing.store.clock import TOLERANCE
from healing.store.closely import CLOSELY
from healing.store.suspects import DEADLY, each_alone, lost_of, pause_shard, was_left

SHARD_LEASE = 12.0
"""Seconds for which a shard is claimed; whoever checks it renews that (`worker_signs`), so a worker's death costs no more."""
DOWN_RETRY, LONGEST_DOWN_RETRY = 5.0, 60.0
WATCHER_FRESH = timedelta(seconds=10)
WATCHER_MISSED = timedelta(seconds=60)
"""Silent for longer, a watcher is not about to come back; after an outage of the database, it is."""
WORKED_OFF = "worked_off"
"""The detail of a watcher's sign that says until when, by its engine's clock, nothing is left to be worked off."""
UNDER_WAY = timedelta(seconds=REPLAY)
"""For so long what the engine still knows may be on its way to a watcher that has just connected."""


@dataclass(frozen=True, slots=True)
class Watched:
    """Since when a host's events are seen without a gap, and until when they are worked off; see `Seen`."""

    since: datetime | None = None
    until: datetime | None = None


def became_down(host: Host, error: str, now: datetime, asked_at: datetime | None = None) -> bool:
    """Note that the engine does not answer; True for the one who noticed first, and has people told (`tell_down`).

    What was asked at `asked_at` says nothing of an engine that has come back since, or that is none of ours any more.
    """
    rows = Host.objects.filter(pk=host.pk, enabled=True).exclude(state=HostState.DOWN)
    if asked_at is not None:
        rows = rows.exclude(state=HostState.UP, state_since__gt=asked_at)
    marks = {"state": HostState.DOWN, "state_since": now, "stream_since": None, "down_untold": True}
    if rows.update(error=error, **marks):
        return True
    Host.objects.filter(pk=host.pk, state=HostState.DOWN).exclude(error=error).update(error=error)
    return False


def is_down(host: Host) -> bool:
    """Whether it is one of ours, and known to be down."""
    return Host.objects.filter(pk=host.pk, enabled=True, state=HostState.DOWN).exists()


def tell_down(host: Host) -> datetime | None:
    """Since when it does not answer, for the one who is to tell it; None where it is told, or up again."""
    rows = Host.objects.filter(pk=host.pk, state=HostState.DOWN)
    if not rows.filter(down_untold=True).update(down_untold=False):
        return None
    return rows.values_list("state_since", flat=True).first()


def tell_up(host: Host) -> bool:
    """Whether the end of its silence is to be told, because its begin was."""
    return not Host.objects.filter(pk=host.pk, down_untold=True).update(down_untold=False)


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

    Each is claimed for SHARD_LEASE seconds. One that has ended DEADLY workers is not, but paused, longer each time.
    """
    is_due = Q(next_due_at__isnull=True) | Q(next_due_at__lte=now + TOLERANCE)
    with transaction.atomic():
        claimed = _claim(_locked(CheckShard.objects.filter(_free(now), is_due)), now, begun_at=None)
    return [(shard.host_id, shard.number, shard.priority) for shard in claimed]


def claim_overdue_shards(
    now: datetime,
    by: timedelta,
    host_queues: Collection[str] | None,
    limit: int,
    besides: Collection[tuple[int, int]] = (),
) -> list[tuple[int, int]]:
    """(host, shard number) of what should have been checked two intervals ago, and `by` at the least, and nobody checks.

    Of hosts of these queues (None: of all), at most `limit`, and none `besides` that the caller is still checking. Each
    is claimed as taken up at `now`; a claim of the tick that no worker has taken up gives way.
    """
    idle = _free(now) | Q(begun_at__isnull=True)
    since = Q(next_due_at__lte=now - by) | Q(next_due_at=None, host__created_at__lte=now - by)
    is_late = idle & since & Q(number__lt=CLOSELY)
    if host_queues is not None:
        is_late &= Q(host__queue__in=host_queues)
    with transaction.atomic():
        late = [shard for shard in _locked(CheckShard.objects.filter(is_late)) if _is_overdue(shard, now)]
        late = [shard for shard in late if (shard.host_id, shard.number) not in besides]
        claimed = _claim(late, now, begun_at=now, limit=limit)
    return [(shard.host_id, shard.number) for shard in claimed]


def _free(now: datetime) -> Q:
    return Q(lease_until__isnull=True) | Q(lease_until__lte=now)


def _locked(rows: QuerySet[CheckShard]) -> list[CheckShard]:
    """Those of enabled hosts, the most important first, but for what another is claiming at this moment."""
    rows = rows.filter(host__enabled=True)
    if connection.features.has_select_for_update_skip_locked:
        rows = rows.select_for_update(skip_locked=True, of=("self",))
    return list(rows.order_by("priority", "next_due_at", "pk"))


def _claim(
    shards: Sequence[CheckShard], now: datetime, begun_at: datetime | None, limit: int | None = None
) -> list[CheckShard]:
    """Claim at most `limit` locked shards; those that were left and have ended DEADLY workers are paused instead.

    One whose next death would be too many goes alone (`suspects.each_alone`).
    """
    deadly = [shard for shard in shards if was_left(shard) and lost_of(shard) >= DEADLY]
    for shard in deadly:
        pause_shard(shard, now)
    claimed = each_alone([shard for shard in shards if shard not in deadly], now)[:limit]
    if claimed:
        left = Q(lease_until__isnull=False, begun_at__isnull=False)
        lost = Case(When(left, then=F("lost_claims") + 1), default=F("lost_claims"))
        lease_until = now + timedelta(seconds=SHARD_LEASE)
        rows = CheckShard.objects.filter(pk__in=[shard.pk for shard in claimed])
        rows.update(lease_until=lease_until, begun_at=begun_at, lost_claims=lost)
    return claimed


def _is_overdue(shard: CheckShard, now: datetime) -> bool:
    due_at, checked_at = shard.next_due_at, shard.checked_at
    return due_at is None or checked_at is None or now - due_at >= 2 * (due_at - checked_at)


def deadly_shards() -> list[CheckShard]:
    """The shards whose sweeps have ended DEADLY workers in a row."""
    return list(CheckShard.objects.filter(lost_claims__gte=DEADLY, host__enabled=True).select_related("host"))


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
    begun_at: datetime | None = None,
) -> None:
    """Give the shard back, due on its grid of `pause` seconds, and before when a container of it is.

    None for `pause`: the host does not answer, and is asked again at a growing pause. Where somebody has wanted it
    sooner while it was being swept, which began at `began`, that counts too. `priority` is that of its most important
    container. What it has put off waits for the grid.

    Where the claim taken up at `begun_at` is no longer the one that stands, because this took too long, only the loss
    that it was counted as is taken back: it was none. None for `begun_at`: whichever claim stands.
    """
    due_at = (
        now + _down_retry(host_id, now)
        if pause is None
        else _on_grid(host_id, min(began, now), pause, has_put_off)
    )
    wanted = Case(
        When(next_due_at__gt=began, then=Least("next_due_at", Value(due_at))), default=Value(due_at)
    )
    rows = CheckShard.objects.filter(host_id=host_id, number=number)
    mine = rows if begun_at is None else rows.filter(begun_at=begun_at)
    is_mine = mine.update(
        lease_until=None,
        checked_at=now,
        next_due_at=wanted,
        priority=priority,
        is_cut_short=is_cut_short,
        lost_claims=0,
    )
    if not is_mine:
        rows.filter(lost_claims__gt=0).update(lost_claims=F("lost_claims") - 1)


def _on_grid(host_id: int, began: datetime, pause: float, has_put_off: bool) -> datetime:
    """The next time on the host's grid, or before that when a container of it is due."""
    due_at = next_slot(began, pause, host_id)
    rows = HealthStatus.objects.filter(container__host_id=host_id, container__monitored=True)
    if has_put_off:
        rows = rows.filter(next_check_at__gt=began + SLACK)
    first: datetime | None = rows.aggregate(first=Min("next_check_at"))["first"]
    return first if first is not None and first < due_at - SLACK else due_at


def _down_retry(host_id: int, now: datetime) -> timedelta:
    """A quarter of the time for which it has been down. Its watcher asks more often, and has no worker wait for it."""
    down = Host.objects.filter(pk=host_id, state=HostState.DOWN)
    since = down.values_list("state_since", flat=True).first() or now
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


def beat_all(names: Sequence[str], now: datetime, **details: Any) -> None:
    """Show that these parts work (one statement once their rows exist). Without `details` they keep theirs."""
    marks = {"at": now} | ({"details": details} if details else {})
    if Heartbeat.objects.filter(name__in=names).update(**marks) < len(names):
        for name in names:
            beat(name, now, **details)


def beat_watchers(until: Mapping[str, datetime | None], now: datetime) -> None:
    """Show that these hold their streams, and until when each has worked off all (one statement once their rows exist).

    None for what is behind: it keeps what it has said.
    """
    said = {name: {WORKED_OFF: at.isoformat()} for name, at in until.items() if at is not None}
    whens = [When(name=name, then=Value(details, JSONField())) for name, details in said.items()]
    marks: dict[str, Any] = {"details": Case(*whens, default=F("details"))} if whens else {}
    if Heartbeat.objects.filter(name__in=until).update(at=now, **marks) < len(until):
        for name in until:
            beat(name, now, **said.get(name, {}))


def without_stream(host_ids: Sequence[int]) -> list[int]:
    """Those of these hosts whose events are not known to be seen."""
    return list(Host.objects.filter(pk__in=host_ids, stream_since__isnull=True).values_list("pk", flat=True))


def stream_stands(host_id: int, since: datetime | None) -> None:
    """A call that got no answer has not broken the event stream: since when it is seen still stands."""
    Host.objects.filter(pk=host_id, stream_since__isnull=True).update(stream_since=since)


def watched(host: Host, now: datetime) -> Watched:
    """What is seen of the host's events: those since `now` where its watcher has lately fallen silent.

    Nothing where there is none, or has been none for WATCHER_MISSED. They are worked off until the newest that was, and
    as far as the watcher has had confirmed that nothing is left.
    """
    if host.stream_since is None:
        return Watched()
    rows = Host.objects.filter(pk=host.pk)
    signs = Heartbeat.objects.filter(name=f"watch:{host.name}", at__gt=now - WATCHER_MISSED)
    newest = Subquery(rows.values("last_event_at")), Subquery(rows.values("stream_since"))
    sign = signs.values_list("at", "details", *newest).first()
    if sign is None:
        return Watched()
    at, details, event_at, since = sign
    if at <= now - WATCHER_FRESH:
        return Watched(now)
    since = since or host.stream_since
    said = details.get(WORKED_OFF)
    known = [event_at, datetime.fromisoformat(said) if said else None]
    return Watched(since, max((one for one in known if one is not None), default=since))


def enabled_and_up() -> tuple[int, int]:
    """How many hosts are enabled, and how many of them are not down (one statement)."""
    up = Count("pk", filter=~Q(state=HostState.DOWN))
    found = Host.objects.filter(enabled=True).aggregate(number=Count("pk"), up=up)
    return found["number"], found["up"]
