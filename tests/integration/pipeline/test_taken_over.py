"""An attempt whose worker died in its call, on an engine that was out of reach meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from unittest import mock

import pytest

from healing.core.decide import FLEET_CEILING
from healing.core.errors import EngineUnreachable
from healing.core.types import Snapshot
from healing.engines.fake import FakeEngine, Outcome
from healing.models import Attempt, Container, FailureRecord, Host, Stage
from healing.pipeline import acting, check, diagnosing, restarting
from healing.store.heals import Next
from notifications.models import Notification
from tests.integration.asking.rows import make_attempt, make_container, make_failure
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
    web = Container.objects.get(name="web")
    (found,) = check.check_some(timeline.host.pk, [web.pk], by_event=True)
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


def test_what_a_person_stops_after_the_call_was_over_stays_stopped(timeline: Timeline) -> None:
    """The dead worker's call can no longer have done it; without a watcher people are told once that it is left alone."""
    timeline.look_away()
    timeline.run(90)
    call_and_die(timeline)
    timeline.run(STOP_TIMEOUT + 10)
    timeline.fake.stop_by_hand("web")
    timeline.run(TAKE_OVER + 120)
    assert timeline.calls_of("web") == []
    assert Attempt.objects.get().state == "failed"
    assert FailureRecord.objects.get(is_found=True).resolved_at is not None
    assert Notification.objects.filter(title="web was found stopped and is left alone").count() == 1


def test_what_the_dead_workers_call_has_stopped_is_started_again(timeline: Timeline) -> None:
    """An engine that carried out one half of it leaves what looks like a person's stop."""
    timeline.look_away()
    timeline.run(90)
    call_and_die(timeline)
    timeline.at((timeline.now - timeline.begin).total_seconds() + 5, lambda: timeline.fake.exit("web", 143))
    timeline.run(TAKE_OVER + 120)
    assert [call.method for call in timeline.calls_of("web")] == ["start"]
    assert FailureRecord.objects.get(is_found=True).action_result == "success"


@pytest.fixture
def web_hangs() -> Iterator[Callable[[], None]]:
    """From its call on the engine does not answer when it is asked about `web`."""
    inspect, stuck = FakeEngine.inspect, [False]

    def hangs(engine: FakeEngine, container_id: str) -> Snapshot:
        found = inspect(engine, container_id)
        if stuck[0] and found.name == "web":
            raise EngineUnreachable("no answer within 10 s")
        return found

    def begin() -> None:
        stuck[0] = True

    with mock.patch.object(FakeEngine, "inspect", hangs):
        yield begin


def test_a_container_that_hangs_the_engine_starves_no_other(
    timeline: Timeline, web_hangs: Callable[[], None]
) -> None:
    """Its worker died in a later attempt, and nobody can look: the one place of later attempts goes to another."""
    timeline.fake.add("other", labels={"selfheal.enable": "true"}, healthcheck=True)
    timeline.fake.after_starts("other", Outcome("unhealthy", 1.0))
    timeline.run(60)
    call_and_die(timeline)
    Attempt.objects.update(row_number=2)
    web_hangs()
    timeline.fake.make_unhealthy("other")
    timeline.run(TAKE_OVER - 5)
    assert Attempt.objects.get(container__name="other").row_number == 1
    timeline.run(60)
    assert Attempt.objects.filter(container__name="other", row_number=2).exists()
    assert Attempt.objects.get(container__name="web").state == "called"


def test_hosts_that_nobody_serves_do_not_stop_heals_elsewhere(timeline: Timeline) -> None:
    """What was decided there is not called any more once it is old, whoever takes it up."""
    Host.objects.create(name="rack", engine_kind="fake", address="fake://rack", queue="rack-7")
    for number in range(FLEET_CEILING):
        failure = make_failure(make_container(f"c{number}", host="rack"), took=None, stage="restart")
        make_attempt(failure, state="intended", intent_at=timeline.now)
    timeline.fake.make_unhealthy("web")
    web = Container.objects.get(name="web")
    (found,) = check.check_some(timeline.host.pk, [web.pk], by_event=True)
    assert diagnosing.run(found.failure_id) is None
    assert FailureRecord.objects.get(pk=found.failure_id).reason.startswith("put off: 64 heals")
    timeline._clock.shift(timedelta(minutes=11))
    following = diagnosing.run(found.failure_id)
    assert isinstance(following, Next)
    assert following.stage is Stage.RESTART


def test_an_old_intent_is_withdrawn_while_nobody_can_look(
    timeline: Timeline, web_hangs: Callable[[], None]
) -> None:
    """It would never be called: it leaves the record, and the decision is made anew when the engine answers."""
    timeline.fake.make_unhealthy("web")
    web = Container.objects.get(name="web")
    (found,) = check.check_some(timeline.host.pk, [web.pk], by_event=True)
    diagnosing.run(found.failure_id)
    web_hangs()
    assert restarting.run(found.failure_id) is None
    assert Attempt.objects.get().state == "intended"
    timeline._clock.shift(timedelta(minutes=10, seconds=1))
    following = restarting.run(found.failure_id)
    assert following is not None and following.stage is Stage.DIAGNOSE
    assert Attempt.objects.get().state == "withdrawn"
    assert timeline.calls_of("web") == []


def test_an_attempt_on_what_is_removed_ends_with_its_heal(timeline: Timeline) -> None:
    """Whoever sees the removal first closes the heal, and the call's answer then finds nobody to note it down."""
    call_and_die(timeline)
    timeline.fake.remove("web")
    timeline.run(30)
    attempt = Attempt.objects.get()
    assert (attempt.state, attempt.outcome) == ("failed", "container removed")
    assert attempt.ended_at == FailureRecord.objects.get().resolved_at
