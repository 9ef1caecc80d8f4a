"""A heal that a person asked for and that cannot be had does not wait for ever."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.utils import timezone

from healing import commands
from healing.core.errors import EngineUnreachable
from healing.core.types import FailureType
from healing.models import Attempt, Container, FailureRecord, Host, Stage
from healing.pipeline import demands, diagnosing
from healing.pipeline.demands import LASTS
from healing.store import heals
from tests.integration.loop.timeline import Timeline

pytestmark = pytest.mark.django_db


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


def paused(timeline: Timeline) -> None:
    commands.pause(Host.objects.get(), timeline.now + timedelta(seconds=20))


def engine_away(timeline: Timeline) -> None:
    Host.objects.update(state_since=timeline.now + timedelta(milliseconds=1))


@pytest.mark.parametrize("happens", [paused, engine_away])
def test_a_demand_outlasts_a_guard_that_forbids_its_call(
    timeline: Timeline, web: Container, happens: Callable[[Timeline], None]
) -> None:
    """A container that works would be taken for recovered, and what a person asked for for done."""
    failure = commands.heal_now(web)
    following = diagnosing.run(failure.pk)
    assert isinstance(following, heals.Next)
    assert following.stage is Stage.RESTART
    happens(timeline)
    timeline.run(60)
    assert [row.state for row in Attempt.objects.order_by("number")] == ["withdrawn", "succeeded"]
    assert [call.method for call in timeline.calls_of("web")] == ["restart"]
    failure.refresh_from_db()
    assert failure.reason.startswith("healthy again")
    assert not failure.forced


def refuse(timeline: Timeline, times: int) -> None:
    for _ in range(times):
        timeline.fake.refuse_next_action(EngineUnreachable("nothing listens"))


def test_a_demand_outlasts_an_engine_that_is_away_at_its_call(timeline: Timeline, web: Container) -> None:
    """It is tried again after a pause: back-off is not for it."""
    refuse(timeline, 1)
    failure = commands.heal_now(web)
    timeline.run(60)
    first, second = timeline.calls_of("web")
    assert second.at - first.at >= timedelta(seconds=5)
    failure.refresh_from_db()
    assert failure.action_result == "success"
    assert failure.reason.startswith("healthy again")


def test_a_demand_that_no_engine_takes_is_dropped(timeline: Timeline, web: Container) -> None:
    """It is tried ever less often, and recorded as what it is after ten minutes."""
    refuse(timeline, 100)
    failure = commands.heal_now(web)
    timeline.run(LASTS.total_seconds() + 90)
    failure.refresh_from_db()
    assert failure.action_result == "failed"
    assert "was not possible within 10 minutes" in failure.reason
    assert "nothing listens" in failure.reason
    assert len(timeline.calls_of("web")) <= 25
