"""The way in: an alert is written in the transaction of what it tells, and sent after its commit."""

from __future__ import annotations

import logging
from dataclasses import asdict
from functools import partial

from celery import current_app
from django.db import transaction

from notifications.core.alert import Alert
from notifications.models import Notification

DELIVER = "notifications.tasks.deliver"
HINT_EXPIRES = 60
"""Seconds after which the hint to deliver is worthless: the periodic task has come by in the meantime."""

logger = logging.getLogger(__name__)


def write(alert: Alert) -> Notification:
    """Write one notification within the caller's transaction; a rollback takes it along.

    Database errors propagate. A broker that cannot be reached is logged: the periodic task delivers later.
    """
    notification = Notification.objects.create(**asdict(alert))
    transaction.on_commit(partial(_hint, str(notification.id)), robust=True)
    return notification


def _hint(notification_id: str) -> None:
    try:
        current_app.send_task(DELIVER, args=[notification_id], expires=HINT_EXPIRES, ignore_result=True)
    except Exception as error:
        logger.warning(
            "the hint to deliver could not be queued; the periodic task will deliver: %s",
            error,
            extra={"action": "alert_hint_failed", "notification": notification_id},
        )
