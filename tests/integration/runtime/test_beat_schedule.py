"""The periodic tasks: there when beat starts, ours where they must be, people's where they may be."""

from __future__ import annotations

from typing import Any

import pytest
from celery.beat import Service
from django_celery_beat.models import CrontabSchedule, IntervalSchedule, PeriodicTask

from selfheal_project.beat_schedule import ensure_schedule
from selfheal_project.celery import app

pytestmark = pytest.mark.django_db


def row(name: str) -> PeriodicTask:
    return PeriodicTask.objects.get(name=f"selfheal: {name}")


def seconds(name: str) -> float:
    interval = row(name).interval
    return float(interval.every) / (1_000_000 if interval.period == IntervalSchedule.MICROSECONDS else 1)


def test_what_is_missing_is_created(settings: Any) -> None:
    """A tick at SELFHEAL_TICK seconds, deliveries, and the daily clean-up, each with its queue and expiry."""
    settings.SELFHEAL_TICK = 2.0
    ensure_schedule()
    assert seconds("tick") == 2
    assert row("tick").task == "healing.tasks.dispatch_checks"
    assert row("tick").queue == "default"
    assert seconds("deliver alerts") == 5
    assert seconds("prune history") == 86_400
    assert all(task.expire_seconds for task in PeriodicTask.objects.filter(name__startswith="selfheal: "))


def test_a_second_time_changes_nothing() -> None:
    """Every start ensures them; none makes beat read its schedule again."""
    ensure_schedule()
    before = list(PeriodicTask.objects.order_by("id").values())
    ensure_schedule()
    assert list(PeriodicTask.objects.order_by("id").values()) == before


def test_what_people_may_change_stays() -> None:
    """Switched off stays off; another time for the clean-up stays; a wrong task name does not."""
    ensure_schedule()
    night = CrontabSchedule.objects.create(minute="30", hour="3")
    PeriodicTask.objects.filter(pk=row("prune history").pk).update(
        interval=None, crontab=night, task="nonsense"
    )
    PeriodicTask.objects.filter(pk=row("deliver alerts").pk).update(enabled=False)
    ensure_schedule()
    assert row("prune history").crontab == night
    assert row("prune history").task == "healing.tasks.prune_history"
    assert row("deliver alerts").enabled is False


def test_the_tick_follows_the_environment(settings: Any) -> None:
    """SELFHEAL_TICK decides at every start, fractions included."""
    settings.SELFHEAL_TICK = 1.0
    ensure_schedule()
    settings.SELFHEAL_TICK = 1.5
    ensure_schedule()
    assert seconds("tick") == 1.5


@pytest.mark.django_db(transaction=True)
def test_beat_finds_them_and_their_expiry() -> None:
    """The scheduler that runs in every mode sends the tick with its expiry, to its queue."""
    ensure_schedule()
    entry = Service(app, scheduler_cls=app.conf.beat_scheduler).scheduler.schedule["selfheal: tick"]
    assert entry.options["expires"] == 10
    assert entry.options["queue"] == "default"
