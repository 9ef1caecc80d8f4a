"""The way in: an alert is written in the transaction of what it tells, and sent after its commit."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from typing import Any

from celery import current_app
from django.db import transaction

from notifications.core.alert import Alert, AlertLevel
from notifications.models import Notification

DELIVER = "notifications.tasks.deliver"
HINT_EXPIRES = 60
"""Seconds after which the hint to deliver is worthless: the periodic task has come by in the meantime."""
AT_ONCE = datetime(1970, 1, 1, tzinfo=UTC)
"""When it is to be routed: whatever the writer's clock says, which may be wrong by hours."""
HINT_EVERY = 1.0
"""Seconds between two hints of a process about what is not critical: one of them takes along all that waits."""

logger = logging.getLogger(__name__)


def write(alert: Alert) -> Notification:
    """Write one notification within the caller's transaction; a rollback takes it along.

    Database errors propagate. A broker that cannot be reached is logged: the periodic task delivers later.
    """
    notification = Notification(**fields_of(alert))
    notification.route_at = AT_ONCE
    notification.save(force_insert=True)
    transaction.on_commit(partial(_hint, str(notification.id), alert.level), robust=True)
    return notification


def fields_of(alert: Alert) -> dict[str, Any]:
    """The columns of a notification, from the alert."""
    return asdict(alert) | {"depends_on": list(alert.depends_on)}


class _Hints:
    """When this process last hinted at something that was not critical."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last = float("-inf")

    def is_due(self) -> bool:
        with self._lock:
            now = time.monotonic()
            if now - self._last < HINT_EVERY:
                return False
            self._last = now
            return True


_hints = _Hints()


def _hint(notification_id: str, level: AlertLevel) -> None:
    if level is not AlertLevel.CRITICAL and not _hints.is_due():
        return
    try:
        current_app.send_task(DELIVER, args=[notification_id], expires=HINT_EXPIRES, ignore_result=True)
    except Exception as error:
        logger.warning(
            "the hint to deliver could not be queued; the periodic task will deliver: %s",
            error,
            extra={"action": "alert_hint_failed", "notification": notification_id},
        )
