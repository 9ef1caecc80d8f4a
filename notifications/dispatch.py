"""The deliveries' loop: take in, give each group its turn, send. Any process may run it, any number of times at once."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

from django.db.models import Q

from notifications import failover, limiting, outcomes
from notifications.clock import db_now
from notifications.core.alert import AlertLevel
from notifications.due import due
from notifications.escalating import escalate_due
from notifications.flushing import flush_due
from notifications.intake import BATCH, take_in
from notifications.models import AlertGroup, DeliveryState, GroupMessage, Notification, NotificationState
from notifications.sending import LEASE, send_due

HINTED_SECONDS = 15.0
"""How long one hint may keep a worker."""

logger = logging.getLogger(__name__)


def deliver(notification_id: str, now: datetime | None = None) -> None:
    """Bring one notification on its way: what is critical to its receivers at once, all else into its group.

    Done twice, it sends nothing twice.
    """
    notification = Notification.objects.filter(pk=notification_id).first()
    if notification is None or notification.state != NotificationState.PENDING:
        return
    at = now or db_now()
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
    """Do all that is due, sending for about `seconds`; return how many sends were tried."""
    at = now or db_now()
    for step in (_route, flush_due, escalate_due, failover.look_after, limiting.summarise_due):
        try:
            step(at)
        except Exception:
            extra = {"action": "alerting_step_failed", "step": step.__name__.strip("_")}
            logger.exception("a step of alerting failed; the others go on, and it is done again", extra=extra)
    tried = send_due(now, seconds)
    outcomes.settle_leftovers(at, LEASE)
    return tried


def _route(at: datetime) -> None:
    """Take in all that waits; the groups that something critical has joined have their turn first."""
    urgent: list[int] = []
    while Notification.objects.filter(route_at__lte=at).exists():
        urgent += take_in(at)
    if urgent:
        flush_due(at, only=urgent)


def is_overdue(now: datetime, by: timedelta) -> bool:
    """Whether something has been waiting to be sent for so long that nobody seems to send (at most three statements)."""
    old = Q(written_at__lte=now - by) | Q(created_at__lte=now - by)
    if Notification.objects.filter(old, route_at__lte=now).exists():
        return True
    if AlertGroup.objects.filter(closed_at=None, flush_at__lte=now - by).exists():
        return True
    return due(now).filter(next_try_at__lte=now - by).exists()


__all__ = ["BATCH", "deliver", "deliver_due", "is_overdue"]
