"""Nobody has acknowledged: the next receiver of the route is told."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.db.models import Q, QuerySet

from notifications import messaging
from notifications.core.alert import AlertLevel
from notifications.core.escalation import Step, due_steps
from notifications.flushing import Round, item_of
from notifications.models import AlertGroup, EscalationStep, GroupMember, LogEntry, MessageKind

logger = logging.getLogger(__name__)


def escalate_due(now: datetime) -> list[UUID]:
    """One message for each group and step whose time has come; return their ids. One statement where no route escalates."""
    if not EscalationStep.objects.exists():
        return []
    shared = Round(now)
    groups = _waiting(shared).order_by("group").values_list("group", flat=True).distinct()
    return [message for group_id in groups for message in _escalate(group_id, shared)]


def _waiting(shared: Round) -> QuerySet[GroupMember]:
    """Those for which a further step of their route may be due."""
    of_routes = Q(pk=None)
    for route_id, steps in shared.tree.steps.items():
        first = min(step.after for step in steps)
        of_routes |= Q(group__route=route_id, escalated__lt=len(steps), told_at__lte=shared.now - first)
    return GroupMember.objects.filter(
        of_routes,
        group__closed_at=None,
        is_moved=False,
        alert__ends_at=None,
        alert__acknowledged_at=None,
        alert__is_event=False,
    )


def _escalate(group_id: int, shared: Round) -> list[UUID]:
    with transaction.atomic():
        rows = AlertGroup.objects.select_for_update(no_key=True, skip_locked=True)
        group = rows.filter(pk=group_id, closed_at=None).first()
        if group is None or group.route_id is None:
            return []
        way = shared.tree.way_of(group.route_id)
        if way is None or shared.mutes.of_way(shared.tree, way) is not None:
            return []
        steps = list(shared.tree.steps.get(group.route_id, ()))
        members = list(_waiting(shared).filter(group=group).select_related("alert"))
        messages = []
        for position, step in enumerate(steps):
            due = [member for member in members if _is_due(member, steps, position, shared)]
            if due:
                messages += _tell(group, step, position, due, shared)
        return messages


def _is_due(member: GroupMember, steps: Sequence[EscalationStep], position: int, shared: Round) -> bool:
    if member.escalated > position or member.told_at is None:
        return False
    if shared.mutes.of_alert(member.alert) is not None:
        return False
    plain = [Step(index, step.after) for index, step in enumerate(steps)]
    done = set(range(member.escalated))
    due = due_steps(
        plain, member.told_at, member.alert.acknowledged_at, member.alert.ends_at, done, shared.now
    )
    return any(step.position == position for step in due)


def _tell(
    group: AlertGroup, step: EscalationStep, position: int, members: Sequence[GroupMember], shared: Round
) -> list[UUID]:
    alerts = [member.alert for member in members]
    channels = [
        channel
        for channel in step.receiver.channels_now(shared.now)
        if any(AlertLevel(alert.level).reaches(AlertLevel(channel.min_level)) for alert in alerts)
    ]
    GroupMember.objects.filter(pk__in=[member.pk for member in members]).update(escalated=position + 1)
    for member in members:
        member.escalated = position + 1
    if not channels:
        extra = {"action": "escalated_to_nobody", "receiver": step.receiver.name}
        logger.error("escalation reaches nobody: its receiver has no enabled channel for this", extra=extra)
        return []
    for channel in channels:
        LogEntry.owe(group, channel, [item_of(member, shared.now).token for member in members], shared.now)
    minutes = step.after.total_seconds() / 60
    message = messaging.write(
        notifications=[alert.notification_id for alert in alerts],
        lead=messaging.lead_of(alerts).notification_id,
        channels=channels,
        now=shared.now,
        kind=MessageKind.ESCALATION,
        group=group,
        receiver=step.receiver.on_duty(shared.now).name,
        reason=f"not acknowledged within {minutes:g} min",
    )
    return [message]
