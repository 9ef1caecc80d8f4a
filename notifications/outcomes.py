"""What came of a send: written to the delivery, its channel, and the notifications that the message told."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import Q, QuerySet

from notifications import failover
from notifications.core.alert import storable
from notifications.core.errors import PermanentError, TemporaryError
from notifications.core.retry import RetryAt, next_try
from notifications.models import Delivery, DeliveryState, Notification, NotificationState

CHANNEL_PAUSE = timedelta(seconds=10)
"""How long a channel is left alone after it failed for now, so that a dead receiver does not hold up the others."""
BATCH = 500

logger = logging.getLogger(__name__)


class Unmade(TemporaryError):
    """The message could not even be made: nothing that its channel could be blamed for."""


def record(
    delivery: Delivery, answer: str, fault: PermanentError | TemporaryError | None, now: datetime
) -> None:
    """Write down what came of it and what follows."""
    if fault is None:
        _record_sent(delivery, answer, now)
    else:
        _record_fault(delivery, fault, now)
    settle(delivery)


def _record_sent(delivery: Delivery, answer: str, now: datetime) -> None:
    """A send that succeeded is a fact, even when another claimant has taken over meanwhile."""
    Delivery.objects.filter(pk=delivery.pk).exclude(state=DeliveryState.SENT).update(
        state=DeliveryState.SENT, sent_at=now, answer=_short(answer), error=""
    )
    if delivery.channel is not None:
        failover.note_success(delivery.channel, now)
    _log(delivery, logging.DEBUG, "alert sent", "alert_sent")


def _record_fault(delivery: Delivery, fault: PermanentError | TemporaryError, now: datetime) -> None:
    """Write down the failure and what follows, unless another claimant has taken over."""
    error = _short(str(fault))
    mine = Delivery.objects.filter(pk=delivery.pk, state=DeliveryState.PENDING, tries=delivery.tries)
    if isinstance(fault, TemporaryError):
        pause = max(CHANNEL_PAUSE, timedelta(seconds=min(fault.retry_after or 0.0, 86_400.0)))
        if not isinstance(fault, Unmade):
            _note_failure(delivery, now, now + pause)
        verdict = next_try(delivery.tries, _written_at(delivery), now, fault.retry_after)
        if isinstance(verdict, RetryAt):
            mine.update(next_try_at=verdict.at, error=error)
            _log(delivery, logging.WARNING, f"alert not sent, to be tried again: {error}", "alert_retry")
            return
        error = f"{error}; {verdict.reason}"
    else:
        _note_failure(delivery, now, None)
    if mine.update(state=DeliveryState.FAILED, error=error[:500]):
        failover.divert_failed(delivery, now)
    _log(delivery, logging.ERROR, f"alert not sent: {error}", "alert_failed")


def _short(text: str) -> str:
    """What any database can hold of a receiver's words."""
    return str(storable(text))[:500]


def _written_at(delivery: Delivery) -> datetime:
    source = delivery.message or delivery.notification
    assert source is not None
    return source.created_at


def _note_failure(delivery: Delivery, now: datetime, blocked_until: datetime | None) -> None:
    if delivery.channel is not None:
        failover.note_failure(delivery.channel, now, blocked_until)


def settle(delivery: Delivery) -> None:
    """Give what the delivery tells its final state once nothing of it is outstanding."""
    if delivery.message_id is None:
        told = Notification.objects.filter(deliveries=delivery.pk)
        _settle(told, _direct(delivery.notification_id))
    else:
        told = Notification.objects.filter(items__message=delivery.message_id)
        _settle(told, _of_message(delivery.message_id))


def _direct(notification_id: UUID | None) -> list[tuple[str, str]]:
    rows = Delivery.objects.filter(notification=notification_id, message=None)
    return list(rows.values_list("state", "channel_name"))


def _of_message(message_id: UUID) -> list[tuple[str, str]]:
    return list(Delivery.objects.filter(message=message_id).values_list("state", "channel_name"))


def overtake(rows: QuerySet[Delivery]) -> None:
    """What waits among these direct deliveries is told no more, because something newer about the same thing is."""
    with transaction.atomic():
        found = dict(rows.filter(message=None).values_list("pk", "notification_id"))
        waiting = Delivery.objects.filter(pk__in=found, state=DeliveryState.PENDING)
        if not found or not waiting.update(state=DeliveryState.MERGED, answer="overtaken by a newer one"):
            return
        for notification_id in set(found.values()):
            states = _direct(notification_id)
            told = Notification.objects.filter(pk=notification_id, route_at=None)
            if {state for state, _ in states} == {DeliveryState.MERGED}:
                told = told.filter(state=NotificationState.PENDING)
                told.update(state=NotificationState.MERGED, reason="overtaken by a newer one")
            _settle(told, states)


def _settle(told: QuerySet[Notification], rows: list[tuple[str, str]]) -> None:
    states = {state for state, _ in rows}
    if not rows or DeliveryState.PENDING in states:
        return
    if not states & {DeliveryState.SENT, DeliveryState.FAILED}:
        return  # a summary, or a backup, has it
    failed = sorted(name for state, name in rows if state == DeliveryState.FAILED)
    reason = f"not delivered on {', '.join(failed)}"[:500] if failed else ""
    state = NotificationState.SENT if DeliveryState.SENT in states else NotificationState.FAILED
    unsettled = (NotificationState.PENDING, NotificationState.FAILED)
    told.filter(state__in=unsettled).update(state=state, reason=reason)


def settle_leftovers(now: datetime, age: timedelta) -> None:
    """Settle what a process that died between recording and settling has left."""
    pending = Notification.objects.filter(
        state=NotificationState.PENDING, route_at=None, created_at__lte=now - age
    )
    ended = Q(state__in=(DeliveryState.SENT, DeliveryState.FAILED))
    left = Delivery.objects.filter(ended, notification__in=pending.values("pk")).exclude(
        Q(message__deliveries__state=DeliveryState.PENDING)
        | Q(message=None, notification__deliveries__state=DeliveryState.PENDING)
    )
    for delivery in left.order_by("id")[:BATCH]:
        settle(delivery)


def _log(delivery: Delivery, level: int, text: str, action: str) -> None:
    extra = {
        "action": action,
        "notification": str(delivery.notification_id),
        "message_id": str(delivery.message_id or ""),
        "channel": delivery.channel_name,
    }
    logger.log(level, text, extra=extra)
