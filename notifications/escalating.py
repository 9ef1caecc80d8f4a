"""Nobody has acknowledged: the next receiver of the route is told."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet

from notifications import messaging
from notifications.core.alert import AlertLevel
from notifications.core.escalation import Step, due_steps
from notifications.flushing import Round, item_of
from notifications.models import AlertGroup, Channel, EscalationStep, GroupMember, LogEntry, MessageKind


def escalate_due(now: datetime) -> list[UUID]:
    """One message for each group and step whose time has come; return their ids. One statement where no route escalates."""
    if not EscalationStep.objects.exists():
        return []
    shared = Round(now)
    waiting = _waiting(list(shared.tree.steps))
    groups = waiting.order_by("group").values_list("group", flat=True).distinct()
    return [message for group_id in groups for message in _escalate(group_id, shared)]


def _waiting(route_ids: Sequence[int]) -> QuerySet[GroupMember]:
    return GroupMember.objects.filter(
        group__route__in=route_ids,
        group__closed_at=None,
        told_at__isnull=False,
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
        steps = list(shared.tree.steps.get(group.route_id, ()))
        members = list(_waiting([group.route_id]).filter(group=group).select_related("alert"))
        messages = []
        for position, step in enumerate(steps):
            due = [member for member in members if _is_due(member, steps, position, shared)]
            if due:
                messages.append(_tell(group, step, position, due, shared))
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
) -> UUID:
    alerts = [member.alert for member in members]
    channels = [
        channel
        for channel in step.receiver.channels_now(shared.now)
        if any(AlertLevel(alert.level).reaches(AlertLevel(channel.min_level)) for alert in alerts)
    ]
    GroupMember.objects.filter(pk__in=[member.pk for member in members]).update(escalated=position + 1)
    for member in members:
        member.escalated = position + 1
    _owe_the_end(group, channels, [item_of(member, shared.now).token for member in members], shared.now)
    minutes = step.after.total_seconds() / 60
    return messaging.write(
        notifications=[alert.notification_id for alert in alerts],
        lead=messaging.lead_of(alerts).notification_id,
        channels=channels,
        now=shared.now,
        kind=MessageKind.ESCALATION,
        group=group,
        receiver=step.receiver.on_duty(shared.now).name,
        reason=f"not acknowledged within {minutes:g} min",
    )


def _owe_the_end(
    group: AlertGroup, channels: Sequence[Channel], tokens: Sequence[str], now: datetime
) -> None:
    """Put into the log what these channels are told, so that they are told its end."""
    for channel in channels:
        entry, created = LogEntry.objects.get_or_create(
            group=group, channel=channel, defaults={"firing": sorted(tokens), "sent_at": now}
        )
        if not created:
            entry.firing = sorted({*entry.firing, *tokens})
            entry.save(update_fields=["firing"])
