"""Delivering notifications: route, claim, send, record. No transaction is open while a channel sends.

A claim is a conditional UPDATE that moves `next_try_at` to the end of a lease and counts the try. A process that
dies in between costs the lease; the message is then sent again with the same id.
"""

from __future__ import annotations

import logging
import time
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.utils import timezone

from notifications.core.errors import ConfigError, PermanentError, TemporaryError
from notifications.core.retry import RetryAt, next_try
from notifications.models import Channel, Delivery, DeliveryState, Notification, NotificationState

LEASE = timedelta(seconds=60)
"""Longer than any channel may take to send."""
CHANNEL_PAUSE = timedelta(seconds=10)
"""How long a channel is left alone after it failed for now, so that a dead receiver does not hold up the others."""
UNROUTED_AGE = timedelta(seconds=5)
"""A notification this old without deliveries has lost its hint."""
BATCH = 200

logger = logging.getLogger(__name__)


def deliver(notification_id: str, now: datetime | None = None) -> None:
    """Send one notification through every channel that is due. Done twice, it sends nothing twice."""
    notification = Notification.objects.filter(pk=notification_id).first()
    if notification is None or notification.state != NotificationState.PENDING:
        return
    now = now or timezone.now()
    _route(notification, now)
    for delivery in _due(now).filter(notification=notification):
        _try_once(delivery, now)


def deliver_due(now: datetime | None = None, seconds: float = 20.0) -> int:
    """Send what is due, oldest first, for about `seconds`; return how many sends were tried.

    A channel that fails for now is left out of the rest of the round.
    """
    fixed = now
    end = time.monotonic() + seconds
    now = fixed or timezone.now()
    unrouted = Notification.objects.filter(
        state=NotificationState.PENDING, created_at__lte=now - UNROUTED_AGE
    )
    for notification in unrouted.filter(deliveries=None).order_by("created_at")[:BATCH]:
        _route(notification, now)
    tried = 0
    blocked: set[int | None] = set()
    for delivery in _due(now)[:BATCH]:
        if time.monotonic() >= end:
            break
        if delivery.channel_id is not None and delivery.channel_id in blocked:
            continue
        tried += 1
        if not _try_once(delivery, fixed or timezone.now()):
            blocked.add(delivery.channel_id)
    _settle_leftovers(now)
    return tried


def is_overdue(now: datetime, by: timedelta) -> bool:
    """Whether something has been waiting to be sent for so long that nobody seems to send (one statement)."""
    waits = Q(deliveries=None) | Q(
        deliveries__state=DeliveryState.PENDING, deliveries__next_try_at__lte=now - by
    )
    rows = Notification.objects.filter(waits, state=NotificationState.PENDING, created_at__lte=now - by)
    return rows.exists()


def _route(notification: Notification, now: datetime) -> None:
    """Decide once which channels are told, and write a delivery for each."""
    with transaction.atomic():
        if notification.deliveries.exists():
            return
        takers = [
            channel for channel in Channel.objects.filter(enabled=True) if channel.takes(notification.level)
        ]
        rows = [
            Delivery(notification=notification, channel=taker, channel_name=taker.name, next_try_at=now)
            for taker in takers
        ]
        Delivery.objects.bulk_create(rows, ignore_conflicts=True)
        if not takers:
            pending = Notification.objects.filter(pk=notification.pk, state=NotificationState.PENDING)
            reason = f"no enabled channel takes level {notification.level}"
            pending.update(state=NotificationState.SKIPPED, reason=reason)


def _due(now: datetime) -> QuerySet[Delivery]:
    free = Q(channel=None) | Q(channel__blocked_until=None) | Q(channel__blocked_until__lte=now)
    due = Delivery.objects.filter(free, state=DeliveryState.PENDING, next_try_at__lte=now)
    return due.select_related("channel", "notification").order_by("next_try_at", "id")


def _try_once(delivery: Delivery, now: datetime) -> bool:
    """Claim, send, record. False when the channel failed for now."""
    if not _claim(delivery, now):
        return True
    fault: PermanentError | TemporaryError | None = None
    answer = ""
    try:
        answer = _send(delivery)
    except (PermanentError, TemporaryError) as error:
        fault = error
    except ConfigError as error:
        fault = TemporaryError(f"the channel cannot be used as configured: {error}")
    except Exception as error:
        logger.exception("channel broke", extra={"action": "channel_broke", "channel": delivery.channel_name})
        fault = TemporaryError(f"the channel itself broke: {type(error).__name__}: {error}")
    if fault is None:
        _record_sent(delivery, answer, now)
    else:
        _record_fault(delivery, fault, now)
    _settle(delivery.notification_id)
    return not isinstance(fault, TemporaryError)


def _claim(delivery: Delivery, now: datetime) -> bool:
    """Take the delivery for the length of the lease; exactly one of many claimants gets it."""
    row = Delivery.objects.filter(pk=delivery.pk, state=DeliveryState.PENDING, next_try_at__lte=now)
    if row.filter(tries=delivery.tries).update(next_try_at=now + LEASE, tries=F("tries") + 1) != 1:
        return False
    delivery.tries += 1
    return True


def _send(delivery: Delivery) -> str:
    if delivery.channel is None:
        raise PermanentError("the channel was deleted")
    if not delivery.channel.enabled:
        raise PermanentError("the channel was disabled before the alert could be sent")
    return delivery.channel.build().send(delivery.notification.message())


def _record_sent(delivery: Delivery, answer: str, now: datetime) -> None:
    """A send that succeeded is a fact, even when another claimant has taken over meanwhile."""
    Delivery.objects.filter(pk=delivery.pk).exclude(state=DeliveryState.SENT).update(
        state=DeliveryState.SENT, sent_at=now, answer=answer[:500], error=""
    )
    _block(delivery, None)
    _log(delivery, logging.DEBUG, "alert sent", "alert_sent")


def _record_fault(delivery: Delivery, fault: PermanentError | TemporaryError, now: datetime) -> None:
    """Write down the failure and what follows, unless another claimant has taken over."""
    error = str(fault)
    mine = Delivery.objects.filter(pk=delivery.pk, state=DeliveryState.PENDING, tries=delivery.tries)
    if isinstance(fault, TemporaryError):
        _block(delivery, now + CHANNEL_PAUSE)
        verdict = next_try(delivery.tries, delivery.notification.created_at, now, fault.retry_after)
        if isinstance(verdict, RetryAt):
            mine.update(next_try_at=verdict.at, error=error[:500])
            _log(delivery, logging.WARNING, f"alert not sent, to be tried again: {error}", "alert_retry")
            return
        error = f"{error}; {verdict.reason}"
    mine.update(state=DeliveryState.FAILED, error=error[:500])
    _log(delivery, logging.ERROR, f"alert not sent: {error}", "alert_failed")


def _block(delivery: Delivery, until: datetime | None) -> None:
    """Leave the channel alone until then; None frees it, and writes only where there is something to free."""
    if delivery.channel is not None and (until or delivery.channel.blocked_until):
        Channel.objects.filter(pk=delivery.channel.pk).update(blocked_until=until)


def _settle(notification_id: UUID) -> None:
    """Give the notification its final state once no delivery is pending."""
    rows = list(Delivery.objects.filter(notification=notification_id).values_list("state", "channel_name"))
    states = {state for state, _ in rows}
    if not rows or DeliveryState.PENDING in states:
        return
    failed = sorted(name for state, name in rows if state == DeliveryState.FAILED)
    state = NotificationState.SENT if DeliveryState.SENT in states else NotificationState.FAILED
    reason = f"not delivered on {', '.join(failed)}"[:500] if failed else ""
    Notification.objects.filter(pk=notification_id).update(state=state, reason=reason)


def _settle_leftovers(now: datetime) -> None:
    """Settle what a process that died between recording and settling has left."""
    pending = Notification.objects.filter(state=NotificationState.PENDING, created_at__lte=now - LEASE)
    left = pending.exclude(deliveries=None).exclude(deliveries__state=DeliveryState.PENDING)
    for notification_id in left.values_list("pk", flat=True)[:BATCH]:
        _settle(notification_id)


def _log(delivery: Delivery, level: int, text: str, action: str) -> None:
    extra = {
        "action": action,
        "notification": str(delivery.notification_id),
        "channel": delivery.channel_name,
    }
    logger.log(level, text, extra=extra)
