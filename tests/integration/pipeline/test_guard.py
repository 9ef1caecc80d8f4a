"""What the guard reads before an engine call is read after everything that may take long."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from unittest import mock

import pytest
from django.utils import timezone

from healing.core.types import Snapshot
from healing.engines.fake import FakeEngine
from healing.models import Attempt, Container, HealthStatus, Host
from healing.pipeline import check, diagnosing, restarting
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
