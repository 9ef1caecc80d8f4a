"""What the guard reads before an engine call is read after everything that may take long, and shortly before the call."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from unittest import mock

import pytest
from django.utils import timezone

from healing.core.types import Snapshot
from healing.engines.fake import FakeEngine
from healing.models import Attempt, Container, HealthStatus, Host
from healing.pipeline import check, diagnosing, guard, restarting
from healing.store import clock
from tests.integration.loop.timeline import Timeline

pytestmark = pytest.mark.django_db


@pytest.fixture
def timeline(db: None) -> Iterator[Timeline]:
    with Timeline() as made:
        made.fake.add("web", labels={"selfheal.enable": "true"}, healthcheck=True)
        made.watch()
        made.run(60)
        yield made


def pause() -> None:
    host = Host.objects.get()
    host.paused_until = timezone.now() + timedelta(hours=1)
    host.save()


def dry_run() -> None:
    host = Host.objects.get()
    host.dry_run = True
    host.save()


def stop_signal() -> None:
    HealthStatus.objects.update(stop_signal_at=timezone.now())


def breaker() -> None:
    Host.objects.update(breaker_mode="hold", breaker_since=timezone.now())


@pytest.mark.parametrize(
    ("happens", "outcome"),
    [
        (pause, "paused: "),
        (dry_run, "dry run of "),
        (stop_signal, "told to stop by somebody meanwhile"),
        (breaker, "held: breaker of host "),
    ],
)
def test_what_comes_while_the_engine_is_asked_forbids_the_call(
    timeline: Timeline, happens: Callable[[], None], outcome: str
) -> None:
    """A slow inspection is the longest part of the guard: a pause or a stop in it has the last word."""
    timeline.fake.make_unhealthy("web")
    web = Container.objects.get()
    (found,) = check.check_some(timeline.host.pk, [web.pk], by_event=True)
    diagnosing.run(found.failure_id)
    inspect = FakeEngine.inspect

    def slowly(engine: FakeEngine, container_id: str) -> Snapshot:
        happens()
        return inspect(engine, container_id)

    with mock.patch.object(FakeEngine, "inspect", slowly):
        restarting.run(found.failure_id)
    assert Attempt.objects.get().outcome.startswith(outcome)
    assert timeline.calls_of("web") == []


def held_up(monkeypatch: pytest.MonkeyPatch, timeline: Timeline, where: object, name: str) -> None:
    """A person stops the container while the database makes its worker wait there for a minute, once."""
    real, waited = getattr(where, name), [0.0]
    monkeypatch.setattr(clock, "steady", lambda: waited[0])

    def slowly(*given: object) -> object:
        if not waited[0]:
            waited[0] = 60.0
            timeline.fake.stop_by_hand("web")
        return real(*given)

    monkeypatch.setattr(where, name, slowly)


@pytest.mark.parametrize(("where", "name"), [(guard, "read_anew"), (restarting, "_log")])
def test_a_look_that_is_old_by_the_time_of_the_call_leads_to_none(
    timeline: Timeline, monkeypatch: pytest.MonkeyPatch, where: object, name: str
) -> None:
    """A database that hangs between the look and the call hides what a person does meanwhile: it is looked anew."""
    timeline.fake.make_unhealthy("web")
    web = Container.objects.get()
    (found,) = check.check_some(timeline.host.pk, [web.pk], by_event=True)
    diagnosing.run(found.failure_id)
    held_up(monkeypatch, timeline, where, name)
    following = restarting.run(found.failure_id)
    assert following is not None
    assert Attempt.objects.get().state != "called"
    timeline.run(120)
    assert timeline.calls_of("web") == []
    assert not Attempt.objects.filter(state__in=("called", "failed")).exists()
