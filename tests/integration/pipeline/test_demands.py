"""A heal that a person asked for and that cannot be had does not wait for ever."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.utils import timezone

from healing import commands
from healing.core.types import FailureType
from healing.models import Attempt, Container, FailureRecord
from healing.pipeline import demands
from healing.pipeline.demands import LASTS
from healing.store import heals
from tests.integration.loop.timeline import Timeline

pytestmark = pytest.mark.django_db


@pytest.fixture
def timeline(db: None) -> Iterator[Timeline]:
    with Timeline() as made:
        yield made


@pytest.fixture
def web(timeline: Timeline) -> Container:
    """A container that has been up, and seen healthy, for a minute."""
    timeline.fake.add("web", labels={"selfheal.enable": "true"}, healthcheck=True)
    timeline.watch()
    timeline.run(60)
    return Container.objects.get(name="web")


def away_for(timeline: Timeline, seconds: float) -> None:
    timeline.run(seconds)
    timeline.find_the_engine(events_lost=True)
    timeline.run(60)


def test_a_demand_is_met_when_the_engine_is_back_soon(timeline: Timeline, web: Container) -> None:
    """A minute without the engine is waited out."""
    timeline.lose_the_engine()
    timeline.run(20)
    failure = commands.heal_now(web)
    away_for(timeline, 60)
    failure.refresh_from_db()
    assert failure.action_result == "success"
    assert Attempt.objects.count() == 1


def test_a_demand_that_is_too_old_is_dropped(timeline: Timeline, web: Container) -> None:
    """An engine that is back after an hour restarts nothing that somebody wanted an hour ago; the record says why."""
    timeline.lose_the_engine()
    timeline.run(20)
    failure = commands.heal_now(web)
    asked_at = timezone.now()
    away_for(timeline, LASTS.total_seconds() + 30)
    failure.refresh_from_db()
    assert failure.resolved_at is not None
    assert timedelta() <= failure.resolved_at - asked_at - LASTS <= timedelta(seconds=10)
    assert (
        f"the heal asked for at {asked_at:%H:%M:%S} UTC was not possible within 10 minutes" in failure.reason
    )
    assert "is down" in failure.reason
    assert not failure.in_success_rate
    assert not Attempt.objects.exists()
    assert FailureRecord.objects.count() == 1


def test_a_found_failure_goes_on_without_the_demand(
    timeline: Timeline, web: Container, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a check had found is healed by the usual rules once the engine is back; the record tells of the demand."""
    monkeypatch.setattr(demands, "LASTS", timedelta(minutes=1))
    timeline.fake.make_unhealthy("web")
    timeline.lose_the_engine()
    found = heals.open_failure(
        web, timezone.now(), failure_type=FailureType.HEALTH_CHECK_FAILED, error_message="no answer"
    )
    assert found is not None
    timeline.run(20)
    assert commands.heal_now(web).pk == found.pk
    away_for(timeline, 90)
    found.refresh_from_db()
    assert found.action_result == "success"
    assert not found.forced
    assert "is dropped" in found.details["demand"]
    assert "asked for by a person" not in Attempt.objects.get().reason
