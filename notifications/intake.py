"""The way in: what was written is folded into what is firing, and put into the groups of the routes that it takes.

One process at a time routes (the root route's row is locked for as long), so that the begin and the end of one thing
are taken in their order. Nothing is sent here.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import Q

from notifications.core.alert import AlertKind, AlertLevel
from notifications.core.flapping import flapping
from notifications.core.labels import labels_of
from notifications.core.routing import Way, group_key, group_labels
from notifications.models import (
    UNDECIDED,
    ActiveAlert,
    AlertGroup,
    GroupMember,
    Notification,
    NotificationState,
    Route,
)
from notifications.routes import Tree, load, root

BATCH = 500
CHANGES_KEPT = 40
CLOCKS_DIFFER = timedelta(seconds=5)
"""So far the clock of who wrote and hinted may be ahead of ours, for what is critical not to wait for that."""
ENDED_ALREADY = "its end has been told already"
GRAVER = "a graver alert about the same thing fires"
OVERTAKEN = "something newer about the same thing had been told before"

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Joined:
    """A group that something of the batch joins, and when the first of that began."""

    way: Way
    labels: dict[str, str]
    begun: datetime


@dataclass
class _Batch:
    """What is being taken in: the alerts by their key, and what is new."""

    now: datetime
    tree: Tree
    alerts: dict[str, ActiveAlert]
    changed: dict[str, ActiveAlert] = field(default_factory=dict)
    begun: set[str] = field(default_factory=set)
    groups: dict[str, _Joined] = field(default_factory=dict)
    members: dict[str, list[str]] = field(default_factory=dict)
    urgent: set[str] = field(default_factory=set)
    ended: set[int] = field(default_factory=set)
    unacknowledged: set[int] = field(default_factory=set)
    again: set[int] = field(default_factory=set)
    skipped: dict[str, list[UUID]] = field(default_factory=dict)


def take_in(now: datetime, only: Notification | None = None) -> list[int]:
    """Route what is due, at most a batch; return the ids of the groups that something critical has joined.

    `only`: just this notification, and what else waits about the same thing.
    """
    with transaction.atomic():
        Route.objects.select_for_update(no_key=True).get(pk=root().pk)
        rows = list(_due(now, only))
        if not rows:
            return []
        batch = _Batch(now, load(), _alerts_of(rows))
        for row in rows:
            _fold_or_skip(batch, row)
        _save_alerts(batch)
        urgent = _join_groups(batch)
        _mark_routed(batch, rows)
        return urgent


def _due(now: datetime, only: Notification | None) -> Iterable[Notification]:
    due = Notification.objects.filter(route_at__lte=now if only is None else now + CLOCKS_DIFFER)
    if only is not None:
        same = Q(pk=only.pk)
        if only.alert_key:
            same |= Q(alert_key=only.alert_key)
        due = due.filter(same)
    return due.order_by("written_at", "created_at", "kind", "id")[:BATCH]


def key_of(row: Notification) -> str:
    """What an alert is told apart by; an event is a thing by itself."""
    return f"event:{row.pk}" if row.is_event or not row.alert_key else row.alert_key


def _alerts_of(rows: Sequence[Notification]) -> dict[str, ActiveAlert]:
    keys = {key_of(row) for row in rows}
    rows_there = ActiveAlert.objects.filter(alert_key__in=keys).select_related("notification")
    return {alert.alert_key: alert for alert in rows_there}


def _fold_or_skip(batch: _Batch, row: Notification) -> None:
    """One that cannot be read, such as of a later version, keeps no other from being routed."""
    try:
        _fold(batch, row)
    except (ValueError, TypeError) as error:
        extra = {"action": "alert_unreadable", "notification": str(row.pk)}
        logger.exception("an alert cannot be read and is left out", extra=extra)
        batch.skipped.setdefault(f"it cannot be read: {error}"[:500], []).append(row.pk)


def _fold(batch: _Batch, row: Notification) -> None:
    """Change the alert by what the notification says, and note which groups it joins."""
    key = key_of(row)
    alert = batch.alerts.get(key)
    if alert is not None and row.written_at < alert.notification.written_at:
        batch.skipped.setdefault(OVERTAKEN, []).append(row.pk)
        return
    if row.kind == AlertKind.RESOLVED:
        if alert is not None and alert.ends_at is not None:
            batch.skipped.setdefault(ENDED_ALREADY, []).append(row.pk)
            return
        if alert is not None and alert.pk:
            batch.alerts[key] = batch.changed[key] = _ended(alert, row)
            batch.ended.add(alert.pk)
            return
        alert = _ended(alert or _begun(row, key), row)
    elif alert is None or alert.ends_at is not None:
        alert = _again(batch, alert, row, key)
    elif not _rises(batch, alert, row):
        batch.skipped.setdefault(GRAVER, []).append(row.pk)
        return
    batch.alerts[key] = batch.changed[key] = alert
    batch.begun.add(key)
    _note_groups(batch, alert)


def _begun(row: Notification, key: str) -> ActiveAlert:
    return ActiveAlert(
        alert_key=key,
        notification=row,
        alertname=row.alertname,
        level=row.level,
        outcome=row.outcome,
        labels=labels_of(row.alert()),
        depends_on=row.depends_on,
        is_event=row.is_event or not row.alert_key,
        starts_at=row.created_at,
        tenant_id=row.tenant_id,
    )


def _again(batch: _Batch, alert: ActiveAlert | None, row: Notification, key: str) -> ActiveAlert:
    """A begin; what was there before under the same key counts for flapping only."""
    begun = _begun(row, key)
    if alert is not None:
        begun.pk = alert.pk
        begun.changes, begun.is_flapping = alert.changes, alert.is_flapping
    _note_change(begun, row.created_at)
    if alert is not None and alert.pk:
        if alert.acknowledged_at is not None:
            batch.unacknowledged.add(alert.pk)
        if not begun.is_flapping:
            batch.again.add(alert.pk)
    return begun


def _rises(batch: _Batch, alert: ActiveAlert, row: Notification) -> bool:
    """News of what fires already: the level never falls while it does, and what was acknowledged rises unacknowledged."""
    before, after = AlertLevel(alert.level), AlertLevel(row.level)
    if not after.reaches(before):
        return False
    if before is not after and alert.acknowledged_at is not None:
        alert.acknowledged_at, alert.acknowledged_by = None, ""
        if alert.pk:
            batch.unacknowledged.add(alert.pk)
    alert.notification, alert.level = row, row.level
    alert.alertname, alert.outcome = row.alertname, row.outcome
    alert.labels, alert.depends_on = labels_of(row.alert()), row.depends_on
    return True


def _ended(alert: ActiveAlert, row: Notification) -> ActiveAlert:
    alert.ends_at, alert.outcome, alert.notification = row.created_at, row.outcome, row
    return alert


def _note_change(alert: ActiveAlert, at: datetime) -> None:
    alert.changes = [*alert.changes, at.isoformat()][-CHANGES_KEPT:]
    moments = [datetime.fromisoformat(text) for text in alert.changes]
    alert.is_flapping = flapping(moments, at, was_flapping=alert.is_flapping) is not None


def _note_groups(batch: _Batch, alert: ActiveAlert) -> None:
    """Every group that the alert's labels lead to, and no other that something earlier in the batch led to."""
    keys = []
    for way in batch.tree.ways(alert.labels):
        key = group_key(way, alert.labels)
        batch.groups.setdefault(key, _Joined(way, group_labels(way, alert.labels), alert.starts_at))
        keys.append(key)
        if alert.ends_at is None and alert.level == AlertLevel.CRITICAL:
            batch.urgent.add(key)
    batch.members[alert.alert_key] = keys


_ALERT_FIELDS = [field.name for field in ActiveAlert._meta.concrete_fields if not field.primary_key]
_END_FIELDS = ["ends_at", "outcome", "notification"]
"""What alone an end changes."""


def _save_alerts(batch: _Batch) -> None:
    changed = list(batch.changed.values())
    there = [alert for alert in changed if alert.pk and alert.alert_key in batch.begun]
    ActiveAlert.objects.bulk_update(there, _ALERT_FIELDS, batch_size=BATCH)
    ended = [alert for alert in changed if alert.pk and alert.alert_key not in batch.begun]
    ActiveAlert.objects.bulk_update(ended, _END_FIELDS, batch_size=BATCH)
    new = [alert for alert in changed if not alert.pk]
    ActiveAlert.objects.bulk_create(new)


def _join_groups(batch: _Batch) -> list[int]:
    """Find or make the groups and add the members. The groups are locked first, so that none closes meanwhile."""
    pairs = [(key, batch.alerts[name]) for name, keys in batch.members.items() for key in keys]
    keys = sorted({key for key, _ in pairs})
    there = {group.key: group for group in _open_groups(keys, batch.ended)}
    missing = [_new_group(batch, key) for key in keys if key not in there]
    AlertGroup.objects.bulk_create(missing)
    groups = there | {group.key: group for group in missing}
    members = [GroupMember(group=groups[key], alert=alert) for key, alert in pairs]
    GroupMember.objects.bulk_create(members, ignore_conflicts=True, batch_size=BATCH)
    _move_on({(groups[key].pk, alert.pk) for key, alert in pairs})
    _escalate_anew(batch)
    _hasten(batch, list(there.values()))
    return [groups[key].pk for key in sorted(batch.urgent) if key in groups]


def _move_on(joined: set[tuple[int, int]]) -> None:
    """What leads elsewhere since its labels changed is told there; where it was told before, its end will be too."""
    ids = {alert_id for _, alert_id in joined}
    there = GroupMember.objects.filter(alert__in=ids, group__closed_at=None)
    stay: list[GroupMember] = []
    leave: list[GroupMember] = []
    for member in there:
        pair = (member.group_id, member.alert_id)
        (stay if pair in joined else leave).append(member)
    GroupMember.objects.filter(pk__in=[each.pk for each in stay if each.is_moved]).update(is_moved=False)
    GroupMember.objects.filter(pk__in=[each.pk for each in leave if each.told_at is None]).delete()
    GroupMember.objects.filter(pk__in=[each.pk for each in leave]).update(is_moved=True)


def _escalate_anew(batch: _Batch) -> None:
    """An acknowledgement that no longer holds, and the steps taken before an end, count for nothing: the next receiver has
    its turn when nobody answers from now on."""
    if not batch.unacknowledged and not batch.again:
        return
    told = GroupMember.objects.filter(is_moved=False, told_at__isnull=False)
    anew = Q(alert__in=batch.unacknowledged) | Q(alert__in=batch.again, escalated__gt=0)
    told.filter(anew).update(told_at=batch.now, escalated=0)


def _open_groups(keys: Sequence[str], ended: Iterable[int]) -> list[AlertGroup]:
    """Those of the keys, and those that an alert which has ended is in."""
    of_ended = GroupMember.objects.filter(alert__in=list(ended)).values("group")
    rows = AlertGroup.objects.select_for_update(no_key=True).filter(closed_at=None)
    return list(rows.filter(Q(key__in=keys) | Q(pk__in=of_ended)).order_by("key"))


def _new_group(batch: _Batch, key: str) -> AlertGroup:
    joined, now = batch.groups[key], batch.now
    turn = min(joined.begun, now) + joined.way.group_wait
    return AlertGroup(
        route_id=joined.way.route_id,
        route_name=" / ".join(joined.way.names)[:300],
        key=key,
        labels=joined.labels,
        created_at=now,
        flush_at=min(turn, now) if key in batch.urgent else turn,
    )


def _hasten(batch: _Batch, groups: Sequence[AlertGroup]) -> None:
    """What is critical does not wait for the group's turn; all else waits no longer than the group's interval."""
    moved = []
    for group in groups:
        way = batch.groups[group.key].way if group.key in batch.groups else batch.tree.way_of(group.route_id)
        interval = way.group_interval if way else timedelta(0)
        turn = max(batch.now, group.flushed_at + interval) if group.flushed_at else group.flush_at
        wanted = batch.now if group.key in batch.urgent else turn
        if wanted is not None and (group.flush_at is None or wanted < group.flush_at):
            group.flush_at = wanted
            moved.append(group)
    AlertGroup.objects.bulk_update(moved, ["flush_at"], batch_size=BATCH)


def _mark_routed(batch: _Batch, rows: Sequence[Notification]) -> None:
    ids = [row.pk for row in rows]
    Notification.objects.filter(pk__in=ids).update(route_at=None)
    for reason, skipped in batch.skipped.items():
        untold = Notification.objects.filter(pk__in=skipped, state__in=UNDECIDED)
        untold.update(state=NotificationState.SKIPPED, reason=reason)
