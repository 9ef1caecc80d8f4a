"""The deliveries' loop: take in, give each group its turn, send. Any process may run it, any number of times at once."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db.models import Q
from django.utils import timezone

from notifications import failover, limiting
from notifications.core.alert import AlertLevel
from notifications.escalating import escalate_due
from notifications.flushing import flush_due
from notifications.intake import BATCH, take_in
from notifications.models import (
    AlertGroup,
    Delivery,
    DeliveryState,
    GroupMessage,
    Notification,
    NotificationState,
)
from notifications.sending import send_due, settle_leftovers

HINTED_SECONDS = 15.0
"""How long one hint may keep a worker."""


def deliver(notification_id: str, now: datetime | None = None) -> None:
    """Bring one notification on its way: what is critical to its receivers at once, all else into its group.

    Done twice, it sends nothing twice.
    """
    notification = Notification.objects.filter(pk=notification_id).first()
    if notification is None or notification.state != NotificationState.PENDING:
        return
    at = now or timezone.now()
    is_urgent = notification.level == AlertLevel.CRITICAL
    urgent = take_in(at, only=notification if is_urgent else None)
    messages = flush_due(at, only=urgent) if urgent else []
    if not is_urgent:
        messages += flush_due(at)
    own = GroupMessage.objects.filter(
        items__notification=notification, deliveries__state=DeliveryState.PENDING
    )
    send_due(now, HINTED_SECONDS, only={*messages, *own.values_list("pk", flat=True)})


def deliver_due(now: datetime | None = None, seconds: float = 20.0) -> int:
    """Do all that is due, for about `seconds`; return how many sends were tried."""
    at = now or timezone.now()
    urgent: list[int] = []
    while Notification.objects.filter(route_at__lte=at).exists():
        urgent += take_in(at)
    if urgent:
        flush_due(at, only=urgent)
    flush_due(at)
    escalate_due(at)
    failover.look_after(at)
    limiting.summarise_due(at)
    tried = send_due(now, seconds)
    settle_leftovers(at)
    return tried


def is_overdue(now: datetime, by: timedelta) -> bool:
    """Whether something has been waiting to be sent for so long that nobody seems to send (at most three statements)."""
    if Notification.objects.filter(route_at__lte=now - by).exists():
        return True
    if AlertGroup.objects.filter(closed_at=None, flush_at__lte=now - by).exists():
        return True
    free = Q(channel=None) | Q(channel__blocked_until=None) | Q(channel__blocked_until__lte=now)
    due = Delivery.objects.filter(free, state=DeliveryState.PENDING, next_try_at__lte=now - by)
    return due.exists()


__all__ = ["BATCH", "deliver", "deliver_due", "is_overdue"]
