"""Single stories of the whole loop on the fake engine, each with its course and its end."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from healing import commands
from healing.core.types import ActionResult, FailureType, Lifecycle, RestartPolicy
from healing.engines.fake import Outcome
from healing.models import Attempt, Container, FailureRecord, HealthStatus
from notifications.models import Notification
from tests.integration.loop.timeline import Timeline

LABELS = {"selfheal.enable": "true", "selfheal.check_interval": "10"}


@pytest.fixture
def timeline(db: None) -> Iterator[Timeline]:
    with Timeline() as started:
        yield started


def labels(**values: object) -> dict[str, str]:
    return LABELS | {f"selfheal.{name}": str(value) for name, value in values.items()}


def found() -> list[FailureRecord]:
    return list(FailureRecord.objects.filter(is_found=True).order_by("pk"))


def lifecycle() -> str:
    return HealthStatus.objects.get().lifecycle


def test_one_exit_is_healed(timeline: Timeline) -> None:
    """An exit is one failure with one restart, verified after ten seconds, with a record of the restart."""
    timeline.fake.add("web", labels=LABELS)
    timeline.watch()
    timeline.at(30, lambda: timeline.fake.exit("web", 1))
    timeline.run_until_quiet(600)
    (failure,) = found()
    assert (failure.failure_type, failure.action_result) == (
        FailureType.CONTAINER_STOPPED,
        ActionResult.SUCCESS,
    )
    assert failure.resolved_at is not None
    assert (failure.resolved_at - failure.detected_at).total_seconds() == pytest.approx(10, abs=0.5)
    assert failure.children.get().failure_type == FailureType.AUTO_RESTART
    assert len(timeline.calls_of("web")) == 1


def test_hopeless(timeline: Timeline) -> None:
    """What never becomes healthy gets max_restarts tries with growing pauses, one critical alert, and then silence."""
    timeline.fake.add("web", labels=labels(quarantine_release=0))
    timeline.watch()
    timeline.fake.after_starts("web", Outcome("exit", 2.0, 1))
    timeline.at(30, lambda: timeline.fake.exit("web", 1))
    timeline.run_until_quiet(3600)
    told = Notification.objects.count()
    timeline.run(3600)
    assert list(Attempt.objects.values_list("backoff", flat=True)) == [0, 10, 20, 40, 80]
    assert len(timeline.calls_of("web")) == 5
    assert FailureRecord.objects.filter(failure_type=FailureType.RESTART_LIMIT_EXCEEDED).count() == 1
    levels = list(Notification.objects.order_by("created_at").values_list("level", flat=True))
    assert (levels, told) == (["warning", "error", "critical"], 3)
    assert lifecycle() == Lifecycle.QUARANTINED


def test_our_own_restarts_are_no_crash_loop(timeline: Timeline) -> None:
    """Under policy `always`, runs that our restarts have ended are not the engine's loop: the budget is what ends it."""
    values = labels(max_restarts=4, backoff_initial=5, quarantine_release=0)
    timeline.fake.add("web", labels=values, healthcheck=True, restart_policy=RestartPolicy("always"))
    timeline.watch()
    timeline.fake.after_starts("web", Outcome("unhealthy", 12.0))
    timeline.at(100, lambda: timeline.fake.make_unhealthy("web"))
    timeline.run_until_quiet(3600)
    assert "crash loop" not in {failure.cause for failure in found()}
    assert len(timeline.calls_of("web")) == 4
    assert lifecycle() == Lifecycle.QUARANTINED


def test_a_job_that_failed_once_is_not_run_twice(timeline: Timeline) -> None:
    """A job that exits 1, is restarted and then finishes with 0 is healed by the one restart."""
    timeline.fake.add("job", labels=LABELS)
    timeline.watch()
    timeline.fake.after_starts("job", Outcome("exit", 4.0, 0))
    timeline.at(30, lambda: timeline.fake.exit("job", 1))
    timeline.run_until_quiet(600)
    (failure,) = found()
    assert (failure.action_result, len(timeline.calls_of("job"))) == (ActionResult.SUCCESS, 1)
    assert "finished" in failure.reason
    assert lifecycle() == Lifecycle.FINISHED


def test_an_outage_does_not_turn_a_later_finish_into_a_failure(timeline: Timeline) -> None:
    """A container that ran on while its engine could not be reached was not stopped by it."""
    timeline.fake.add("job", labels=LABELS)
    timeline.watch()
    timeline.at(30, timeline.lose_the_engine)
    timeline.at(60, lambda: timeline.find_the_engine(events_lost=True))
    timeline.at(300, lambda: timeline.fake.exit("job", 0))
    timeline.run_until_quiet(600)
    assert not found()
    assert lifecycle() == Lifecycle.FINISHED


@pytest.mark.parametrize("events_lost", [True, False])
def test_what_dies_in_an_outage_is_healed(timeline: Timeline, events_lost: bool) -> None:
    """A container that ended while its engine could not be reached is healed after the engine's start grace."""
    timeline.fake.add("web", labels=LABELS)
    timeline.watch()
    timeline.at(30, timeline.lose_the_engine)
    timeline.at(50, lambda: timeline.fake.kill("web"))
    timeline.at(60, lambda: timeline.find_the_engine(events_lost=events_lost))
    timeline.run_until_quiet(600)
    (failure,) = found()
    assert (failure.action_result, failure.cause) == (ActionResult.SUCCESS, "stopped with its engine")
    assert (failure.detected_at - timeline.begin).total_seconds() >= 60 + timeline.host.start_grace


def test_what_an_engine_stops_as_it_starts_is_healed(timeline: Timeline) -> None:
    """An engine that was killed stops what outlived it with a person's signals: that is no person, however long it was away."""
    timeline.fake.add("web", labels=LABELS)
    timeline.watch()
    timeline.at(30, timeline.lose_the_engine)
    timeline.at(200, lambda: timeline.fake.stop_by_hand("web"))
    timeline.at(201, lambda: timeline.find_the_engine(events_lost=False, started_anew=199))
    timeline.run_until_quiet(900)
    (failure,) = found()
    assert (failure.action_result, failure.cause) == (ActionResult.SUCCESS, "stopped with its engine")


def test_a_stop_by_hand_in_an_outage_is_respected(timeline: Timeline) -> None:
    """An engine that lived on out of our sight, as its other containers show, has stopped nothing itself."""
    timeline.fake.add("web", labels=LABELS)
    timeline.fake.add("other", labels={})
    timeline.watch()
    timeline.at(30, timeline.lose_the_engine)
    timeline.at(200, lambda: timeline.fake.stop_by_hand("web"))
    timeline.at(201, lambda: timeline.find_the_engine(events_lost=False))
    timeline.run_until_quiet(900)
    assert not found()
    assert lifecycle() == Lifecycle.STOPPED_BY_HAND


def test_a_stop_by_hand_outlasts_lost_events(timeline: Timeline) -> None:
    """What a person stopped is left alone, also when the watcher loses the engine and its events afterwards."""
    timeline.fake.add("web", labels=LABELS, restart_policy=RestartPolicy("unless-stopped"))
    timeline.watch()
    timeline.at(30, lambda: timeline.fake.stop_by_hand("web"))
    timeline.at(60, timeline.lose_the_engine)
    timeline.at(90, lambda: timeline.find_the_engine(events_lost=True))
    timeline.run_until_quiet(900)
    assert not found()
    assert not timeline.calls_of("web")
    assert lifecycle() == Lifecycle.STOPPED_BY_HAND


def test_a_quarantined_kill_gets_its_trial_though_events_were_lost(timeline: Timeline) -> None:
    """Exit 137 that is known as a failure does not become a manual stop, and no warning is repeated."""
    timeline.fake.add("web", labels=labels(max_restarts=1, restart_window=60, quarantine_release=600))
    timeline.watch()
    timeline.fake.after_starts("web", Outcome("exit", 2.0, 137), Outcome())
    timeline.at(30, lambda: timeline.fake.kill("web"))
    timeline.at(120, timeline.lose_the_engine)
    timeline.at(130, lambda: timeline.find_the_engine(events_lost=True))
    timeline.run(400)
    told = Notification.objects.filter(container_id__isnull=False).count()
    timeline.run(300)
    assert [failure.is_trial for failure in found()] == [False, True]
    assert found()[1].action_result == ActionResult.SUCCESS
    assert Notification.objects.filter(container_id__isnull=False).count() == told + 1
    assert lifecycle() == Lifecycle.RUNNING


def test_a_release_gives_a_new_row_within_the_window(timeline: Timeline) -> None:
    """A person's release is not answered by a new quarantine at once: it waits for room, and the window holds."""
    timeline.fake.add("web", labels=labels(max_restarts=2, restart_window=300, quarantine_release=0))
    timeline.watch()
    timeline.fake.after_starts("web", Outcome("exit", 2.0, 1), Outcome("exit", 2.0, 1), Outcome())
    timeline.at(30, lambda: timeline.fake.exit("web", 1))
    timeline.run(120)
    assert lifecycle() == Lifecycle.QUARANTINED
    commands.release(Container.objects.get())
    timeline.run(60)
    assert lifecycle() != Lifecycle.QUARANTINED
    assert found()[-1].reason == "released by a person: the window has no room yet"
    timeline.run_until_quiet(900)
    begun = list(Attempt.objects.order_by("intent_at").values_list("intent_at", flat=True))
    assert (begun[2] - begun[0]).total_seconds() >= 300
    assert found()[-1].action_result == ActionResult.SUCCESS
