"""An event stream that ends: with an engine that has stopped its containers, or with one that goes on."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from types import SimpleNamespace
from unittest import mock

import pytest

from healing.core.errors import EngineRefused, EngineUnreachable, PluginError
from healing.core.types import Event, Lifecycle, RestartPolicy
from healing.engines import fake
from healing.engines.fake import FakeEngine
from healing.kept_stream import KeptStream
from healing.models import Container, HealthStatus, Host
from healing.pipeline import check, comeback
from tests.integration.loop.timeline import Timeline
from tests.testbed.wait import until

LABELS = {"selfheal.enable": "true", "selfheal.check_interval": "10"}
WEB, ALWAYS = "web", "always"

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """The fake tells at once what it knows."""
    monkeypatch.setattr(comeback, "TELLS_WITHIN", 0.2)


@pytest.fixture
def timeline(db: None) -> Iterator[Timeline]:
    with Timeline() as made:
        made.fake.add(WEB, labels=LABELS)
        made.fake.add(ALWAYS, labels=LABELS, restart_policy=RestartPolicy("always"))
        made.watch()
        made.run(60)
        made._watcher.flush_cursor()
        yield made


@pytest.fixture
def forgetful(monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine that has started anew knows no event from before."""
    monkeypatch.setattr(fake, "REPLAYED_EVENTS", 0)


def pass_by(timeline: Timeline, seconds: float) -> None:
    timeline._clock.shift(timedelta(seconds=seconds))


def lifecycle() -> str:
    return HealthStatus.objects.get(container__name=WEB).lifecycle


def end_stream(timeline: Timeline, error: PluginError) -> None:
    """The watcher holds a stream that brings nothing and ends so."""

    def ending(*_: object) -> Iterator[Event]:
        yield from ()
        raise error

    timeline.look_away()
    with mock.patch.object(FakeEngine, "events", ending):
        timeline._watcher._hold(Host.objects.get(), timeline.fake, timeline.now)


def reconnect(timeline: Timeline, happened: int) -> None:
    """The same watcher connects again, and is told what has happened since then."""
    timeline._watcher._begin(Host.objects.get(), timeline.fake, "1")
    timeline._position, timeline._watching = happened, True


def restart_all_but_web(timeline: Timeline) -> int:
    """What ran is started anew, and web told to stop; returns how much had happened before."""
    before = len(timeline.fake.happened)
    pass_by(timeline, 2)
    timeline.fake.restart_by_hand(ALWAYS)
    timeline.fake.stop_by_hand(WEB)
    pass_by(timeline, 2)
    return before


def test_an_absence_of_long_ago_makes_no_engine_of_a_person(timeline: Timeline) -> None:
    """A stream may end while the engine is there: who stops a container then has not been its engine an hour before."""
    end_stream(timeline, EngineUnreachable("gone"))
    pass_by(timeline, 1)
    reconnect(timeline, len(timeline.fake.happened))
    pass_by(timeline, 3600)
    end_stream(timeline, EngineRefused("a proxy forbids /events"))
    reconnect(timeline, restart_all_but_web(timeline))
    timeline.run(180)
    assert timeline.calls_of(WEB) == []
    assert lifecycle() == Lifecycle.STOPPED_BY_HAND


@pytest.mark.parametrize("error", [EngineUnreachable("gone again"), EngineRefused("a proxy forbids /events")])
def test_an_absence_is_known_until_a_stream_is_held(timeline: Timeline, error: PluginError) -> None:
    """What breaks before that, and has the events of that time come once more, makes no person of the engine."""
    end_stream(timeline, EngineUnreachable("gone"))
    before = restart_all_but_web(timeline)
    timeline._watcher._begin(Host.objects.get(), timeline.fake, "1")
    pass_by(timeline, 1)
    with mock.patch.object(FakeEngine, "events", side_effect=error):
        timeline._watcher._hold(Host.objects.get(), timeline.fake, timeline.now)
    pass_by(timeline, 1)
    reconnect(timeline, before)
    timeline.run(180)
    assert [call.method for call in timeline.calls_of(WEB)] == ["start"]


def held(timeline: Timeline) -> KeptStream:
    """The stream as it is received; from now on nobody works it off."""
    timeline.look_away()
    since = timeline.now
    return KeptStream(timeline.fake.events(since, 20.0), since).start()


def work_off(timeline: Timeline, kept: KeptStream, ended_ago: float) -> None:
    """The watcher comes to what has been received of a stream that ended so long ago, and connects again."""
    until(lambda: kept.has_ended, 10, "the stream has ended")
    made = mock.patch("healing.watch.KeptStream", return_value=SimpleNamespace(start=lambda: kept))
    ago = mock.patch.object(KeptStream, "ended_ago", ended_ago)
    with made, ago:
        assert timeline._watcher._hold(Host.objects.get(), timeline.fake, timeline.now)
    happened = len(timeline.fake.happened)
    pass_by(timeline, 1)
    reconnect(timeline, happened)


@pytest.mark.usefixtures("forgetful")
def test_an_engine_that_is_back_before_its_end_was_worked_off_has_stopped_its_containers(
    timeline: Timeline,
) -> None:
    """Started again by it or not, they are no person's: what it leaves is healed after its grace."""
    kept = held(timeline)
    timeline.fake.shut_down()
    until(lambda: kept.has_ended, 10, "the stream has ended")
    pass_by(timeline, 1)
    timeline.fake.boot()
    pass_by(timeline, 1)
    check.check_some(timeline.host.pk, [Container.objects.get(name=ALWAYS).pk], by_event=False)
    work_off(timeline, kept, 2.0)
    back_at = timeline.now
    timeline.run(180)
    (call,) = timeline.calls_of(WEB)
    assert call.method == "start"
    assert call.at - back_at >= timedelta(seconds=timeline.host.start_grace - 1)
    assert timeline.calls_of(ALWAYS) == []
    assert set(HealthStatus.objects.values_list("lifecycle", flat=True)) == {Lifecycle.RUNNING}


def stop_all_and_break_off(timeline: Timeline) -> None:
    """A person stops what is watched, the stream breaks, and the engine goes on."""
    kept = held(timeline)
    for name in (WEB, ALWAYS):
        timeline.fake.stop_by_hand(name)
    timeline.fake.unreachable(True)
    until(lambda: kept.has_ended, 10, "the stream has ended")
    timeline.fake.unreachable(False)
    work_off(timeline, kept, 0.0)
    timeline.run(180)


def test_who_stops_all_just_before_the_stream_breaks_is_a_person(timeline: Timeline) -> None:
    """An engine that still knows its last event has not started anew."""
    stop_all_and_break_off(timeline)
    assert timeline.calls_of(WEB) == timeline.calls_of(ALWAYS) == []
    assert lifecycle() == Lifecycle.STOPPED_BY_HAND


@pytest.mark.usefixtures("forgetful")
def test_what_runs_on_shows_that_its_engine_was_there(timeline: Timeline) -> None:
    """Also where nobody watches over it, and its engine has so much to tell that it forgets."""
    timeline.fake.add("unwatched")
    pass_by(timeline, 5)
    stop_all_and_break_off(timeline)
    assert timeline.calls_of(WEB) == timeline.calls_of(ALWAYS) == []
    assert lifecycle() == Lifecycle.STOPPED_BY_HAND
