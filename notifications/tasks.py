"""Celery faces of the delivery. Both may run at any time, any number of times at once."""

from __future__ import annotations

from celery import shared_task

from notifications import dispatch


@shared_task(name="notifications.tasks.deliver", ignore_result=True)
def deliver(notification_id: str) -> None:
    """Send one notification that has just been written."""
    dispatch.deliver(notification_id)


@shared_task(name="notifications.tasks.deliver_due", ignore_result=True)
def deliver_due() -> None:
    """Send whatever is due: lost hints, retries, what a killed process has left."""
    dispatch.deliver_due()
