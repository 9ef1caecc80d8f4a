"""Queues that no worker takes from: told once, and what waits in them is unknown rather than silently unwatched."""

from __future__ import annotations

import logging
from datetime import datetime

from django.conf import settings
from django.db import transaction

from healing.core.alertnames import AlertName
from healing.models import Host
from healing.pipeline.self_alerts import about_ourselves
from healing.store import queues, statuses, troubles
from notifications.core.alert import Alert, AlertKind, AlertLevel
from notifications.outbox import write

logger = logging.getLogger(__name__)

TROUBLE = "queue:"
_NAMED = 5


def look_after(now: datetime) -> set[str]:
    """Tell of queues without a worker, and of those that have one again; those without. Call it before claims are renewed.

    Three statements where all is well; none in one process, which serves itself.
    """
    if settings.EMBEDDED:
        return set()
    open_keys = troubles.open_trouble_keys(TROUBLE)
    waiting = queues.with_unclaimed_checks(now) | queues.with_late_heals(now)
    for queue in sorted(waiting):
        if f"{TROUBLE}{queue}" not in open_keys and queues.is_unserved(queue, now):
            _unserved(queue, now)
    for key in sorted(open_keys):
        queue = key.removeprefix(TROUBLE)
        if queues.is_served(queue, now) or not queues.hosts_of(queue):
            _served(queue, now)
    return {key.removeprefix(TROUBLE) for key in troubles.open_trouble_keys(TROUBLE)} if open_keys else set()


def _unserved(queue: str, now: datetime) -> None:
    waiting = queues.hosts_of(queue)
    message = f"no worker serves the queue {queue}"
    with transaction.atomic():
        # The dead-man's switch may have told it before, as the queue's silence.
        is_told = troubles.trouble_since(f"down:{TROUBLE}{queue}") is not None
        is_first = troubles.open_trouble(f"{TROUBLE}{queue}", _text(queue, waiting), now, quietly=is_told)
        if not is_first and not is_told:
            return
        if queues.is_check_queue(queue):
            for host in waiting:
                statuses.unknown(host.pk, f"could not look: {message}")
        if is_first:
            title = f"No worker serves the queue {queue}"
            text = _text(queue, waiting)
            details = {
                "since": now.isoformat(),
                "cause": message,
                "next": "Its work waits until a worker takes it.",
            }
            write(_alert(queue, AlertLevel.ERROR, title, text, AlertKind.FIRING, details))
    logger.error(message, extra={"action": "queue_unserved", "queue": queue})


def _served(queue: str, now: datetime) -> None:
    with transaction.atomic():
        queues.forget_suspicion(queue)
        if not troubles.end_trouble(f"{TROUBLE}{queue}", now):
            return
        title = f"The queue {queue} is served again, or needed no more"
        write(_alert(queue, AlertLevel.INFO, title, "", AlertKind.RESOLVED, {}))
    logger.info("queue is served", extra={"action": "queue_served", "queue": queue})


def _text(queue: str, waiting: list[Host]) -> str:
    names = ", ".join(host.name for host in waiting[:_NAMED])
    more = f" and {len(waiting) - _NAMED} more" if len(waiting) > _NAMED else ""
    what = "Nothing is known of the containers" if queues.is_check_queue(queue) else "Nothing is healed"
    return (
        f"No worker takes from the queue {queue}. {what} of {names}{more} until one does. "
        f"Start one: celery -A selfheal_project worker -Q {queue}, or manage.py near for the queue of a host."
    )


def _alert(
    queue: str, level: AlertLevel, title: str, body: str, kind: AlertKind, details: dict[str, str]
) -> Alert:
    name = AlertName.QUEUE_UNSERVED
    return about_ourselves(name, f"queue:{queue}", level, title, body, kind=kind, details=details)
