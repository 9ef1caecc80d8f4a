"""Channels that fail: when it began, whom that is told, what their backup takes over, and when they are given up."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Q

from notifications import outbox
from notifications.core.alert import Alert, AlertKind, AlertLevel
from notifications.core.plan import key_of
from notifications.models import (
    ActiveAlert,
    AlertGroup,
    Channel,
    Delivery,
    DeliveryState,
    GroupMessage,
    LogEntry,
    MessageItem,
    Notification,
)

PATIENCE = timedelta(minutes=5)
"""A channel that has failed for so long is told of, and its backup takes over."""
GIVE_UP_AFTER = timedelta(days=7)
"""A channel that has failed for so long is disabled."""
LULL = timedelta(days=1)
"""What fails after so long without another failure has begun to fail anew: one message refused says little of the next."""
BATCH = 500
ALERTNAME = "channel_failing"

logger = logging.getLogger(__name__)


def note_success(channel: Channel, now: datetime) -> None:
    """The channel works; written only where that is news."""
    if channel.failing_since is None and channel.blocked_until is None:
        return
    with transaction.atomic():
        was_told = _is_told(channel)
        Channel.objects.filter(pk=channel.pk).update(failing_since=None, blocked_until=None)
        if was_told:
            title = f"Channel {channel.name} works again"
            outbox.write(_alert(channel, AlertLevel.INFO, title, "", AlertKind.RESOLVED))
    channel.failing_since = channel.blocked_until = None


def note_failure(channel: Channel, now: datetime, blocked_until: datetime | None) -> None:
    """The channel failed; `blocked_until`: it is left alone until then, None where it has refused a message for good."""
    since = channel.failing_since
    if since is None or not _failed_lately(channel, now):
        Channel.objects.filter(pk=channel.pk, failing_since=since).update(failing_since=now)
        channel.failing_since = now
    rows = Channel.objects.filter(pk=channel.pk)
    if blocked_until is None:
        rows, blocked_until = rows.exclude(blocked_until__gt=now), now
    rows.update(blocked_until=blocked_until)
    channel.blocked_until = max(blocked_until, channel.blocked_until or now)


def _failed_lately(channel: Channel, now: datetime) -> bool:
    """Whether its last failure, after each of which it was left alone for a moment at least, is no `LULL` ago."""
    return channel.blocked_until is not None and channel.blocked_until > now - LULL


def look_after(now: datetime) -> None:
    """Tell of channels that have failed for long, let their backups take over, and give up what fails on after a week."""
    _end_what_is_over()
    for channel in Channel.objects.filter(enabled=True, failing_since__lte=now - PATIENCE).select_related(
        "backup"
    ):
        with transaction.atomic():
            if not _is_told(channel):
                _tell(channel)
            if channel.backup is not None and channel.backup.enabled:
                _divert(channel, channel.backup, now)
            if _fails_for_good(channel, now):
                _disable(channel, now)


def _fails_for_good(channel: Channel, now: datetime) -> bool:
    since = channel.failing_since
    return since is not None and since <= now - GIVE_UP_AFTER and _failed_lately(channel, now)


def divert_failed(delivery: Delivery, now: datetime) -> None:
    """A message that a channel refused for good goes to its backup at once, where it has one."""
    backup = delivery.channel.backup if delivery.channel else None
    if delivery.message_id is None or backup is None or not backup.enabled:
        return
    _hand_over([delivery], backup, now)


def _divert(channel: Channel, backup: Channel, now: datetime) -> None:
    """What it has tried, and all while it is left alone; else the next message shows whether it works again."""
    rows = Delivery.objects.filter(channel=channel, state=DeliveryState.PENDING, message__isnull=False)
    if channel.blocked_until is None or channel.blocked_until <= now:
        rows = rows.filter(tries__gt=0)
    _hand_over(list(rows.order_by("id")[:BATCH]), backup, now)


def _hand_over(deliveries: list[Delivery], backup: Channel, now: datetime) -> None:
    """Give these to the backup, but for those that it has not been able to send itself: they stay where they are."""
    tried = Delivery.objects.filter(channel=backup, message__in=[each.message_id for each in deliveries])
    given_up = set(tried.exclude(state__in=_HAS_IT).values_list("message_id", flat=True))
    taken = [delivery for delivery in deliveries if delivery.message_id not in given_up]
    rows = [
        Delivery(
            message_id=delivery.message_id,
            notification_id=delivery.notification_id,
            channel=backup,
            channel_name=backup.name,
            next_try_at=now,
        )
        for delivery in taken
    ]
    Delivery.objects.bulk_create(rows, ignore_conflicts=True)
    ids = [delivery.pk for delivery in taken]
    Delivery.objects.filter(pk__in=ids).exclude(state=DeliveryState.SENT).update(
        state=DeliveryState.DIVERTED, answer=f"left to {backup.name}"[:500]
    )
    _owe_the_ends(taken, backup, now)


_HAS_IT = (DeliveryState.PENDING, DeliveryState.SENT)


def _owe_the_ends(deliveries: list[Delivery], backup: Channel, now: datetime) -> None:
    """What a backup is told of, it is told the end of."""
    groups = GroupMessage.objects.filter(pk__in=[delivery.message_id for delivery in deliveries]).values(
        "group"
    )
    with transaction.atomic():
        rows = AlertGroup.objects.select_for_update(no_key=True).filter(pk__in=groups, closed_at=None)
        for group in rows.order_by("key"):
            told = MessageItem.objects.filter(message__group=group, message__deliveries__channel=backup)
            keys = set(told.values_list("notification__alert_key", flat=True))
            own = LogEntry.objects.filter(group=group, channel__in={each.channel_id for each in deliveries})
            known = {token for tokens in own.values_list("firing", flat=True) for token in tokens}
            LogEntry.owe(group, backup, [token for token in known if key_of(token) in keys], now)


def _disable(channel: Channel, now: datetime) -> None:
    reason = f"failed for {GIVE_UP_AFTER.days} days, since {channel.failing_since:%Y-%m-%d %H:%M} UTC"
    Channel.objects.filter(pk=channel.pk).update(enabled=False, disabled_reason=reason)
    logger.error("channel disabled", extra={"action": "channel_disabled", "channel": channel.name})
    body = f"{reason}. Correct its settings and enable it again; a test can be sent from its page."
    title = f"Channel {channel.name} is disabled"
    outbox.write(_alert(channel, AlertLevel.CRITICAL, title, body))


def _tell(channel: Channel) -> None:
    last = Delivery.objects.filter(channel=channel).exclude(error="").order_by("-id").first()
    lines = [f"It has not been able to send since {channel.failing_since:%H:%M:%S} UTC."]
    if last is not None:
        lines.append(f"Last error: {last.error}")
    backup = channel.backup
    lines.append(f"Its messages go to {backup.name}." if backup else "It has no backup: its messages wait.")
    logger.error("channel is failing", extra={"action": "channel_failing", "channel": channel.name})
    outbox.write(_alert(channel, AlertLevel.ERROR, f"Channel {channel.name} is failing", "\n".join(lines)))


def _key(channel: Channel) -> str:
    return f"channel:{channel.pk}"


def _is_told(channel: Channel) -> bool:
    """Whether it is being told already: written and not routed yet, or firing."""
    if channel.failing_since is None:
        return False
    key = _key(channel)
    written = Notification.objects.filter(
        alert_key=key, kind=AlertKind.FIRING, created_at__gte=channel.failing_since
    )
    return written.exists() or ActiveAlert.objects.filter(alert_key=key, ends_at=None).exists()


def _end_what_is_over() -> None:
    """End what still fires about channels that are deleted, or that a person has enabled anew (one statement where none)."""
    firing = ActiveAlert.objects.filter(alertname=ALERTNAME, ends_at=None).select_related("notification")
    if not firing:
        return
    bad = Channel.objects.filter(Q(enabled=False) | Q(failing_since__isnull=False))
    keys = set(map(_key, bad))
    for alert in firing:
        if alert.alert_key not in keys:
            begun = alert.notification.alert()
            end = replace(
                begun, kind=AlertKind.RESOLVED, level=AlertLevel.INFO, title=f"{begun.title}: over", body=""
            )
            outbox.write(end)


def _alert(
    channel: Channel, level: AlertLevel, title: str, body: str, kind: AlertKind = AlertKind.FIRING
) -> Alert:
    path = f"/admin/notifications/channel/{channel.pk}/change/"
    return Alert(
        level=level,
        title=title,
        body=body,
        kind=kind,
        alert_key=_key(channel),
        alertname=ALERTNAME,
        details={"path": path},
    )
