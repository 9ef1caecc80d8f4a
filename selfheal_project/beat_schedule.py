"""The periodic tasks that Selfheal itself needs, as rows that people see and change in the admin."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Periodic:
    """One periodic task: `every` and `expires` in seconds; `follows_settings` where the interval is not people's."""

    name: str
    task: str
    queue: str
    every: float
    expires: int
    follows_settings: bool = False


def periodic_tasks(tick: float) -> tuple[Periodic, ...]:
    """What has to run; `tick` is the pause between two dispatches of checks."""
    return (
        # A tick that waited is as good as a new one, so it may wait: expiring at once would starve a busy worker.
        Periodic(
            "selfheal: tick",
            "healing.tasks.dispatch_checks",
            "default",
            tick,
            math.ceil(max(10, 3 * tick)),
            True,
        ),
        Periodic("selfheal: canaries", "healing.tasks.send_canaries", "default", 5, 10),
        Periodic("selfheal: deliver alerts", "notifications.tasks.deliver_due", "alerts", 5, 30),
        Periodic("selfheal: orphaned alerts", "healing.tasks.end_orphaned_alerts", "default", 60, 60),
        # A digest that is due is not late by more than this.
        Periodic("selfheal: digests", "healing.tasks.send_digest", "default", 300, 240),
        Periodic("selfheal: prune history", "healing.tasks.prune_history", "default", 86_400, 3_600),
    )


def ensure_schedule() -> None:
    """Create what is missing and mend what is ours; what people may change (enabled, intervals) stays theirs."""
    from django.conf import settings

    for periodic in periodic_tasks(settings.SELFHEAL_TICK):
        _ensure(periodic)


def _ensure(periodic: Periodic) -> None:
    from django.core.exceptions import ValidationError
    from django_celery_beat.models import PeriodicTask

    ours = {"task": periodic.task, "queue": periodic.queue, "expire_seconds": periodic.expires}
    row = PeriodicTask.objects.filter(name=periodic.name).first()
    if row is None:
        defaults = {"interval": _interval(periodic.every), **ours}
        try:
            row, created = PeriodicTask.objects.get_or_create(name=periodic.name, defaults=defaults)
        except ValidationError:  # its own check before the database's: another beat has made it meanwhile
            row, created = PeriodicTask.objects.get(name=periodic.name), False
        if created:
            return
    if periodic.follows_settings:
        # One row has one kind of schedule: a crontab that somebody chose for the tick gives way.
        ours |= {"interval": _interval(periodic.every), "crontab": None, "solar": None, "clocked": None}
    changed = {name: value for name, value in ours.items() if getattr(row, name) != value}
    if changed:
        for name, value in changed.items():
            setattr(row, name, value)
        row.save()


def _interval(seconds: float) -> object:
    from django_celery_beat.models import IntervalSchedule

    if seconds == int(seconds):
        every, period = int(seconds), IntervalSchedule.SECONDS
    else:
        every, period = round(seconds * 1_000_000), IntervalSchedule.MICROSECONDS
    interval = IntervalSchedule.objects.filter(every=every, period=period).first()
    return interval or IntervalSchedule.objects.create(every=every, period=period)
