"""The lean way out: an alert is sent from where it was written, past the outbox, the broker and the workers.

For what those may be the matter of. It waits for a few seconds at the most and raises nothing.
"""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any

from django.db import DatabaseError, InterfaceError, transaction
from django.db.models import Exists, Max, OuterRef, QuerySet

from notifications import outcomes
from notifications.channels.stores import never_called
from notifications.core.alert import Alert, AlertKind, AlertLevel, Message
from notifications.core.ports import Sender
from notifications.models import (
    ActiveAlert,
    Channel,
    Delivery,
    DeliveryState,
    Notification,
    NotificationState,
)
from notifications.outbox import fields_of

SECONDS = 3.0
RETRY_IN = timedelta(seconds=10)
AGAIN, AGAIN_AT_MOST = 10.0, 60.0
"""Seconds until a channel that lacks what is told without the database is tried again: at first, and later."""
OWN_SECONDS = timedelta(seconds=10)
"""For so long what is written ahead is ours to tell; then the outbox routes it."""

logger = logging.getLogger(__name__)


class _Sending(threading.Thread):
    """One channel being sent to; a channel that hangs is left behind. `error` is empty where it was sent."""

    def __init__(self, channel: Channel, message: Message) -> None:
        super().__init__(name=f"tell-{channel.name}", daemon=True)
        self.channel, self._message = channel, message
        self.answer, self.error = "", f"no answer within {SECONDS:g} s"

    def run(self) -> None:
        try:
            port: Sender = self.channel.build(asks_database=False)
            sent = port.send(self._message)
            self.answer = sent if isinstance(sent, str) else sent.answer
            self.error = ""
        except Exception as error:
            self.error = f"{type(error).__name__}: {error}"


def write_ahead(alert: Alert, now: datetime, message_id: uuid.UUID | None = None) -> Notification | None:
    """Write an alert in the caller's transaction, for `tell_written` after its commit; None where one of that id exists.

    If this process dies in between, the outbox sends it, with the same id.
    """
    message_id = message_id or uuid.uuid4()
    row, created = Notification.objects.get_or_create(
        id=message_id, defaults={"created_at": now, "route_at": now + OWN_SECONDS, **fields_of(alert)}
    )
    return row if created else None


def tell_written(notification: Notification, now: datetime) -> bool:
    """Send what was written ahead, as `tell_directly` does."""
    return _tell(notification.message(), now)


class WithoutDatabase:
    """A message for channels that were read before; `tell` until none of them lacks it.

    `is_told`: one has it.
    """

    def __init__(self, message: Message, channels: Collection[Channel]) -> None:
        self.message, self.is_told = message, False
        self._lacking = [one for one in channels if one.takes(message.alert.level)]
        self._last: list[_Sending] = []
        self._pause, self._next_at = AGAIN, float("-inf")

    def tell(self, at: float) -> None:
        """Send it to those that lack it, in growing pauses; log it the first time. `at`: a steady clock's seconds."""
        if at < self._next_at:
            return
        if not self._last:
            _log(self.message)
        self._note()
        under_way = [one for one in self._last if one.is_alive()]
        busy = {one.channel.pk for one in under_way}
        free = [channel for channel in self._lacking if channel.pk not in busy]
        self._last = under_way + _send(free, self.message)
        self._note()
        self._next_at, self._pause = at + self._pause, min(2 * self._pause, AGAIN_AT_MOST)
        if self._lacking:
            _log_untold(self._last, self.message, is_told=self.is_told)

    def _note(self) -> None:
        """Who has it, also where the answer came late."""
        has = {one.channel.pk for one in self._last if not one.error}
        self._lacking = [channel for channel in self._lacking if channel.pk not in has]
        self.is_told = self.is_told or bool(has)


def record_told(message: Message, now: datetime, *, is_told: bool) -> bool:
    """Put on record what was told `WithoutDatabase`, or that nobody was; False where another process has."""
    state = NotificationState.SENT if is_told else NotificationState.FAILED
    reason = "" if is_told else "no channel took it while the database was away"
    fields = {"created_at": message.created_at, "state": state, "reason": reason, **fields_of(message.alert)}
    row, created = Notification.objects.get_or_create(id=message.id, defaults=fields)
    if is_told and row.state == NotificationState.FAILED:
        Notification.objects.filter(pk=row.pk).update(state=state, reason=reason)
    return created


def enabled_channels() -> list[Channel]:
    """Those, with all that `WithoutDatabase` needs to send through them."""
    never_called()
    return list(Channel.objects.filter(enabled=True))


def tell_directly(alert: Alert, now: datetime) -> bool:
    """Log it, send it through every channel that takes its level, and record that. True if a channel has it.

    An end goes to the channels that have its begin and are told ends; where none is known to, to all that would take it.
    Where none has it, that is logged as critical, and the outbox goes on trying.
    """
    return _tell(Message(str(uuid.uuid4()), now, alert), now)


def _tell(message: Message, now: datetime) -> bool:
    _log(message)
    try:
        is_routed = _ends_what_is_routed(message.alert)
        audience = _audience(message, is_routed=is_routed)
        _overtake(message, audience)
        sendings = _send(audience, message)
        told = _is_told(sendings, message)
        _record(message, sendings, now, is_routed=is_routed)
        return told
    except (DatabaseError, InterfaceError) as error:
        logger.critical("nobody could be told: %s", error, extra={"action": "untold", **_ids(message)})
        return False


def _audience(message: Message, *, is_routed: bool) -> list[Channel]:
    """`is_routed`: who was told the begin by a group is told the end by it."""
    alert, enabled = message.alert, enabled_channels()
    if alert.kind is AlertKind.FIRING:
        return [one for one in enabled if one.takes(alert.level)]
    begins = _begins(message)
    had = Delivery.objects.filter(notification__in=begins, message=None).exclude(state=DeliveryState.FAILED)
    ids = set(had.values_list("channel_id", flat=True))
    told_ends = [one for one in enabled if one.send_resolved]
    if ids or is_routed:
        return [one for one in told_ends if one.pk in ids]
    levels = map(AlertLevel, begins.values_list("level", flat=True))
    level = max(levels, key=lambda each: each.rank, default=AlertLevel.CRITICAL)
    return [one for one in told_ends if one.takes(level)]


def _begins(message: Message) -> QuerySet[Notification]:
    """What was written of the alert since it last ended."""
    key = message.alert.alert_key
    if not key:
        return Notification.objects.none()
    about = Notification.objects.filter(alert_key=key)
    ends = about.filter(kind=AlertKind.RESOLVED).exclude(pk=message.id)
    last = ends.aggregate(last=Max("written_at"))["last"]
    begins = about.filter(kind=AlertKind.FIRING)
    return begins if last is None else begins.filter(written_at__gte=last)


def _overtake(message: Message, channels: Collection[Channel]) -> None:
    """What these channels still lack of earlier alerts with this key would come after this one, and undo it."""
    if not message.alert.alert_key:
        return
    earlier = Notification.objects.filter(alert_key=message.alert.alert_key).exclude(pk=message.id)
    written_at = Notification.objects.filter(pk=message.id).values_list("written_at", flat=True).first()
    if written_at is not None:
        earlier = earlier.filter(written_at__lte=written_at)
    waiting = Delivery.objects.filter(message=None, state=DeliveryState.PENDING)
    outcomes.overtake(waiting.filter(notification__in=earlier, channel__in=channels))


def _overtaken(notification: Notification) -> QuerySet[Delivery]:
    """Of this alert's, those whose channel was told of it anew meanwhile."""
    key = notification.alert_key
    later = Notification.objects.filter(alert_key=key, written_at__gt=notification.written_at)
    told = Delivery.objects.filter(channel=OuterRef("channel"), message=None, notification__in=later)
    own = Delivery.objects.filter(notification=notification, message=None, state=DeliveryState.PENDING)
    return own.filter(Exists(told)) if key else own.none()


def _log(message: Message) -> None:
    alert = message.alert
    level = logging.CRITICAL if alert.kind is AlertKind.FIRING else logging.WARNING
    extra = {"action": "told_directly", **_ids(message)}
    logger.log(level, "%s: %s", alert.title, alert.body, extra=extra)


def _is_told(sendings: list[_Sending], message: Message) -> bool:
    told = any(not sending.error for sending in sendings)
    if sendings and not told:
        _log_untold(sendings, message, is_told=False)
    return told


def _log_untold(sendings: list[_Sending], message: Message, *, is_told: bool) -> None:
    errors = "; ".join(f"{sending.channel.name}: {sending.error}" for sending in sendings if sending.error)
    extra = {"action": "untold", **_ids(message)}
    if is_told:
        logger.warning("not all could be told: %s", errors, extra=extra)
    else:
        logger.critical("nobody could be told: %s", errors, extra=extra)


def _send(channels: list[Channel], message: Message) -> list[_Sending]:
    """All at once, so that one which hangs costs the others nothing."""
    sendings = [_Sending(channel, message) for channel in channels]
    end = time.monotonic() + SECONDS
    for sending in sendings:
        sending.start()
    for sending in sendings:
        sending.join(max(end - time.monotonic(), 0.0))
    return sendings


def _record(message: Message, sendings: list[_Sending], now: datetime, *, is_routed: bool) -> None:
    """What was sent, and by which channels; the outbox goes on with those that have failed."""
    states = [DeliveryState.PENDING if one.error else DeliveryState.SENT for one in sendings]
    state, reason = _became(message.alert, states, is_routed=is_routed)
    with transaction.atomic():
        fields: dict[str, Any] = {"state": state, "reason": reason, "route_at": now if is_routed else None}
        about = {"created_at": now, **fields_of(message.alert)}
        notification, _ = Notification.objects.update_or_create(
            id=message.id, defaults=fields, create_defaults=fields | about
        )
        rows = [
            Delivery(
                notification=notification,
                channel=one.channel,
                channel_name=one.channel.name,
                state=its_state,
                tries=1,
                next_try_at=now + RETRY_IN,
                sent_at=None if one.error else now,
                answer=one.answer[:500],
                error=one.error[:500],
            )
            for one, its_state in zip(sendings, states, strict=True)
        ]
        # One who waited for long may find that the outbox has begun to send it too.
        Delivery.objects.bulk_create(rows, ignore_conflicts=True)
        _overtake(message, [one.channel for one in sendings])
        outcomes.overtake(_overtaken(notification))


def _became(alert: Alert, states: Collection[DeliveryState], *, is_routed: bool) -> tuple[str, str]:
    """The notification's state, and why nobody is told."""
    if DeliveryState.PENDING in states or (is_routed and not states):
        return NotificationState.PENDING, ""
    if states:
        return NotificationState.SENT, ""
    if alert.kind is AlertKind.RESOLVED:
        return NotificationState.SKIPPED, "no enabled channel that was told its begin is told ends"
    return NotificationState.SKIPPED, f"no enabled channel takes level {alert.level}"


def _ends_what_is_routed(alert: Alert) -> bool:
    """Whether its begin has gone the way of the outbox, because the process that was to tell it died."""
    firing = ActiveAlert.objects.filter(alert_key=alert.alert_key, ends_at=None)
    return alert.kind is AlertKind.RESOLVED and firing.exists()


def _ids(message: Message) -> dict[str, str]:
    return {"notification": message.id, "alert_key": message.alert.alert_key}
