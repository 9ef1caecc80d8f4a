"""Events that are received and not yet worked off: a stop signal among them counts as much as one that is."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import timedelta
from unittest import mock

import pytest

from healing import kept_stream, tasks
from healing.core.types import EventKind, Lifecycle
from healing.engines.fake import FakeEngine
from healing.kept_stream import KeptStream
from healing.models import Attempt, AttemptState, Container, FailureRecord, HealthStatus, Host
from healing.pipeline import check, diagnosing, restarting
from healing.store import hosts, signs
from healing.store.heals import Next
from healing.watchers import Supervisor, show_alive
from tests.integration.asking.rows import make_attempt
from tests.integration.loop.timeline import Timeline
from tests.testbed.wait import until

LABELS = {"selfheal.enable": "true", "selfheal.check_interval": "10"}
EACH_ONCE = 12
"""Sweeps of a second in which each is looked at, whatever its phase, which is made of its id."""

pytestmark = pytest.mark.django_db


@pytest.fixture
def timeline(db: None) -> Iterator[Timeline]:
    with Timeline() as made:
        for name in ("one", "two"):
            made.fake.add(name, labels=LABELS, healthcheck=True)
        made.watch()
        made.run(60)
        made._watcher.flush_cursor()
        yield made


def look_away(timeline: Timeline) -> KeptStream:
    """From now on what the engine tells is received, and nobody works it off."""
    timeline.look_away()
    cursor = timeline._watcher._cursor.at
    assert cursor is not None
    kept = KeptStream(timeline.fake.events(cursor, 20.0), cursor).start()
    received(timeline, kept)
    while kept.waiting:
        kept.done()
    timeline._watcher._kept = kept
    return kept


def received(timeline: Timeline, kept: KeptStream) -> None:
    """Wait until the newest event waits to be worked off."""
    newest = timeline.fake.happened[-1]
    until(lambda: bool(kept.waiting) and kept._waiting[-1] == newest, 10, "the events are received")


def work_off(timeline: Timeline, kept: KeptStream) -> None:
    while kept.waiting:
        event = kept.next()
        assert event is not None
        timeline._watcher._take(Host.objects.get(), timeline.fake, event)
        kept.done()
        timeline._work()


def sweep_for(timeline: Timeline, seconds: int) -> None:
    """Tick each second; every other second the watcher shows that it holds its stream."""
    for second in range(seconds):
        timeline._clock.shift(timedelta(seconds=1))
        if second % 2:
            show_alive([timeline._watcher])
        tasks.dispatch_checks()
        timeline._work()


def touched(timeline: Timeline) -> list[str]:
    return [call.method for call in timeline.fake.calls if call.method in ("start", "restart")]


def lifecycle(name: str) -> str:
    return HealthStatus.objects.get(container__name=name).lifecycle


@pytest.mark.parametrize("worked_off", [0, 1, 2])
def test_a_replay_that_is_not_worked_off_is_waited_for(timeline: Timeline, worked_off: int) -> None:
    """That its first event shows that nothing was missed does not mean that the others are worked off."""
    timeline.look_away()
    timeline._clock.shift(timedelta(seconds=15))
    for name in ("one", "two"):
        timeline.fake.stop_by_hand(name)
    timeline._clock.shift(timedelta(seconds=5))
    timeline.watch()
    timeline.look_away()
    for event in timeline.fake.happened[timeline._position :][:worked_off]:
        timeline._watcher._take(Host.objects.get(), timeline.fake, event)
    sweep_for(timeline, 2)
    assert touched(timeline) == []
    assert not FailureRecord.objects.exists()

    timeline._watching = True
    timeline.run(60)
    assert touched(timeline) == []
    assert lifecycle("one") == lifecycle("two") == Lifecycle.STOPPED_BY_HAND


def test_a_watcher_that_is_behind_does_not_vouch_for_what_it_has_not_seen(timeline: Timeline) -> None:
    """It holds its stream and says so; who was stopped by hand meanwhile is left alone, who died is healed."""
    kept = look_away(timeline)
    timeline.fake.stop_by_hand("one")
    timeline.fake.exit("two", 1)
    received(timeline, kept)
    sweep_for(timeline, 20)
    assert touched(timeline) == []
    assert not FailureRecord.objects.exists()

    work_off(timeline, kept)
    assert [call.method for call in timeline.calls_of("two")] == ["start"]
    assert timeline.calls_of("one") == []
    sweep_for(timeline, 5)
    assert lifecycle("one") == Lifecycle.STOPPED_BY_HAND


def test_a_supervisor_does_not_vouch_for_a_watcher_that_is_behind(timeline: Timeline) -> None:
    """Its watchers' signs, given all at once, say of each whether anything is left to be worked off."""
    kept = look_away(timeline)
    supervisor = Supervisor([])
    supervisor._watchers[timeline.host.pk] = timeline._watcher
    host = Host.objects.get()
    try:
        supervisor._show_alive()
        in_step = hosts.watched(host, timeline.now).until
        timeline.fake.stop_by_hand("one")
        received(timeline, kept)
        timeline._clock.shift(timedelta(seconds=8))
        supervisor._show_alive()
        timeline._clock.shift(timedelta(seconds=8))
        assert in_step == hosts.watched(host, timeline.now).until
        assert hosts.watched(host, timeline.now).since == host.stream_since
    finally:
        supervisor._checks.stop()


def test_an_older_event_of_a_container_does_not_tell_of_its_later_end(timeline: Timeline) -> None:
    """A person who starts a container and stops it again is not undone by the check that the start asked for."""
    kept = look_away(timeline)
    timeline.fake.stop_by_hand("one")
    timeline.fake.start("one", 10.0)
    timeline._clock.shift(timedelta(seconds=1))
    timeline.fake.stop_by_hand("one")
    received(timeline, kept)
    started_at = max(event.at for event in timeline.fake.happened if event.kind is EventKind.START)
    HealthStatus.objects.filter(container__name="one").update(stop_signal_at=None)

    (one,) = Container.objects.filter(name="one")
    assert check.check_some(timeline.host.pk, [one.pk], by_event=True, event_at=started_at) == []
    assert not FailureRecord.objects.exists()


def test_an_end_that_the_engine_never_tells_is_found_by_polling(timeline: Timeline) -> None:
    """Where the engine confirms that it has told all, nobody has stopped what ended without a word."""
    timeline.look_away()
    timeline.fake.exit("one", 137)
    sweep_for(timeline, EACH_ONCE)
    assert timeline.calls_of("one") == []
    timeline._told.told_until = timeline.now
    sweep_for(timeline, EACH_ONCE)
    assert [call.method for call in timeline.calls_of("one")] == ["start"]


def test_a_stream_that_is_dead_and_does_not_know_it_vouches_for_nothing(timeline: Timeline) -> None:
    """That nothing comes is no word of the engine's: who was stopped by hand meanwhile is not started."""
    timeline.look_away()
    timeline.fake.stop_by_hand("one")
    sweep_for(timeline, 20)
    assert touched(timeline) == []
    assert not FailureRecord.objects.exists()

    timeline.watch()
    timeline.run(60)
    assert touched(timeline) == []
    assert lifecycle("one") == Lifecycle.STOPPED_BY_HAND


def test_what_waits_for_more_than_a_minute_is_not_watched(
    timeline: Timeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A watcher that hangs holds its stream for nothing: it gives no sign, so that its silence is told; then it does again."""
    kept, host = look_away(timeline), Host.objects.get()
    timeline.fake.stop_by_hand("one")
    received(timeline, kept)
    silent = timedelta(seconds=20)

    def unwatched_in(seconds: float) -> list[str]:
        steady = time.monotonic() + seconds
        with monkeypatch.context() as patch:
            patch.setattr(kept_stream.time, "monotonic", lambda: steady)
            show_alive([timeline._watcher])
        return [each.name for each in signs.unwatched(timeline.now, silent)]

    timeline._clock.shift(timedelta(seconds=30))
    assert unwatched_in(30) == []
    timeline._clock.shift(timedelta(seconds=35))
    assert unwatched_in(65) == [host.name]
    work_off(timeline, kept)
    assert unwatched_in(66) == []


def test_what_is_behind_for_more_than_a_minute_is_judged_without(timeline: Timeline) -> None:
    """As where there is no watcher: what people's stops look like is left alone, all else is healed."""
    kept = look_away(timeline)
    timeline.fake.stop_by_hand("one")
    timeline.fake.exit("two", 1)
    received(timeline, kept)
    sweep_for(timeline, 90)
    assert timeline.calls_of("one") == []
    assert [call.method for call in timeline.calls_of("two")] == ["start"]


def test_a_slow_clock_of_the_engine_makes_no_person_of_us(timeline: Timeline) -> None:
    """The stop signal of our own restart, dated before the call, is not taken for somebody's when the start fails."""
    timeline.fake._world.clock = lambda: timeline.now - timedelta(seconds=3)
    timeline.fake.add("web", labels=LABELS, healthcheck=True)
    timeline.run(60)
    restart = FakeEngine.restart

    def late(engine: FakeEngine, container_id: str, stop_timeout: float, deadline: float) -> None:
        """Its events come while the call is made."""
        restart(engine, container_id, stop_timeout, deadline)
        timeline._take_events()

    timeline.fake.make_unhealthy("web")
    (web,) = Container.objects.filter(name="web")
    found: list[Next] = check.check_some(timeline.host.pk, [web.pk], by_event=True)
    with mock.patch.object(FakeEngine, "restart", late):
        tasks.send_next(found[0])
        timeline._work()
    assert touched(timeline) == ["restart"]
    assert HealthStatus.objects.get(pk=web.pk).stop_signal_at is None


def test_a_stop_by_hand_long_before_a_call_is_still_one(timeline: Timeline) -> None:
    """What arrives in mid-call, and is far older than any clock is behind, was somebody."""
    kept = look_away(timeline)
    timeline.fake.stop_by_hand("one")
    received(timeline, kept)
    timeline._clock.shift(timedelta(seconds=31))
    (one,) = Container.objects.filter(name="one")
    failure = FailureRecord.objects.create(container=one, detected_at=timeline.now)
    make_attempt(failure, state=AttemptState.CALLED, answered_at=None)
    work_off(timeline, kept)
    assert HealthStatus.objects.get(pk=one.pk).stop_signal_at is not None


@pytest.mark.parametrize(("ends", "calls"), [("by hand", []), ("by itself", ["start"])])
def test_what_ends_between_decision_and_call_waits_for_its_events(
    timeline: Timeline, ends: str, calls: list[str]
) -> None:
    """The guard sees an exit before the watcher has come to its stop signal: nothing is called until it is known who ended it."""
    web = Container.objects.get(name="one")
    timeline.fake.make_unhealthy("one")
    (found,) = check.check_some(timeline.host.pk, [web.pk], by_event=True)
    diagnosing.run(found.failure_id)
    kept = look_away(timeline)
    timeline.fake.stop_by_hand("one") if ends == "by hand" else timeline.fake.exit("one", 1)
    received(timeline, kept)
    restarting.run(found.failure_id)
    assert Attempt.objects.get().outcome.startswith("it has ended meanwhile")
    sweep_for(timeline, 10)
    assert timeline.calls_of("one") == []

    work_off(timeline, kept)
    timeline._watching = True
    timeline.run(60)
    assert [call.method for call in timeline.calls_of("one")] == calls
