"""A production mode without processes: parts that sign, observers that look, and time that is passed in."""

from __future__ import annotations

from datetime import datetime, timedelta

import time_machine
from django.utils import timezone
from django_celery_beat.models import PeriodicTask

from healing.observer import Observer
from healing.store import hosts, signs
from notifications.models import Notification
from selfheal_project.beat_schedule import ensure_schedule

QUEUES = ("heal", "checks", "alerts", "default")


class World:
    """All parts of a production mode, each of which gives a sign every three seconds until it is `silent`."""

    def __init__(self, traveller: time_machine.Coordinates) -> None:
        self.traveller = traveller
        self.silent: set[str] = set()
        self.broker_answers = True
        ensure_schedule()

    def signs(self, now: datetime) -> None:
        all_of_them = ("beat", "sweep:here:1", "watch:one", *(f"canary:{queue}" for queue in QUEUES))
        hosts.beat_all([name for name in all_of_them if name not in self.silent], now)
        if "periodic" not in self.silent:
            PeriodicTask.objects.filter(task=signs.TICK_TASK).update(last_run_at=now)

    def run(self, seconds: float, *observers: Observer, every: float = 3) -> None:
        for _ in range(round(seconds / every)):
            self.traveller.shift(timedelta(seconds=every))
            self.signs(timezone.now())
            for each in observers:
                each._broker.ask()
                each.look()

    def told(self) -> list[tuple[str, str]]:
        rows = Notification.objects.order_by("created_at", "kind")
        return list(rows.values_list("alert_key", "kind"))
