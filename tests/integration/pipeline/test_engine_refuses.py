"""An engine that answers, and not with what it was asked for: it counts as one that does not answer, and is told once."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from unittest import mock

import pytest

from healing import tasks
from healing.core.errors import ActionFailed, EngineRefused, EngineUnreachable
from healing.engines.fake import FakeEngine
from healing.models import Container, FailureRecord, HealthStatus, Heartbeat, Host, HostState
from healing.pipeline import check
from healing.pipeline import hosts as host_stage
from healing.store import hosts
from healing.watch import HostWatcher
from notifications.models import Notification
from tests.integration.loop.timeline import Timeline

LABELS = {"selfheal.enable": "true", "selfheal.check_interval": "10"}
BROKEN = ActionFailed("list containers: the engine answered 500: database is locked")

pytestmark = pytest.mark.django_db


@pytest.fixture
def timeline(db: None) -> Iterator[Timeline]:
    with Timeline() as made:
        made.fake.add("web", labels=LABELS)
        made.watch()
        made.run(60)
        made.look_away()
        yield made


def tick_for(timeline: Timeline, seconds: int) -> None:
    for _ in range(seconds // 3):
        timeline._clock.shift(timedelta(seconds=3))
        tasks.dispatch_checks()
        timeline._work()


def state(timeline: Timeline) -> str:
    return Host.objects.get(pk=timeline.host.pk).state


def titles() -> list[str]:
    return list(Notification.objects.order_by("created_at").values_list("title", flat=True))


def test_an_engine_that_does_not_list_is_lost_and_told_once(timeline: Timeline) -> None:
    """What nobody can look at is unknown; as soon as the engine lists again, what has died is healed."""
    name = timeline.host.name
    timeline.fake.exit("web", 1)
    with mock.patch.object(FakeEngine, "list", side_effect=BROKEN):
        tick_for(timeline, 300)
        assert not HostWatcher(Host.objects.get())._hold_stream()
    assert state(timeline) == HostState.DOWN
    assert titles() == [f"Host {name} does not answer"]
    assert HealthStatus.objects.get().status == "unknown"

    tick_for(timeline, 180)
    assert state(timeline) == HostState.UP
    assert titles()[1] == f"Host {name} answers again"
    assert FailureRecord.objects.filter(is_found=True).count() == 1


def test_a_watcher_whose_engine_does_not_list_shows_no_sign(timeline: Timeline) -> None:
    """It reads no event, so nobody may rely on it."""
    Heartbeat.objects.all().delete()
    watcher = HostWatcher(Host.objects.get())
    with mock.patch.object(FakeEngine, "list", side_effect=BROKEN):
        assert not watcher._hold_stream()
    assert not watcher.connected.is_set()
    assert not Heartbeat.objects.filter(name=watcher.sign).exists()
    assert state(timeline) == HostState.DOWN


@pytest.mark.parametrize("error", [BROKEN, EngineRefused("a proxy forbids /events")])
def test_a_watcher_whose_engine_refuses_its_events_is_none(timeline: Timeline, error: Exception) -> None:
    """The host is polled as one without a watcher: nothing waits for events that will never come."""
    watcher = HostWatcher(Host.objects.get())
    with mock.patch.object(FakeEngine, "events", side_effect=error):
        assert not watcher._hold_stream()
    assert state(timeline) == HostState.UP
    assert hosts.watched(Host.objects.get(), timeline.now) == hosts.Watched()
    timeline.fake.exit("web", 1)
    tick_for(timeline, 12)
    assert [call.method for call in timeline.calls_of("web")] == ["start"]


def test_a_check_that_an_event_asks_for_loses_an_engine_that_lists_nothing(timeline: Timeline) -> None:
    """One that neither inspects nor lists is silent, however it says so."""
    web = Container.objects.get()
    with (
        mock.patch.object(FakeEngine, "list", side_effect=BROKEN),
        mock.patch.object(FakeEngine, "inspect", side_effect=EngineUnreachable("no answer within 10 s")),
    ):
        assert check.check_some(timeline.host.pk, [web.pk], by_event=True) == []
    assert state(timeline) == HostState.DOWN


def test_a_container_that_cannot_be_inspected_keeps_no_engine_down(timeline: Timeline) -> None:
    """The first container of an engine that is back may be broken: that is an answer too."""
    timeline.fake.unreachable(True)
    tick_for(timeline, 30)
    assert state(timeline) == HostState.DOWN
    timeline.fake.unreachable(False)
    with mock.patch.object(
        FakeEngine, "inspect", side_effect=ActionFailed("inspect web: 500: layer missing")
    ):
        tick_for(timeline, 60)
    assert state(timeline) == HostState.UP


def test_a_sweep_that_breaks_is_soon_made_again(timeline: Timeline) -> None:
    """Only a host that is down is asked less and less often, and not one that has been up for long."""
    timeline._clock.shift(timedelta(hours=1))
    assert hosts._down_retry(timeline.host.pk, timeline.now) == timedelta(seconds=hosts.DOWN_RETRY)
    host_stage.lost(Host.objects.get(), "no route to host", timeline.now)
    timeline._clock.shift(timedelta(seconds=100))
    assert hosts._down_retry(timeline.host.pk, timeline.now) == timedelta(seconds=25)


def test_a_late_loss_does_not_take_down_what_has_come_back(timeline: Timeline) -> None:
    """Whoever has waited for an answer since before that knows less than who has had one."""
    began = timeline.now
    timeline._clock.shift(timedelta(seconds=5))
    host_stage.lost(Host.objects.get(), "no route to host", timeline.now, asked_at=timeline.now)
    timeline._clock.shift(timedelta(seconds=5))
    host_stage.back(Host.objects.get(), timeline.now)
    before = titles()
    host_stage.lost(Host.objects.get(), "no answer within 10 s", timeline.now, asked_at=began)
    host = Host.objects.get()
    assert (host.state, host.error, titles()) == (HostState.UP, "", before)
    assert "no answer" not in HealthStatus.objects.get().message


def test_a_host_that_is_switched_off_while_connecting_is_not_told(timeline: Timeline) -> None:
    """Its watcher was told to stop: that its engine then gives no answer concerns nobody."""
    watcher = HostWatcher(Host.objects.get())

    def closed(_: FakeEngine) -> None:
        watcher.stop()
        Host.objects.update(enabled=False)
        raise EngineUnreachable("closed")

    with mock.patch.object(FakeEngine, "info", closed):
        assert not watcher._hold_stream()
    host_stage.lost(Host.objects.get(), "no answer within 10 s", timeline.now)
    assert (state(timeline), titles()) == (HostState.UP, [])
