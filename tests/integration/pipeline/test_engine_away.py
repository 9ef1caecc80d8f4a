"""An engine that goes away takes neither quarantines nor time to verify with it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from healing.models import Attempt, Container, HealthStatus, Host
from healing.pipeline import check, diagnosing, restarting, verifying
from healing.pipeline import hosts as host_stage
from healing.store import heals, windows
from tests.integration.loop.timeline import Timeline

pytestmark = pytest.mark.django_db


@pytest.fixture
def timeline(db: None) -> Iterator[Timeline]:
    with Timeline() as made:
        made.fake.add("web", labels={"selfheal.enable": "true"}, healthcheck=True)
        made.watch()
        made.run(60)
        yield made


def restarted(timeline: Timeline) -> int:
    """A heal whose container was restarted and is to be verified."""
    timeline.fake.make_unhealthy("web")
    web = Container.objects.get()
    (found,) = check.check_some(timeline.host.pk, [web.pk], by_event=True)
    diagnosing.run(found.failure_id)
    restarting.run(found.failure_id)
    return found.failure_id


def test_a_shutdown_ends_no_quarantine(timeline: Timeline) -> None:
    """An engine tells all its containers to stop: what was quarantined still is when it returns."""
    now = timeline.now
    HealthStatus.objects.update(lifecycle="quarantined", quarantined_at=now, stop_signal_at=now)
    timeline._clock.shift(timedelta(seconds=2))
    host_stage.lost(Host.objects.get(), "gone", timeline.now, killed_since=now)
    assert HealthStatus.objects.get().lifecycle == "quarantined"
    timeline.look_away()
    timeline.fake.exit("web", 137)
    timeline._clock.shift(timedelta(seconds=90))
    host_stage.back(Host.objects.get(), timeline.now)
    timeline.run(120)
    assert timeline.calls_of("web") == []
    assert HealthStatus.objects.get().lifecycle == "quarantined"


def test_looks_that_saw_nothing_take_no_time_to_verify(timeline: Timeline) -> None:
    """Each lasts longer than the pause after it; the container gets the time that it had left, whatever the outage."""
    failure_id = restarted(timeline)
    Host.objects.update(state="down", state_since=timeline.now)
    until = Attempt.objects.get().verify_until
    assert until is not None
    left, began = until - timeline.now, timeline.now
    while timeline.now - began < timedelta(minutes=6):
        timeline._clock.shift(timedelta(seconds=3.5))
        for following in heals.due(timeline.now):
            timeline._clock.shift(timedelta(seconds=0.5))
            verifying.run(following.failure_id)
    until = Attempt.objects.get(failure_id=failure_id).verify_until
    assert until is not None
    assert left <= until - timeline.now <= left + timedelta(seconds=5)


def test_what_could_not_be_looked_at_before_takes_its_place_again(timeline: Timeline) -> None:
    """The reason of a look that failed is not that of the verification which follows."""
    timeline.fake.make_unhealthy("web")
    web = Container.objects.get()
    (found,) = check.check_some(timeline.host.pk, [web.pk], by_event=True)
    diagnosing.run(found.failure_id)
    Host.objects.update(state="down")
    restarting.run(found.failure_id)
    Host.objects.update(state="up")
    timeline._clock.shift(timedelta(seconds=6))
    restarting.run(found.failure_id)
    assert Attempt.objects.get().state == "verifying"
    assert windows.locked(timeline.host.pk).window.first == 1
