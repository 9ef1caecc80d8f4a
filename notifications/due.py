"""Which deliveries can be sent now, and which of them go first."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from django.db.models import (
    BooleanField,
    Case,
    Exists,
    F,
    OuterRef,
    Q,
    QuerySet,
    Value,
    When,
    Window,
)
from django.db.models.functions import RowNumber

from notifications.core.alert import AlertKind, AlertLevel
from notifications.inflight import Lane
from notifications.models import Delivery, DeliveryState

BATCH = 500
"""Deliveries of one channel in one round."""
URGENT = Q(notification__level=AlertLevel.CRITICAL.value, notification__kind=AlertKind.FIRING.value)


def due(now: datetime) -> QuerySet[Delivery]:
    """What can be sent now. Behind an earlier message of its group on the same channel, or of the same alert where it is told
    directly, waits all but what is critical, so that an end does not come before its begin; what is over the limit waits
    for its summary.
    """
    free = Q(channel__blocked_until=None) | Q(channel__blocked_until__lte=now)
    rows = Delivery.objects.filter(
        Q(channel=None) | (free & Q(is_limited=False)), state=DeliveryState.PENDING, next_try_at__lte=now
    )
    earlier = Delivery.objects.filter(
        channel=OuterRef("channel"), state=DeliveryState.PENDING, pk__lt=OuterRef("pk")
    )
    of_group = earlier.filter(message__group=OuterRef("message__group"))
    of_alert = earlier.filter(
        message=None, notification__alert_key=OuterRef("notification__alert_key")
    ).exclude(notification__alert_key="")
    return rows.filter(URGENT | (~Exists(of_group) & (Q(message__isnull=False) | ~Exists(of_alert))))


def lane_of(delivery: Delivery) -> Lane:
    """What is critical does not stand behind what is not."""
    lead = delivery.notification
    is_urgent = lead is not None and (lead.level, lead.kind) == (AlertLevel.CRITICAL, AlertKind.FIRING)
    return delivery.channel_id, is_urgent


def next_of_all(now: datetime, only: Iterable[UUID] | None = None) -> QuerySet[Delivery]:
    """Of each channel the next `BATCH`: what is critical, then the oldest. `only`: of those messages."""
    rows = due(now) if only is None else due(now).filter(message__in=list(only))
    last = Case(When(URGENT, then=Value(False)), default=Value(True), output_field=BooleanField())
    place = Window(RowNumber(), partition_by=[F("channel")], order_by=[last.asc(), F("pk").asc()])
    taken = rows.annotate(place=place).filter(place__lte=BATCH).order_by("place")
    return taken.select_related("channel__template", "channel__backup", "notification", "message__group")
