"""Messages: their rows, and what a channel gets of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from uuid import UUID, uuid4

from django.conf import settings

from notifications import links
from notifications.core.alert import Alert, AlertKind, AlertLevel, Message, Text, Told
from notifications.history import with_history
from notifications.messages import labelled, render
from notifications.models import (
    ActiveAlert,
    AlertGroup,
    Channel,
    Delivery,
    GroupMessage,
    LogEntry,
    MessageItem,
    MessageKind,
    Notification,
)


def lead_of(alerts: Sequence[ActiveAlert]) -> ActiveAlert:
    """The gravest that fires, the newest of those; else the gravest."""
    return max(
        alerts, key=lambda alert: (alert.ends_at is None, AlertLevel(alert.level).rank, alert.starts_at)
    )


def write(
    *,
    notifications: Sequence[UUID],
    lead: UUID | None,
    channels: Sequence[Channel],
    now: datetime,
    kind: MessageKind = MessageKind.GROUP,
    group: AlertGroup | None = None,
    receiver: str = "",
    reason: str = "",
    text: Text | None = None,
) -> UUID:
    """Write a message and its deliveries within the caller's transaction; return its id.

    The first message of a single alert has the notification's own id, so that both can be told to be the same.
    """
    message = GroupMessage.objects.create(
        id=_id_of(notifications, kind),
        kind=kind,
        group=group,
        thread=group.thread if group else "",
        lead_id=lead,
        receiver=receiver[:100],
        reason=reason[:300],
        created_at=now,
        text=None if text is None else {"title": text.title, "body": text.body, "html": text.html},
    )
    items = [MessageItem(message=message, notification_id=each) for each in notifications]
    MessageItem.objects.bulk_create(items, batch_size=500)
    Delivery.objects.bulk_create(
        Delivery(
            message=message,
            notification_id=lead,
            channel=channel,
            channel_name=channel.name,
            next_try_at=now,
        )
        for channel in channels
    )
    return message.pk


def _id_of(notifications: Sequence[UUID], kind: MessageKind) -> UUID:
    if len(notifications) == 1 and kind is MessageKind.GROUP:
        own = notifications[0]
        if not GroupMessage.objects.filter(pk=own).exists():
            return own
    return uuid4()


def message_of(delivery: Delivery) -> Message:
    """What the delivery's channel gets: the same at every repeat, in its language and by its template."""
    row = delivery.message
    if row is None:
        assert delivery.notification is not None
        return in_words(delivery.notification.message(), delivery.channel)
    if row.text is not None:
        return _digest(row)
    told = told_of(row)
    if delivery.channel is not None and delivery.channel.kind == "alertmanager":
        told = with_history(told)
    shown = latest_of_each(told) if row.kind == MessageKind.SUMMARY else told
    lead = next((each for each in shown if each.id == str(row.lead_id)), shown[0])
    message = Message(
        id=str(row.pk),
        created_at=row.created_at,
        alert=lead.alert,
        alerts=tuple(told),
        thread=row.thread,
        group_labels=row.group.labels if row.group else {},
        receiver=row.receiver,
        reason=row.reason,
        links=links.of_message(row, told),
        thread_ref=_thread_ref(row, delivery),
    )
    return in_words(message, delivery.channel, shown)


def latest_of_each(told: Sequence[Told]) -> list[Told]:
    """Without what a later one under the same key has overtaken: a summary that names an end has no use for its begin."""
    latest: dict[str, Told] = {}
    for each in sorted(told, key=lambda each: each.created_at):
        alert = each.alert
        latest[alert.alert_key if alert.alert_key and not alert.is_event else each.id] = each
    kept = {each.id for each in latest.values()}
    return [each for each in told if each.id in kept]


def _notifications_of(row: GroupMessage) -> list[Notification]:
    """What fires comes first, the gravest of it first."""
    found = list(row.notifications.all())
    rank = {notification.pk: AlertLevel(notification.level).rank for notification in found}
    found.sort(key=lambda each: (each.kind != AlertKind.FIRING, -rank[each.pk], each.created_at))
    return found


def in_words(message: Message, channel: Channel | None, shown: Sequence[Told] | None = None) -> Message:
    """The message with its text in the channel's language, by its template; of these alerts, where not of all."""
    template = channel.template if channel else None
    language = template.language if template else channel.language if channel else "en"
    text = render(
        message if shown is None else replace(message, alerts=tuple(shown)),
        language,
        template.overrides() if template else None,
        settings.SELFHEAL_URL,
        now=message.created_at,
    )
    return replace(message, text=text, links=labelled(message.links, language))


def _digest(row: GroupMessage) -> Message:
    text = Text(**row.text)
    alert = Alert(
        AlertLevel.INFO,
        text.title,
        text.body,
        alertname=row.kind,
        alert_key=f"{row.kind}:{row.pk}",
        is_event=True,
    )
    return Message(str(row.pk), row.created_at, alert, receiver=row.receiver, reason=row.reason, text=text)


def _thread_ref(row: GroupMessage, delivery: Delivery) -> str:
    if row.group_id is None or delivery.channel_id is None:
        return ""
    entry = LogEntry.objects.filter(group=row.group_id, channel=delivery.channel_id).first()
    return entry.thread_ref if entry else ""


def note_thread(delivery: Delivery, thread_ref: str) -> None:
    """Keep a receiver's own name of a thread for the messages that follow."""
    row = delivery.message
    if thread_ref and row is not None and row.group_id is not None and delivery.channel_id is not None:
        LogEntry.objects.filter(group=row.group_id, channel=delivery.channel_id, thread_ref="").update(
            thread_ref=thread_ref[:255]
        )


def told_of(row: GroupMessage) -> list[Told]:
    return [notification.told() for notification in _notifications_of(row)]


__all__ = ["in_words", "lead_of", "message_of", "note_thread", "told_of", "write"]
