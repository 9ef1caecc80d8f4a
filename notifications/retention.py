"""Which rows of the record are old enough to go."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db.models import QuerySet

from notifications.models import (
    ActiveAlert,
    AlertGroup,
    DeliveryState,
    DigestRun,
    GroupMessage,
    Notification,
    NotificationState,
    Silence,
    UsedLink,
)


def old(cutoff: datetime) -> dict[str, QuerySet[Any]]:
    """What ended before `cutoff`, by kind. What is still to be sent stays, as does what fires, however long it has."""
    written = Notification.objects.filter(created_at__lt=cutoff).exclude(state=NotificationState.PENDING)
    messages = GroupMessage.objects.filter(created_at__lt=cutoff)
    return {
        "ended_alerts": ActiveAlert.objects.filter(ends_at__lt=cutoff, memberships=None),
        "notifications": written.exclude(pk__in=ActiveAlert.objects.values("notification")),
        "messages": messages.exclude(deliveries__state=DeliveryState.PENDING),
        "alert_groups": AlertGroup.objects.filter(closed_at__lt=cutoff),
        "silences": Silence.objects.filter(ends_at__lt=cutoff),
        "used_links": UsedLink.objects.filter(used_at__lt=cutoff),
        "digests": DigestRun.objects.filter(made_at__lt=cutoff),
    }
