"""A group's turn: what is muted, what each channel has been told, and the message that follows.

One transaction a group, its row locked. What is to be sent are delivery rows when it ends; nothing is sent here.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction

from notifications import messaging
from notifications.core.alert import AlertLevel, Outcome
from notifications.core.dedup import LogEntry as Known
from notifications.core.flapping import flapping
from notifications.core.muting import Muted
from notifications.core.noise import PATIENCE, Tell
from notifications.core.plan import Audience, Item, Plan, Silent, key_of, plan
from notifications.core.routing import GROUP_INTERVAL
from notifications.models import (
    ActiveAlert,
    AlertGroup,
    Channel,
    Delivery,
    DeliveryState,
    GroupMember,
    LogEntry,
    Notification,
)
from notifications.recording import record
from notifications.rounds import Round, Turn

ROUND = 500
EVENT_LIFE = timedelta(days=1)
"""How long an event that is muted is kept for being told after all."""
SHORTEST = timedelta(seconds=1)
AGAIN_IN = timedelta(seconds=10)
"""When a group is looked at again whose turn has failed."""

MOVED = Muted("moved", "", "told by another group since its labels changed", None)
ELSEWHERE = Muted("elsewhere", "", "no longer told on this channel, but for its end", None)

logger = logging.getLogger(__name__)


def flush_due(now: datetime, only: Sequence[int] | None = None) -> list[UUID]:
    """Have every group whose turn has come tell what it has to; return the ids of the messages made.

    `only`: those groups, their turn or not. A group that another process has in hand is left to it, except with `only`.
    """
    due = AlertGroup.objects.filter(closed_at=None)
    due = due.filter(flush_at__lte=now) if only is None else due.filter(pk__in=only)
    ids = list(due.order_by("flush_at").values_list("pk", flat=True)[:ROUND])
    if not ids:
        return []
    shared = Round(now)
    wait = only is not None
    return [message for group_id in ids for message in _flush_or_put_off(group_id, shared, wait=wait)]


def _flush_or_put_off(group_id: int, shared: Round, *, wait: bool) -> list[UUID]:
    """A group whose turn fails is logged and keeps no other from its own."""
    try:
        return _flush(group_id, shared, wait=wait)
    except Exception:
        logger.exception("a group's turn failed", extra={"action": "group_failed", "group": group_id})
        AlertGroup.objects.filter(pk=group_id, closed_at=None).update(flush_at=shared.now + AGAIN_IN)
        return []


def _flush(group_id: int, shared: Round, *, wait: bool) -> list[UUID]:
    with transaction.atomic():
        rows = AlertGroup.objects.select_for_update(no_key=True, skip_locked=not wait)
        group = rows.filter(pk=group_id, closed_at=None).first()
        if group is None or (not wait and (group.flush_at is None or group.flush_at > shared.now)):
            return []
        turn = _look(group, shared)
        _tell_channels(turn, shared)
        record(turn)
        _close_or_go_on(turn)
        return turn.messages


def _look(group: AlertGroup, shared: Round) -> Turn:
    members = list(group.members.select_related("alert").order_by("alert__starts_at", "pk"))
    way = shared.tree.way_of(group.route_id)
    timed = shared.mutes.of_way(shared.tree, way) if way else None
    items = {}
    for member in members:
        muted = MOVED if member.is_moved else timed or shared.mutes.of_alert(member.alert)
        items[member.alert.alert_key] = item_of(member, shared.now, muted)
    return Turn(group, way, members, items, shared.now)


def item_of(member: GroupMember, now: datetime, muted: Muted | None = None) -> Item:
    """A member as the plan sees it."""
    alert = member.alert
    return Item(
        key=alert.alert_key,
        level=AlertLevel(alert.level),
        alertname=alert.alertname,
        starts_at=alert.starts_at,
        ends_at=alert.ends_at,
        outcome=Outcome(alert.outcome),
        is_event=alert.is_event,
        acknowledged=alert.acknowledged_at is not None,
        flaps=_flaps(member, now),
        muted=muted,
    )


def _flaps(member: GroupMember, now: datetime) -> str:
    alert = member.alert
    if not alert.is_flapping:
        return ""
    moments = [datetime.fromisoformat(text) for text in alert.changes]
    flap = flapping(moments, now, was_flapping=True)
    if flap is None:
        return ""
    return f"flapping, {flap.changes} times in {flap.window.total_seconds() / 60:g} min"


def _tell_channels(turn: Turn, shared: Round) -> None:
    """Plan for each channel; channels that are told the same share a message."""
    entries = {entry.channel_id: entry for entry in turn.group.log.select_related("channel")}
    receiver_id = turn.way.receiver_id if turn.way else None
    current = {channel.pk: channel for channel in shared.channels(receiver_id)} if turn.way else {}
    if turn.way and not current:
        turn.silent |= {key: Silent("its route has no enabled channel", final=True) for key in turn.items}
    owed = {pk: entry.channel for pk, entry in entries.items() if pk not in current and entry.channel.enabled}
    plans: dict[frozenset[str], list[tuple[Channel, Plan]]] = {}
    for pk, channel in (current | owed).items():
        made = _plan(turn, channel, entries.get(pk), is_owed=pk in owed)
        if made.is_repeat and _is_waiting(turn.group, channel):
            continue
        _remember(turn, channel, entries.get(pk), made)
        if made.send:
            plans.setdefault(made.told, []).append((channel, made))
    for told, planned in plans.items():
        _write(turn, told, planned, shared.receiver_name(receiver_id))


def _is_waiting(group: AlertGroup, channel: Channel) -> bool:
    """Whether the channel has not even been sent what would be repeated."""
    waiting = Delivery.objects.filter(message__group=group, channel=channel, state=DeliveryState.PENDING)
    return waiting.exists()


def _plan(turn: Turn, channel: Channel, entry: LogEntry | None, *, is_owed: bool) -> Plan:
    """`is_owed`: the channel is no longer on this way and is told ends only of what it was told."""
    known = Known(frozenset(entry.firing), frozenset(entry.resolved), entry.sent_at) if entry else None
    items: Iterable[Item] = turn.items.values()
    if is_owed and known is not None:
        keys = set(map(key_of, known.firing))
        items = (replace(item, muted=ELSEWHERE) if item.fires else item for item in items if item.key in keys)
    audience = Audience(AlertLevel(channel.min_level), Tell(channel.tell), channel.send_resolved)
    repeat = turn.way.repeat_interval if turn.way else timedelta.max
    made = plan(list(items), audience, known, repeat, turn.now)
    for key, silent in (made.silent or {}).items():
        if key not in turn.silent or (turn.silent[key].final and not is_owed):
            turn.silent[key] = silent
    turn.told |= made.told
    return made


def _remember(turn: Turn, channel: Channel, entry: LogEntry | None, made: Plan) -> None:
    if made.entry is None:
        return
    fields = {
        "firing": sorted(made.entry.firing),
        "resolved": sorted(made.entry.resolved),
        "sent_at": made.entry.sent_at,
    }
    if entry is None:
        LogEntry.objects.create(group=turn.group, channel=channel, **fields)
    else:
        LogEntry.objects.filter(pk=entry.pk).update(**fields)


def _write(turn: Turn, told: frozenset[str], planned: Sequence[tuple[Channel, Plan]], receiver: str) -> None:
    alerts = [member.alert for member in turn.members if member.alert.alert_key in told]
    flaps = [turn.items[key].flaps for key in sorted(told) if turn.items[key].flaps]
    reason = "; ".join(dict.fromkeys([planned[0][1].reason, *flaps[:3]]))
    message = messaging.write(
        notifications=[alert.notification_id for alert in alerts],
        lead=messaging.lead_of(alerts).notification_id,
        channels=[channel for channel, _ in planned],
        now=turn.now,
        group=turn.group,
        receiver=receiver,
        reason=reason,
    )
    turn.messages.append(message)


def _close_or_go_on(turn: Turn) -> None:
    """What has ended leaves the group, which closes when it is empty; else it has its next turn."""
    leaving = [member.pk for member in turn.members if _leaves(turn, member)]
    if leaving:
        ActiveAlert.objects.filter(memberships__in=leaving, is_event=True).update(ends_at=turn.now)
        GroupMember.objects.filter(pk__in=leaving).delete()
    group = turn.group
    group.flushed_at = turn.now
    if len(leaving) == len(turn.members):
        group.closed_at, group.flush_at = turn.now, None
    else:
        group.flush_at = _next_turn(turn)
        if turn.way is None:
            _route_anew([member for member in turn.members if member.pk not in leaving], turn.now)
    group.save(update_fields=["flushed_at", "flush_at", "closed_at"])


def _next_turn(turn: Turn) -> datetime:
    at = turn.now + max(turn.way.group_interval if turn.way else GROUP_INTERVAL, SHORTEST)
    held = [key for key, silent in turn.silent.items() if silent.waits and key not in turn.told]
    return min([at, *(turn.items[key].starts_at + PATIENCE for key in held)])


def _route_anew(members: Iterable[GroupMember], now: datetime) -> None:
    """Their route is gone: what fires is told by whichever takes it now, and here no more than its end."""
    firing = [each.alert.notification_id for each in members if not each.is_moved and not each.alert.ends_at]
    Notification.objects.filter(pk__in=firing).update(route_at=now)


def _leaves(turn: Turn, member: GroupMember) -> bool:
    item = turn.items[member.alert.alert_key]
    if item.is_event:
        silent = turn.silent.get(item.key)
        is_final = silent is not None and silent.final
        return item.key in turn.told or item.starts_at <= turn.now - EVENT_LIFE or is_final
    return not item.fires


__all__ = ["Round", "flush_due", "item_of"]
