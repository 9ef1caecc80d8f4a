"""The sweeper: heals and checks go on without broker, beat and workers, and nothing is done twice."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest

from healing import sweeper, tasks
from healing.core.types import ActionResult
from healing.effective import config_book
from healing.models import (
    CheckShard,
    Container,
    Dependency,
    FailureRecord,
    HealthStatus,
    Heartbeat,
    Host,
    Stage,
)
from healing.pipeline import check, stages, sweep
from healing.store import heals, hosts, worker_signs
from healing.store.clock import db_now
from healing.sweeper import ALERT_OVERDUE, HEAL_OVERDUE, SHARD_OVERDUE, Sweeper
from notifications.models import Notification, Route
from notifications.routes import root
from tests.integration.loop.timeline import Timeline
from tests.testbed.wait import until

AT_WORK = sweeper._Threads

LABELS = {"selfheal.enable": "true", "selfheal.check_interval": "10"}

pytestmark = pytest.mark.django_db


class Here:
    """Does at once, in the test's thread, what is given to the sweeper's threads."""

    free = 8
    at_work: frozenset[Hashable] = frozenset()

    def __init__(self, *_: object) -> None: ...

    def start(self, _: Hashable, work: Callable[[], None]) -> bool:
        work()
        return True

    def stop(self) -> None: ...


@pytest.fixture
def timeline(db: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Timeline]:
    """A healthy container for a minute; then the broker, beat and the workers are gone."""
    monkeypatch.setattr(sweeper, "_Threads", Here)
    with Timeline() as made:
        made.fake.add("web", labels=LABELS, healthcheck=True)
        made.watch()
        made.run(60)
        monkeypatch.setattr(tasks, "send", lambda *_, **__: None)
        yield made


def found(timeline: Timeline) -> FailureRecord:
    """What the watcher's own check puts on record."""
    timeline.fake.make_unhealthy("web")
    container = Container.objects.get(name="web")
    check.check_some(timeline.host.pk, [container.pk], by_event=True)
    return FailureRecord.objects.get(is_found=True)


def wait(timeline: Timeline, seconds: float, *sweepers: Sweeper) -> None:
    """So many seconds, in each of which every sweeper makes a round."""
    for _ in range(round(seconds)):
        timeline._clock.shift(timedelta(seconds=1))
        for each in sweepers:
            each.step()


def test_a_heal_goes_on_without_broker_beat_and_workers(timeline: Timeline) -> None:
    """It is taken up when a hint would long have arrived, and taken to its end; two sweepers restart once."""
    Route.objects.filter(pk=root().pk).update(group_wait=timedelta(0), group_interval=timedelta(0))
    failure = found(timeline)
    both = Sweeper(), Sweeper()
    wait(timeline, HEAL_OVERDUE.total_seconds() - 1, *both)
    assert timeline.calls_of("web") == []
    wait(timeline, 20 + ALERT_OVERDUE.total_seconds(), *both)
    failure.refresh_from_db()
    assert (failure.action_result, len(timeline.calls_of("web"))) == (ActionResult.SUCCESS, 1)
    states = dict(Notification.objects.values_list("kind", "state"))
    assert states == {"firing": "merged", "resolved": "sent"}, "it was over before it was told: one message"
    took = (failure.resolved_at or timeline.begin) - failure.detected_at
    assert took < timedelta(seconds=15)


def test_what_a_worker_holds_is_left_to_it(timeline: Timeline) -> None:
    """A heal under a lease, and one that is due later, are nobody's to take."""
    failure = found(timeline)
    assert heals.claim(failure.pk, Stage.DIAGNOSE, 60) is not None
    wait(timeline, 50, Sweeper())
    assert timeline.calls_of("web") == []
    FailureRecord.objects.update(lease_until=None, due_at=db_now() + timedelta(seconds=120))
    wait(timeline, 100, Sweeper())
    assert timeline.calls_of("web") == []


def test_hosts_near_others_are_left_to_their_own_sweeper(timeline: Timeline, settings: object) -> None:
    """The address of such an engine means another one here."""
    settings.EMBEDDED = False  # type: ignore[attr-defined]
    Host.objects.update(queue="rack-7")
    failure = found(timeline)
    wait(timeline, 40, Sweeper())
    assert timeline.calls_of("web") == []
    wait(timeline, 10, Sweeper(["rack-7"]))
    failure.refresh_from_db()
    assert failure.action_result == ActionResult.SUCCESS


def test_what_another_hosts_recovery_wakes_is_left_to_its_own_sweeper(
    timeline: Timeline, settings: object
) -> None:
    """It stands in for the workers near its own engines only, also for what follows from their heals."""
    settings.EMBEDDED = False  # type: ignore[attr-defined]
    Host.objects.update(queue="a")
    failure = found(timeline)
    other = Host.objects.create(name="b", queue="b", engine_kind="fake", address="fake://sweeper-b")
    app = Container.objects.create(host=other, name="app", engine_id="app")
    Dependency.objects.create(dependant=app, dependency=failure.container)
    held = {"reason": "held: waits for web", "failure_type": "health_check_failed"}
    woken = heals.open_failure(app, db_now(), **held)
    assert woken is not None
    FailureRecord.objects.filter(pk=woken.pk).update(due_at=db_now() + timedelta(seconds=300))
    wait(timeline, 30, Sweeper(["a"]))
    failure.refresh_from_db()
    woken.refresh_from_db()
    assert failure.action_result == ActionResult.SUCCESS
    assert (woken.fence, woken.lease_owner) == (0, "")
    assert woken.due_at is not None and woken.due_at <= db_now()


def test_overdue_checks_are_made_and_those_in_time_are_not(timeline: Timeline) -> None:
    """Without a tick a host is swept from two intervals on; one that fails without an event is found and healed."""
    timeline.look_away()
    timeline.fake.make_unhealthy("web")
    due_at = CheckShard.objects.get().next_due_at
    assert due_at is not None
    one = Sweeper()
    while db_now() < due_at + SHARD_OVERDUE - timedelta(seconds=2):
        wait(timeline, 1, one)
    assert FailureRecord.objects.count() == 0
    wait(timeline, 40, one)
    assert FailureRecord.objects.get(is_found=True).action_result == ActionResult.SUCCESS
    assert HealthStatus.objects.get().status == "healthy"


def test_a_claim_that_nobody_took_up_gives_way_and_its_message_comes_too_late(timeline: Timeline) -> None:
    """Beat lives and the workers do not: the sweeper checks; a worker that wakes up then does not check as well."""
    shard = CheckShard.objects.get()
    assert shard.next_due_at is not None
    timeline._clock.move_to(shard.next_due_at + timedelta(seconds=25))
    assert hosts.claim_due_shards(db_now()) == [(timeline.host.pk, 0, shard.priority)]
    assert hosts.claim_overdue_shards(db_now(), SHARD_OVERDUE, None, 4) == [(timeline.host.pk, 0)]
    assert hosts.claim_overdue_shards(db_now(), SHARD_OVERDUE, None, 4) == []
    with worker_signs.held(timeline.host.pk, 0) as is_due:
        assert not is_due


def test_a_message_that_comes_three_times_has_one_check_made(timeline: Timeline) -> None:
    """The claim is taken up once, by the database's time, however often and late its message comes."""
    shard = CheckShard.objects.get()
    assert shard.next_due_at is not None
    timeline._clock.move_to(shard.next_due_at)
    hosts.claim_due_shards(db_now())
    with worker_signs.held(timeline.host.pk, 0) as first, worker_signs.held(timeline.host.pk, 0) as second:
        assert first is not None
        assert second is None
    timeline._clock.shift(timedelta(seconds=worker_signs.LONGEST_CHECK + 1))
    with worker_signs.held(timeline.host.pk, 0) as stale:
        assert not stale


def test_a_sweeper_shows_that_it_lives_and_is_not_missed_when_it_was_stopped(timeline: Timeline) -> None:
    """Its sign ends with it, so that a planned stop alarms nobody."""
    one = Sweeper()
    one.step()
    assert Heartbeat.objects.filter(name__startswith="sweep:").count() == 1
    one.stop()
    assert not Heartbeat.objects.filter(name__startswith="sweep:").exists()


def test_a_stage_that_breaks_gives_its_claim_back(
    timeline: Timeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A heal does not wait for the end of a lease that nobody holds any more."""
    failure = found(timeline)

    def breaks(*_: object) -> None:
        raise KeyError("nobody")

    monkeypatch.setattr("healing.pipeline.diagnosing.gather", breaks)
    with pytest.raises(KeyError):
        stages.run(Stage.DIAGNOSE, failure.pk)
    failure.refresh_from_db()
    assert (failure.lease_until, failure.lost_claims) == (None, 1)
    assert failure.due_at == db_now() + heals.BROKEN_PAUSE
    assert "KeyError" in failure.reason


def test_a_slow_check_of_its_own_is_no_death(timeline: Timeline) -> None:
    """What it is still checking it claims no second time, however long that takes; another's it does."""
    shard = CheckShard.objects.get()
    assert shard.next_due_at is not None
    CheckShard.objects.update(begun_at=shard.next_due_at, lease_until=shard.next_due_at)
    timeline._clock.move_to(shard.next_due_at + timedelta(seconds=100))
    one = Sweeper()
    one._shards.at_work = frozenset({(shard.host_id, 0)})  # type: ignore[misc]
    one._sweep_shards(db_now())
    assert CheckShard.objects.get().begun_at == shard.next_due_at
    one._shards.at_work = frozenset()  # type: ignore[misc]
    one._sweep_shards(db_now())
    assert CheckShard.objects.get().checked_at == db_now()


def test_threads_say_what_they_do() -> None:
    """A key is at work from its start to its end."""
    may_end = threading.Event()

    def work() -> None:
        may_end.wait(30)

    threads = AT_WORK[tuple[int, int]]("test", 2)
    assert threads.start((1, 0), work)
    assert threads.at_work == {(1, 0)}
    may_end.set()
    until(lambda: threads.at_work == frozenset(), 30, "it has ended")
    threads.stop()


def test_what_is_taken_up_in_mid_round_is_remembered(timeline: Timeline) -> None:
    """Its threads move heals on while a round looks through what it has taken up."""
    one = Sweeper()
    one._heals.start = lambda *_: True  # type: ignore[method-assign]
    following = heals.Next(Stage.DIAGNOSE, 4711)
    thread = threading.Thread(target=one._move_on, args=(following, db_now()))

    class Interrupted(dict[int, datetime]):
        def items(self) -> Any:
            found = list(super().items())
            thread.start()
            thread.join(0.2)
            return found

    one._taken = Interrupted()
    one._sweep_heals(db_now())
    thread.join(30)
    assert list(one._taken) == [4711]


def test_a_round_that_breaks_ends_no_sweeper(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who stands in for all the others goes on after whatever it has met."""
    ending, rounds = threading.Event(), []

    class Stumbling(Sweeper):
        def step(self) -> None:
            rounds.append(1)
            if len(rounds) == 1:
                raise KeyError("a defect")
            ending.set()

        def stop(self) -> None: ...

    monkeypatch.setattr(sweeper, "Sweeper", Stumbling)
    monkeypatch.setattr(sweeper, "EVERY", 0.01)
    monkeypatch.setattr(sweeper, "warm_up", lambda: None)
    thread = threading.Thread(target=sweeper.run, args=(["rack-7"], ending), daemon=True)
    thread.start()
    thread.join(30)
    assert len(rounds) == 2


def test_those_that_hang_take_a_sweep_no_longer_than_it_has(
    timeline: Timeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One gets its turn with each sweep, and more while there is time: its claim would end under it otherwise."""
    looked: list[int] = []

    def hangs(_: Host, __: object, ids: list[int], *___: object) -> list[heals.Next]:
        looked.extend(ids)
        timeline._clock.shift(timedelta(seconds=sweep.SHORTEST_TIME - 1))
        return []

    monkeypatch.setattr(sweep, "look_and_judge", hangs)
    one = sweep.Sweep(timeline.host, lambda _: None, db_now())
    one._look_at_blind([7, 8, 9], timeline.fake, config_book())
    assert looked == [7, 8]
    assert one.has_left_blind
