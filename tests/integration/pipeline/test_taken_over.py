"""An attempt whose worker died in its call, on an engine that was out of reach meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from unittest import mock

import pytest

from healing.models import Attempt, Container, FailureRecord
from healing.pipeline import acting, check, diagnosing, restarting
from tests.integration.loop.timeline import Timeline

pytestmark = pytest.mark.django_db

STOP_TIMEOUT = 30.0
TAKE_OVER = 2 * STOP_TIMEOUT + 35
"""Seconds after a call until another worker looks."""


class Died(BaseException):
    """The worker is gone in the middle of its call."""


@pytest.fixture
def timeline(db: None) -> Iterator[Timeline]:
    with Timeline() as made:
        labels = {"selfheal.enable": "true", "selfheal.stop_timeout": f"{STOP_TIMEOUT:g}"}
        made.fake.add("web", labels=labels, healthcheck=True)
        made.watch()
        made.run(60)
        yield made


def call_and_die(timeline: Timeline, **before: str) -> None:
    """Its attempt is called and never answered; `before` is written to its failure before the call."""
    timeline.fake.make_unhealthy("web")
    (found,) = check.check_some(timeline.host.pk, [Container.objects.get().pk], by_event=True)
    diagnosing.run(found.failure_id)
    if before:
        FailureRecord.objects.filter(pk=found.failure_id).update(**before)
    with mock.patch.object(acting, "make", side_effect=Died), pytest.raises(Died):
        restarting.run(found.failure_id)


def come_late(timeline: Timeline) -> None:
    """The engine has now come to the call of the dead worker."""
    timeline.fake.restart("web", STOP_TIMEOUT, 60.0)


@pytest.mark.parametrize("back_after", [TAKE_OVER - 20, TAKE_OVER + 20])
def test_an_engine_that_was_away_gets_its_time_anew(timeline: Timeline, back_after: float) -> None:
    """It may only now begin with what was asked: another call would restart what the first has just started."""
    call_and_die(timeline)
    timeline.lose_the_engine()
    timeline.run(back_after)
    back_at = timeline.now
    timeline.find_the_engine(events_lost=True)
    timeline.look_away()
    ends = (back_at - timeline.begin).total_seconds() + STOP_TIMEOUT
    timeline.at(ends, lambda: come_late(timeline))
    timeline.run(120)
    assert len(timeline.calls_of("web")) == 1
    assert Attempt.objects.get().state == "succeeded"
    healed = FailureRecord.objects.get(is_found=True)
    assert healed.action_result == "success"
    assert healed.resolved_at is not None
    assert healed.resolved_at - back_at < timedelta(seconds=STOP_TIMEOUT + 15)


def test_a_call_that_never_reached_an_engine_that_was_away_is_made_anew(timeline: Timeline) -> None:
    """It is waited for no longer than the engine may take."""
    call_and_die(timeline)
    timeline.lose_the_engine()
    timeline.run(TAKE_OVER + 20)
    timeline.find_the_engine(events_lost=True)
    timeline.run(STOP_TIMEOUT + 60)
    assert [row.state for row in Attempt.objects.order_by("number")] == ["failed", "succeeded"]
    assert len(timeline.calls_of("web")) == 1


def test_an_engine_that_was_there_is_waited_for_once(timeline: Timeline) -> None:
    """Its time is over when another worker looks: the next attempt follows after back-off, also where a look failed before the call."""
    call_and_die(timeline, reason="could not look: it did not answer just then")
    called_at = timeline.now
    timeline.run(TAKE_OVER + 15)
    first, second = Attempt.objects.order_by("number")
    assert first.state == "failed"
    assert second.intent_at - called_at < timedelta(seconds=TAKE_OVER + 12)
