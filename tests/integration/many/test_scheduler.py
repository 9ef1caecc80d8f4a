"""Beat: several at once, and clocks that are set."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.db import OperationalError, connection
from django_celery_beat.models import PeriodicTask, PeriodicTasks
from django_celery_beat.schedulers import SCHEDULE_SYNC_MAX_INTERVAL

from healing.store.clock import forget_reading
from selfheal_project.beat_schedule import ensure_schedule
from selfheal_project.celery import app
from selfheal_project.scheduler import Scheduler

pytestmark = pytest.mark.django_db(transaction=True)
TICK = "selfheal: tick"
BEGIN = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


class Beat(Scheduler):
    """A scheduler that notes what it sends."""

    def __init__(self) -> None:
        self.sent: list[str] = []
        super().__init__(app)

    def apply_entry(self, entry: Any, producer: Any = None) -> None:
        self.sent.append(entry.name)

    def sync(self) -> None:
        """Called when the interpreter ends, too, and then there is no database."""

    def round(self) -> None:
        """As long as there is something to do at this moment."""
        while self.tick() <= 0:
            pass

    def ticks(self) -> int:
        return self.sent.count(TICK)


@pytest.fixture(autouse=True)
def separate(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.EMBEDDED = False
    settings.SELFHEAL_TICK = 1.0
    monkeypatch.setattr("selfheal_project.scheduler.db_now", lambda: datetime.now(UTC))
    forget_reading()


@pytest.fixture
def clock() -> Any:
    with time_machine.travel(BEGIN, tick=False) as traveller:
        ensure_schedule()
        PeriodicTask.objects.filter(name=TICK).update(last_run_at=BEGIN)
        yield traveller


def test_two_beats_send_a_task_once(clock: Any) -> None:
    """Ten seconds are ten ticks, however many beats there are; and one alone goes on."""
    beats = [Beat(), Beat()]
    for _ in range(10):
        for part in range(2):
            clock.shift(0.5)
            for beat in beats if part else reversed(beats):
                beat.round()
    assert 9 <= sum(beat.ticks() for beat in beats) <= 10
    before = beats[1].ticks()
    for _ in range(5):
        clock.shift(1.05)
        beats[1].round()
    assert beats[1].ticks() - before >= 4
    assert sum(beat.sent.count("selfheal: prune history") for beat in beats) <= 1


def test_beats_whose_clocks_differ(clock: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A beat whose machine is a minute ahead sends no more, and the other is no later for it."""
    ahead, right = Beat(), Beat()
    database = datetime.now
    for _ in range(20):
        clock.shift(0.5)
        now = database(UTC)
        monkeypatch.setattr("selfheal_project.scheduler.db_now", lambda now=now: now)
        right.round()
        clock.shift(60)
        ahead.round()
        clock.shift(-60)
    assert 8 <= ahead.ticks() + right.ticks() <= 11


def test_a_clock_that_is_set_back(clock: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beat goes on at once, and does not fall silent until the old time has come again."""
    beat, steady = Beat(), time.monotonic()
    for passed in range(1, 4):
        clock.shift(1.05)
        monkeypatch.setattr("selfheal_project.scheduler.time.monotonic", lambda at=passed: steady + at)
        beat.round()
    before = beat.ticks()
    assert before >= 2
    clock.shift(-3600)
    for passed in range(4, 9):
        clock.shift(1.05)
        monkeypatch.setattr("selfheal_project.scheduler.time.monotonic", lambda at=passed: steady + at)
        beat.round()
    assert beat.ticks() - before >= 3


def _away(*_: Any) -> Any:
    raise OperationalError("server closed the connection unexpectedly")


def test_a_database_that_is_away(clock: Any, caplog: pytest.LogCaptureFixture) -> None:
    """Beat outlives it also when its schedule is due to be read, and sends when it is back, by what the rows say then."""
    beat = Beat()
    clock.shift(1.05)
    beat.round()
    with connection.execute_wrapper(_away):
        clock.shift(SCHEDULE_SYNC_MAX_INTERVAL + 1)
        beat.round()
        beat.round()
    assert any(getattr(record, "action", "") == "beat_database" for record in caplog.records)
    before = beat.ticks()
    PeriodicTask.objects.filter(name="selfheal: digests").update(enabled=False)
    clock.shift(5.05)
    beat.round()
    assert beat.ticks() == before + 1
    assert "selfheal: digests" not in beat.schedule


def test_a_beat_that_starts_without_its_database(clock: Any) -> None:
    """It waits for it, and then has the periodic tasks that Selfheal needs."""
    PeriodicTask.objects.all().delete()
    with connection.execute_wrapper(_away):
        beat = Beat()
        beat.round()
    assert beat.sent == []
    for _ in range(4):
        clock.shift(2)
        beat.round()
    assert beat.ticks() >= 1


def test_the_first_change_is_one(settings: Any) -> None:
    """Rows that come after beat has read are seen, also where none has ever been written before."""
    beat = Beat()
    PeriodicTask.objects.all().delete()
    PeriodicTasks.objects.all().delete()
    beat.round()
    ensure_schedule()
    PeriodicTask.objects.update(last_run_at=datetime.now(UTC) - timedelta(hours=1))
    beat.round()
    assert beat.ticks() == 1


def test_two_beats_that_start_together_both_live(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each finds no schedule and makes it; the later one takes the earlier one's."""
    PeriodicTask.objects.all().delete()
    make = PeriodicTask.objects.get_or_create

    def after_the_other(**fields: Any) -> object:
        make(**fields)
        PeriodicTask(name=fields["name"], **fields["defaults"]).save()
        raise AssertionError("saved twice")

    monkeypatch.setattr(PeriodicTask.objects, "get_or_create", after_the_other)
    ensure_schedule()
    names = list(PeriodicTask.objects.values_list("name", flat=True))
    assert names
    assert len(names) == len(set(names))
