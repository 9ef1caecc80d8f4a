"""An engine that was cut off and has lived on: what people did meanwhile is theirs, and no doing of the engine's."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from healing.core.types import Lifecycle
from healing.models import HealthStatus, Host
from healing.pipeline import hosts as host_stage
from healing.pipeline.comeback import Absence, Comeback
from tests.integration.loop.timeline import Timeline

LABELS = {"selfheal.enable": "true"}

pytestmark = pytest.mark.django_db


@pytest.fixture
def timeline(db: None) -> Iterator[Timeline]:
    with Timeline() as made:
        made.fake.add("web", labels=LABELS)
        made.watch()
        made.run(60)
        yield made


def cut_off(timeline: Timeline) -> None:
    """The network to the engine is gone, and its loss is noted; the engine itself goes on."""
    timeline.lose_the_engine()
    host_stage.lost(Host.objects.get(), "no route to host", timeline.now)
    timeline._clock.shift(timedelta(seconds=10))


def come_back(timeline: Timeline, *, events_lost: bool) -> None:
    timeline._clock.shift(timedelta(seconds=20))
    timeline.find_the_engine(events_lost=events_lost)
    timeline.run(180)


def lifecycle(name: str) -> str:
    return HealthStatus.objects.get(container__name=name).lifecycle


def test_a_person_who_stops_the_only_container_during_a_cut_is_not_undone(timeline: Timeline) -> None:
    """Nothing runs that could show that the engine has lived on; that it still knows our last event does."""
    cut_off(timeline)
    timeline.fake.stop_by_hand("web")
    come_back(timeline, events_lost=False)
    assert timeline.calls_of("web") == []
    assert lifecycle("web") == Lifecycle.STOPPED_BY_HAND


def test_what_died_during_a_cut_is_healed(timeline: Timeline) -> None:
    """Nobody has stopped it, whether or not the engine has lived on."""
    cut_off(timeline)
    timeline.fake.exit("web", 1)
    come_back(timeline, events_lost=False)
    assert [call.method for call in timeline.calls_of("web")] == ["start"]


def test_an_engine_that_lists_new_containers_first_is_asked_for_old_ones(timeline: Timeline) -> None:
    """Those that were made while it was out of sight do not hide that others have lived on."""
    cut_off(timeline)
    gone_at = HealthStatus.objects.get().interrupted_at
    assert gone_at is not None
    for number in range(5):
        timeline.fake.add(f"new{number}")
    timeline.fake.unreachable(False)
    listed = list(reversed(timeline.fake.list()))
    assert listed[-1].name == "web"

    class NewestFirst:
        """Lists as Docker does."""

        list = staticmethod(lambda: listed)
        inspect = staticmethod(timeline.fake.inspect)

    comeback = Comeback(NewestFirst(), timeline.now)  # type: ignore[arg-type]
    web = HealthStatus.objects.get().container_id
    assert not comeback.ended(web, gone_at + timedelta(seconds=1))
    assert comeback.lived_on


def test_a_short_absence_is_known_though_nobody_noted_it(timeline: Timeline) -> None:
    """An engine that died and was back before the watcher had looked stops what outlived it: that is no person's stop."""
    web = HealthStatus.objects.get()
    now = timeline.now
    lost_at, stopped_at = now - timedelta(seconds=10), now - timedelta(seconds=5)
    timeline.fake.exit("web", 137)
    assert web.interrupted_at is None
    assert not Comeback(timeline.fake, now).ended(web.pk, stopped_at)
    assert Comeback(timeline.fake, now, Absence(lost_at)).ended(web.pk, stopped_at)
    assert not Comeback(timeline.fake, now, Absence(lost_at)).ended(web.pk, lost_at - timedelta(seconds=1))


def test_a_stop_while_only_the_stream_was_broken_is_a_persons(timeline: Timeline) -> None:
    """What runs since before the break shows that the engine itself was there all the time."""
    web = HealthStatus.objects.get()
    now = timeline.now
    comeback = Comeback(timeline.fake, now, Absence(now - timedelta(seconds=10)))
    assert not comeback.ended(web.pk, now - timedelta(seconds=5))
