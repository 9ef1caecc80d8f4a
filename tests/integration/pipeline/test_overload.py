"""A fleet three times over what one worker can check, in time that the looks themselves use up; and heals by importance."""

from __future__ import annotations

import itertools
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from heapq import heappop, heappush
from types import SimpleNamespace
from typing import Any

import pytest
import time_machine
from django.db.models import Sum
from django.utils import timezone

from healing import tasks
from healing.core import decide
from healing.core.shedding import DEFAULT_RANK, Level
from healing.core.types import FailureType, Snapshot
from healing.effective import forget_book
from healing.engines.fake import FakeEngine, fake_engine
from healing.models import Attempt, CheckShard, Container, FailureRecord, Host, Overload, PutOff, Trouble
from healing.pipeline import overload
from healing.registration.engine import parse_selection, register_from_engine
from healing.store import clock, heals
from notifications import direct
from notifications.channels import fake as fake_channel
from notifications.models import Channel, Notification
from tests.integration.loop.timeline import BEGIN, Timeline

HOSTS, INTERVAL, LOOK = 4, 10.0, 0.375
FIRST_HOST = 900_001
"""Which moments within an interval are a host's follows from its key: here the same in each run."""
PRIORITIES = ["critical"] * 2 + ["default"] * 12 + ["non-critical"] * 6
"""Of each host: 80 looks of LOOK seconds are due in each interval of ten, on all hosts together."""


class Worker:
    """One worker and one beat. An inspection uses up LOOK seconds, in which beat goes on."""

    def __init__(self, traveller: time_machine.Coordinates, monkeypatch: pytest.MonkeyPatch) -> None:
        self.traveller = traveller
        self.looks: dict[str, list[datetime]] = defaultdict(list)
        self.cost = LOOK
        self._messages: list[tuple[int, int, datetime, Any]] = []
        self._numbers = itertools.count()
        self._next_tick = timezone.now()
        inspect = FakeEngine.inspect

        def slow(engine: FakeEngine, container_id: str) -> Snapshot:
            snapshot = inspect(engine, container_id)
            self.looks[snapshot.name].append(timezone.now())
            self.pass_time(self.cost)
            return snapshot

        monkeypatch.setattr(FakeEngine, "inspect", slow)
        monkeypatch.setattr(tasks, "send", self._send)

    def _send(
        self,
        task: Any,
        *args: Any,
        queue: str,
        expires: float | None = None,
        priority: int = DEFAULT_RANK,
        **kwargs: Any,
    ) -> None:
        until = timezone.now() + timedelta(seconds=expires or 3600)
        work = (lambda: task.run(*args, **kwargs)) if queue == "checks" else (lambda: None)
        heappush(self._messages, (priority, next(self._numbers), until, work))

    def pass_time(self, seconds: float) -> None:
        end = timezone.now() + timedelta(seconds=seconds)
        while self._next_tick <= end:
            self.traveller.move_to(max(self._next_tick, timezone.now()))
            self._next_tick += timedelta(seconds=1)
            tasks.dispatch_checks()
        self.traveller.move_to(end)

    def run(self, seconds: float) -> None:
        end = timezone.now() + timedelta(seconds=seconds)
        while timezone.now() < end:
            if not self._messages:
                self.pass_time(max((self._next_tick - timezone.now()).total_seconds(), 0.0))
                continue
            *_, until, work = heappop(self._messages)
            if timezone.now() < until:
                work()

    def latest(self, priority: str, since: datetime, until: datetime) -> float:
        """The longest that a container of this priority went without a look, in seconds."""
        longest = 0.0
        for name in Container.objects.filter(name__startswith=f"{priority}-").values_list("name", flat=True):
            looks = [look for look in self.looks[name] if since <= look <= until]
            times = [since, *looks, until]
            longest = max([longest, *((b - a).total_seconds() for a, b in itertools.pairwise(times))])
        return longest


@pytest.fixture
def worker(request: pytest.FixtureRequest, db: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Worker]:
    """Four hosts with a container of each of PRIORITIES (or the parameter), to be looked at every ten seconds."""
    monkeypatch.setattr(clock, "connection", SimpleNamespace(vendor="moved by the test"))
    fake_channel.clear()
    Channel.objects.create(name="people", kind="fake", min_level="info")
    with time_machine.travel(BEGIN, tick=False) as traveller:
        forget_book()
        for number in range(HOSTS):
            _add_host(FIRST_HOST + number, getattr(request, "param", PRIORITIES))
        yield Worker(traveller, monkeypatch)
    forget_book()


def _add_host(pk: int, priorities: Sequence[str]) -> None:
    name = f"overloaded-{pk}"
    engine = fake_engine(name)
    for number, priority in enumerate(priorities):
        labels = {
            "selfheal.enable": "true",
            "selfheal.check_interval": f"{INTERVAL:g}",
            "selfheal.engine_verdicts": "counted",
            "selfheal.failure_threshold": "1000",
            "selfheal.priority": priority,
        }
        container = f"{priority}-{name}-{number}"
        engine.add(container, labels=labels, healthcheck=True)
        engine.make_unhealthy(container)
    host = Host.objects.create(pk=pk, name=name, engine_kind="fake", address=f"fake://{name}")
    register_from_engine(host, engine, parse_selection(True, [], ""))


def _told() -> list[str]:
    return [message.alert.title for message in fake_channel.sent()]


def _put_off(priority: int) -> int:
    return PutOff.objects.filter(priority=priority).aggregate(sum=Sum("checks"))["sum"] or 0


def test_three_times_over_capacity(worker: Worker) -> None:
    """The critical tenth is looked at on time all along; the rest late or not at all, counted, and told once."""
    begun = timezone.now()
    worker.run(120)
    ended = timezone.now()
    assert worker.latest("critical", begun, ended) <= 2 * INTERVAL
    assert worker.latest("non-critical", begun, ended) > 9 * INTERVAL
    looks = dict.fromkeys(PRIORITIES, 0)
    for name, times in worker.looks.items():
        looks[name.partition("-overloaded")[0]] += len(times)
    assert looks["critical"] >= 8 * (120 / INTERVAL) * 0.9
    assert looks["non-critical"] < looks["default"] / 10
    assert sum(looks.values()) * LOOK > 0.75 * 120, "little idling while there is something to do"
    assert (_put_off(0), _put_off(1) > 100, _put_off(2) > 100) == (0, True, True)
    assert _told() == ["Selfheal is overloaded"]
    assert "non-critical" in fake_channel.sent()[0].alert.body
    assert Trouble.objects.filter(resolved_at=None).count() == 1


def test_the_end_of_an_overload(worker: Worker) -> None:
    """When there is capacity again everything is looked at on time, nothing is put off, and that is told once."""
    worker.run(40)
    assert Overload.objects.get().level > Level.NONE
    worker.cost = LOOK / 10
    worker.run(90)
    counted, since = (_put_off(1), _put_off(2)), timezone.now()
    worker.run(40)
    assert Overload.objects.get().level == Level.NONE
    assert _told() == ["Selfheal is overloaded", "Selfheal is no longer overloaded"]
    told = re.fullmatch(
        r"Checks put off meanwhile: (\d+) of default containers, (\d+) of non-critical containers\.",
        fake_channel.sent()[1].alert.body,
    )
    assert told is not None
    assert all(0.8 * count < int(shown) <= count for shown, count in zip(told.groups(), counted, strict=True))
    assert (_put_off(1), _put_off(2)) == counted
    for priority in ("critical", "default", "non-critical"):
        assert worker.latest(priority, since, timezone.now()) <= 2 * INTERVAL
    assert not Trouble.objects.filter(resolved_at=None).exists()
    assert not CheckShard.objects.filter(is_cut_short=True).exists()
    ids = {message.id for message in fake_channel.sent()}
    assert {str(pk) for pk in Notification.objects.filter(state="sent").values_list("pk", flat=True)} == ids


class Killed(BaseException):
    """The end of a process, as a signal makes it."""


@pytest.mark.parametrize("level", [Level.DEFAULT, Level.NONE])
def test_what_a_killed_process_was_to_tell_is_told_by_the_outbox(
    db: None, monkeypatch: pytest.MonkeyPatch, level: Level
) -> None:
    """That it is told is noted together with the message itself, which nobody else would write."""
    now = timezone.now()
    told_at = None if level else now
    row = Overload.objects.create(queue="", level=level, told_at=told_at, measured_at=now, late_since=now)

    def die(*_: object) -> None:
        raise Killed

    monkeypatch.setattr(direct, "_send", die)
    with pytest.raises(Killed):
        overload.tell([row], now)
    message = Notification.objects.get(alert_key__startswith="self:overload:")
    assert message.kind == ("firing" if level else "resolved")
    assert message.state == "pending"
    assert message.route_at is not None
    row.refresh_from_db()
    assert bool(row.told_at) == bool(level)


@pytest.mark.parametrize("worker", [["default"] * 20], indirect=True)
def test_where_all_are_equal_nobody_is_shed_for_nobody(worker: Worker) -> None:
    """Without anything more important the worker goes on with what there is, in turn, however late it is."""
    worker.run(100)
    assert Overload.objects.get().level == Level.DEFAULT
    assert sum(len(times) for times in worker.looks.values()) * LOOK > 0.9 * 100
    assert len(worker.looks) == HOSTS * 20, "each has had its turn"
    assert _told() == ["Selfheal is overloaded"]


def test_no_worker_is_no_overload(worker: Worker) -> None:
    """Where checks wait because no worker takes any, or messages are lost, that is not told as too much to do."""
    worker.cost = 0.0
    worker.run(20)
    worker.pass_time(60)
    assert _told() == []
    assert not Overload.objects.filter(level__gt=Level.NONE).exists()


def test_checks_that_events_ask_for_expire(storm: Timeline, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next sweep finds the same: where no worker takes them they must not pile up, to be made afterwards one by one."""
    sent: list[tuple[str, float | None]] = []

    def note(_: Any, *__: Any, queue: str, expires: float | None = None, **___: Any) -> None:
        sent.append((queue, expires))

    monkeypatch.setattr(tasks, "send", note)
    ids = list(Container.objects.values_list("pk", flat=True))[:1]
    tasks.check_now(ids, by_event=True, event_at=timezone.now())
    tasks.check_now(ids)
    assert sent == [("heal", tasks.HINT_EXPIRES), ("checks", None)]


def test_what_is_sent_has_its_priority(storm: Timeline, monkeypatch: pytest.MonkeyPatch) -> None:
    """Checks are sent by the most important container of a host, checks of one and heals by its own."""
    sent: list[tuple[str, int]] = []

    def note(task: Any, *_: Any, priority: int = DEFAULT_RANK, **__: Any) -> None:
        sent.append((task.name.rpartition(".")[2], priority))

    monkeypatch.setattr(tasks, "send", note)
    ids = dict(Container.objects.values_list("name", "pk"))
    tasks.check_now([ids["web-00"]])
    tasks.check_now([ids["web-00"], ids["web-01"]])
    tasks.check_now([ids["web-00"], ids["web-17"]], by_event=True)
    assert sent == [("check_containers", rank) for rank in (2, 1, 0)]
    sent.clear()
    for name in ("web-00", "web-17", "web-01"):
        container = Container.objects.get(name=name)
        heals.open_failure(
            container,
            timezone.now(),
            failure_type=FailureType.CONTAINER_STOPPED,
            priority=container.health.priority,
        )
    CheckShard.objects.update(next_due_at=timezone.now())
    tasks.dispatch_checks()
    assert sent == [("check_containers", 0), ("diagnose", 0), ("diagnose", 1), ("diagnose", 2)]


FAILING = [f"web-{number:02}" for number in range(24)]
CRITICAL = {"web-17", "web-20", "web-23"}
IMPORTANT = dict.fromkeys(CRITICAL, "critical") | {"web-00": "non-critical"}


@pytest.fixture
def storm(db: None) -> Iterator[Timeline]:
    """Two dozen containers of one host, three times what its window takes; three late ones are critical."""
    with Timeline() as timeline:
        for name in FAILING:
            labels = {"selfheal.enable": "true", "selfheal.check_interval": "10"}
            labels |= {"selfheal.priority": IMPORTANT[name]} if name in IMPORTANT else {}
            timeline.fake.add(name, labels=labels)
        timeline.watch()
        timeline.run(30)
        yield timeline


def _order() -> list[str]:
    attempts = Attempt.objects.order_by("intent_at", "pk")
    return list(attempts.values_list("container__name", flat=True))


def test_critical_heals_come_first(storm: Timeline) -> None:
    """Found together by a sweep, the critical ones are healed before all that were not found earlier."""
    storm.look_away()
    for name in FAILING:
        storm.fake.exit(name, 1)
    storm.run(90)
    assert FailureRecord.objects.filter(is_found=True, action_result="success").count() == 24
    assert set(_order()[:8]) >= CRITICAL
    found = dict(FailureRecord.objects.filter(is_found=True).values_list("container_name", "detected_at"))
    for critical in CRITICAL:
        overtaken = _order()[: _order().index(critical)]
        assert all(found[name] < found[critical] for name in overtaken if name not in CRITICAL)


def test_a_place_that_is_free_goes_to_a_critical_heal(storm: Timeline) -> None:
    """Where others fill the window and many were found before, the places that they free go to the critical ones."""
    for name in FAILING:
        storm.fake.exit(name, 1)
    storm.run(90)
    assert FailureRecord.objects.filter(is_found=True, action_result="success").count() == 24
    assert not set(_order()[:8]) & CRITICAL
    assert set(_order()[:16]) >= CRITICAL


def test_heals_over_their_share_of_the_ceiling_are_put_off(
    storm: Timeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a ceiling of four and three under way others wait, which is noted; a critical heal takes the last place."""
    monkeypatch.setattr(decide, "FLEET_CEILING", 4)
    send = tasks.send

    def no_restart(task: Any, *args: Any, **kwargs: Any) -> None:
        if task is not tasks.restart:
            send(task, *args, **kwargs)

    monkeypatch.setattr(tasks, "send", no_restart)
    for name in ("web-01", "web-02", "web-03", "web-00", "web-04", "web-17", "web-20"):
        storm.fake.exit(name, 1)
    storm.run(3)
    assert _order() == ["web-01", "web-02", "web-03", "web-17"]
    waiting = FailureRecord.objects.filter(put_off_at__isnull=False).order_by("container_name")
    assert [(failure.container_name, failure.priority) for failure in waiting] == [
        ("web-00", 2),
        ("web-04", 1),
        ("web-20", 0),
    ]
    assert all(failure.reason.startswith("put off: ") for failure in waiting)
