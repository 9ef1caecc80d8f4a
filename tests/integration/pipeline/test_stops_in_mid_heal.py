"""What a person does to a container while it is being healed: it holds, also where no watcher tells of it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from healing.core.errors import ActionFailed, ActionTimedOut, PluginError
from healing.core.types import ActionResult, Lifecycle
from healing.engines.fake import FakeEngine, Outcome
from healing.models import (
    Attempt,
    AttemptState,
    Container,
    FailureRecord,
    HealingConfig,
    HealthStatus,
    Host,
    Stage,
)
from healing.pipeline import check, diagnosing, guard, restarting
from healing.store import heals
from healing.store.heals import Next
from notifications.models import Notification
from tests.integration.loop.timeline import Timeline

LABELS = {"selfheal.enable": "true", "selfheal.start_period": "0"}

pytestmark = pytest.mark.django_db


def running(
    timeline: Timeline, backoff: float = 10, *, healthcheck: bool = True, check_interval: float = 10
) -> Container:
    """Web has run for a minute under the eyes of a watcher."""
    own = {"selfheal.backoff_initial": f"{backoff:g}", "selfheal.check_interval": f"{check_interval:g}"}
    timeline.fake.add("web", labels=LABELS | own, healthcheck=healthcheck)
    timeline.watch()
    timeline.run(60)
    timeline._watcher.flush_cursor()
    return Container.objects.get(name="web")


def run_until(timeline: Timeline, come: Callable[[], bool]) -> None:
    for _ in range(90):
        if come():
            return
        timeline.run(1)
    raise AssertionError("it has not come within 90 s")


def touched(timeline: Timeline) -> list[str]:
    return [call.method for call in timeline.fake.calls if call.method in ("start", "restart")]


def found(timeline: Timeline) -> Next:
    """The failure of web, found by a check."""
    (following,) = check.check_some(timeline.host.pk, [Container.objects.get().pk], by_event=True)
    return following


def intended(timeline: Timeline) -> int:
    """A restart of web is decided, and not yet carried out."""
    timeline.fake.make_unhealthy("web")
    failure_id = found(timeline).failure_id
    diagnosing.run(failure_id)
    assert Attempt.objects.get().state == AttemptState.INTENDED
    return failure_id


@pytest.mark.parametrize("silent_for", [20, 90])
@pytest.mark.parametrize("backoff", [0, 10])
def test_a_stop_while_a_restart_is_verified_holds_without_a_watcher(
    timeline: Timeline, backoff: float, silent_for: float
) -> None:
    """Verification sees that it has ended, and not by whom: that does not make a failure of it."""
    running(timeline, backoff, healthcheck=False)
    timeline.look_away()
    timeline.run(silent_for - 12)
    timeline.fake.exit("web", 1)
    run_until(timeline, FailureRecord.objects.filter(stage=Stage.VERIFY).exists)
    assert touched(timeline) == ["start"]
    timeline.fake.stop_by_hand("web")
    timeline.run(180)
    assert touched(timeline) == ["start"]
    assert HealthStatus.objects.get().lifecycle == Lifecycle.STOPPED_BY_HAND
    assert FailureRecord.objects.get(is_found=True).resolved_at is not None

    timeline.watch()
    timeline.run(60)
    assert touched(timeline) == ["start"]


@pytest.mark.parametrize("code", [1, 137])
def test_a_crash_while_a_restart_is_verified_is_healed(timeline: Timeline, code: int) -> None:
    """With a watcher that has nothing left to work off nobody has stopped it: the next attempt comes after its back-off."""
    running(timeline, healthcheck=False)
    timeline.fake.after_starts("web", Outcome("exit", 3.0, code), Outcome())
    timeline.fake.exit("web", 1)
    timeline.run(60)
    first, second = Attempt.objects.order_by("pk")
    assert first.ended_at is not None
    assert (second.intent_at - first.ended_at).total_seconds() == pytest.approx(10, abs=0.5)
    assert FailureRecord.objects.get(is_found=True).action_result == ActionResult.SUCCESS


def test_a_crash_while_a_restart_is_verified_is_healed_without_a_watcher(timeline: Timeline) -> None:
    """An exit code that no stop leads to tells enough."""
    running(timeline, healthcheck=False)
    timeline.look_away()
    timeline.run(90)
    timeline.fake.after_starts("web", Outcome("exit", 3.0, 1), Outcome())
    timeline.fake.exit("web", 1)
    timeline.run(90)
    assert touched(timeline) == ["start", "start"]
    assert FailureRecord.objects.get(is_found=True).action_result == ActionResult.SUCCESS


def test_a_stop_in_the_back_off_holds_without_a_watcher(timeline: Timeline) -> None:
    """Who is told "left alone" is not surprised by a start."""
    running(timeline, 40, check_interval=30)
    timeline.look_away()
    timeline.run(90)
    timeline.fake.after_starts("web", Outcome("unhealthy"))
    timeline.fake.make_unhealthy("web")
    run_until(timeline, Attempt.objects.filter(state=AttemptState.FAILED).exists)
    timeline.run(35)
    timeline.fake.stop_by_hand("web")
    timeline.run(180)
    assert touched(timeline) == ["restart"]
    assert Attempt.objects.count() == 1
    assert Notification.objects.filter(title="web was found stopped and is left alone").count() == 1
    assert FailureRecord.objects.get(is_found=True).resolved_at is not None


@pytest.mark.parametrize("silent_for", [20, 90])
def test_a_stop_between_decision_and_call_holds_without_a_watcher(
    timeline: Timeline, silent_for: float
) -> None:
    """The guard asks who has ended it, as the decision would have done."""
    running(timeline)
    timeline.look_away()
    timeline._clock.shift(timedelta(seconds=silent_for))
    failure_id = intended(timeline)
    timeline.fake.stop_by_hand("web")
    restarting.run(failure_id)
    attempt = Attempt.objects.get()
    assert attempt.state == AttemptState.WITHDRAWN
    assert attempt.outcome.startswith("it has ended meanwhile")
    timeline.run(180)
    assert touched(timeline) == []


@pytest.mark.parametrize(
    ("code", "error", "is_watched"),
    [
        (0, ActionFailed("address already in use"), True),
        (143, ActionFailed("address already in use"), False),
        (0, ActionTimedOut("no answer"), True),
        (0, ActionTimedOut("no answer"), False),
        (143, ActionTimedOut("no answer"), True),
        (143, ActionTimedOut("no answer"), False),
    ],
)
def test_what_our_own_call_has_stopped_is_started_again(
    timeline: Timeline, monkeypatch: pytest.MonkeyPatch, code: int, error: PluginError, is_watched: bool
) -> None:
    """An engine that stops it and does not start it leaves what looks like a person's stop, or like a job that is done."""
    running(timeline, check_interval=5)
    if not is_watched:
        timeline.look_away()
        timeline.run(90)
    restart = FakeEngine.restart

    def half(engine: FakeEngine, container_id: str, stop_timeout: float, deadline: float) -> None:
        monkeypatch.setattr(FakeEngine, "restart", restart)
        timeline.fake.exit(container_id, code)
        timeline._clock.shift(timedelta(seconds=1))
        raise error

    monkeypatch.setattr(FakeEngine, "restart", half)
    timeline.fake.make_unhealthy("web")
    timeline.run(300)
    assert touched(timeline) == ["start"]
    assert FailureRecord.objects.get(is_found=True).action_result == ActionResult.SUCCESS


@pytest.mark.parametrize("code", [2, 143])
@pytest.mark.parametrize("failed_by", ["exit", "health"])
def test_a_stop_after_our_start_and_before_our_answer_holds(
    timeline: Timeline, monkeypatch: pytest.MonkeyPatch, failed_by: str, code: int
) -> None:
    """A restart sends no signal to what it has started. One that comes before the program begins ends it with code 2."""
    running(timeline, backoff=0)
    method = "start" if failed_by == "exit" else "restart"
    ours = getattr(FakeEngine, method)

    def and_a_person_stops_it(engine: FakeEngine, container_id: str, *times: float) -> None:
        timeline._clock.shift(timedelta(seconds=0.2))
        ours(engine, container_id, *times)
        timeline._clock.shift(timedelta(seconds=0.01))
        timeline.fake.stop_by_hand("web")
        timeline.fake._world.find("web").exit_code = code
        timeline._clock.shift(timedelta(seconds=0.01))

    monkeypatch.setattr(FakeEngine, method, and_a_person_stops_it)
    timeline.fake.exit("web", 1) if failed_by == "exit" else timeline.fake.make_unhealthy("web")
    timeline.run(120)
    assert touched(timeline) == [method]
    assert HealthStatus.objects.get().lifecycle == Lifecycle.STOPPED_BY_HAND
    assert FailureRecord.objects.get(is_found=True).resolved_at is not None


@pytest.mark.parametrize("error", [ActionFailed("address already in use"), ActionTimedOut("no answer")])
def test_the_stop_signal_of_a_later_attempt_is_ours(
    timeline: Timeline, monkeypatch: pytest.MonkeyPatch, error: PluginError
) -> None:
    """The start that it follows is that of the attempt before: what it has stopped is started again."""
    running(timeline, backoff=0)
    restart = FakeEngine.restart

    def stops_it_only(engine: FakeEngine, container_id: str, *times: float) -> None:
        monkeypatch.setattr(FakeEngine, "restart", restart)
        timeline._clock.shift(timedelta(seconds=0.2))
        timeline.fake.stop_by_hand("web")
        timeline._clock.shift(timedelta(seconds=1))
        raise error

    timeline.fake.make_unhealthy("web")
    timeline.run(5)
    monkeypatch.setattr(FakeEngine, "restart", stops_it_only)
    timeline.fake.make_unhealthy("web")
    timeline.run(300)
    assert touched(timeline) == ["restart", "start"]
    assert HealthStatus.objects.get().lifecycle == Lifecycle.RUNNING


@pytest.mark.parametrize("code", [0, 143])
def test_what_our_own_call_has_stopped_is_started_again_where_nobody_saw_how_it_was_left(
    timeline: Timeline, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    """An engine that is silent after its refusal, and no watcher: it is neither told as left alone nor left."""
    running(timeline, 30, check_interval=5)
    timeline.look_away()
    timeline.run(90)

    def half(engine: FakeEngine, container_id: str, stop_timeout: float, deadline: float) -> None:
        timeline.fake.exit(container_id, code)
        timeline._clock.shift(timedelta(seconds=1))
        raise ActionFailed("address already in use")

    monkeypatch.setattr(FakeEngine, "restart", half)
    monkeypatch.setattr(restarting, "_left", lambda *_: None)
    timeline.fake.make_unhealthy("web")
    timeline.run(300)
    assert touched(timeline) == ["start"]
    assert FailureRecord.objects.get(is_found=True).action_result == ActionResult.SUCCESS
    assert not Notification.objects.filter(title="web was found stopped and is left alone").exists()


def switch_off() -> None:
    config = HealingConfig.objects.get(name="default")
    config.auto_restart = False
    config.save()


def test_auto_restart_that_is_switched_off_after_the_decision_forbids_the_call(timeline: Timeline) -> None:
    """Its promise is that people are told and nothing is touched, from the moment it is saved."""
    running(timeline)
    failure_id = intended(timeline)
    switch_off()
    restarting.run(failure_id)
    assert Attempt.objects.get().outcome == "auto_restart is off by now"
    timeline.run(60)
    assert touched(timeline) == []
    failure = FailureRecord.objects.get()
    assert (failure.stage, failure.reason) == (
        Stage.OBSERVE,
        "auto_restart is off: people are told, nothing is touched",
    )


def test_a_demand_goes_through_auto_restart_that_is_off(timeline: Timeline) -> None:
    """Who asks for a restart means this one."""
    running(timeline)
    switch_off()
    timeline.fake.make_unhealthy("web")
    failure_id = found(timeline).failure_id
    FailureRecord.objects.filter(pk=failure_id).update(forced=True, forced_at=timeline.now)
    diagnosing.run(failure_id)
    restarting.run(failure_id)
    assert touched(timeline) == ["restart"]


def test_a_fence_that_was_given_out_twice_is_known_by_its_holder(timeline: Timeline) -> None:
    """A database that has lost the newest claim gives its number to the next one, too."""
    running(timeline)
    failure_id = intended(timeline)
    failure = heals.claim(failure_id, Stage.RESTART, 60.0)
    assert failure is not None
    guard.read_anew(failure)
    FailureRecord.objects.filter(pk=failure_id).update(lease_owner="another")
    with pytest.raises(heals.StaleFence):
        guard.read_anew(failure)


def pause_and_withdraw(timeline: Timeline, failure_id: int) -> None:
    """A short pause has the guard withdraw the open attempt, and is over."""
    host = Host.objects.get()
    host.paused_until = timeline.now + timedelta(hours=1)
    host.save()
    restarting.run(failure_id)
    assert Attempt.objects.latest("pk").state == AttemptState.WITHDRAWN
    host.paused_until = None
    host.save()


def out_of_quarantine(timeline: Timeline) -> None:
    """Web is quarantined, and its trial is due."""
    status = HealthStatus.objects.filter(container__name="web")
    timeline.fake.make_unhealthy("web")
    status.update(
        lifecycle=Lifecycle.QUARANTINED,
        consecutive_failures=1,
        quarantined_at=timeline.now - timedelta(hours=1),
        quarantine_until=timeline.now,
    )


def full_disk(timeline: Timeline) -> None:
    timeline.fake.set_logs("web", ["write failed: no space left on device"])
    timeline.fake.exit("web", 1)


@pytest.mark.parametrize("happens", [out_of_quarantine, full_disk])
def test_an_attempt_that_was_withdrawn_has_not_been_tried(
    timeline: Timeline, happens: Callable[[Timeline], None]
) -> None:
    """Where only one attempt is made, one that never reached the engine is not that one."""
    running(timeline)
    happens(timeline)
    failure_id = found(timeline).failure_id
    diagnosing.run(failure_id)
    pause_and_withdraw(timeline, failure_id)
    timeline.run(60)
    assert len(touched(timeline)) == 1
    assert FailureRecord.objects.get(pk=failure_id).action_result == ActionResult.SUCCESS


def test_a_trial_that_was_tried_ends_in_quarantine(timeline: Timeline) -> None:
    """One silent trial, and no other, whatever was withdrawn before it."""
    running(timeline)
    out_of_quarantine(timeline)
    timeline.fake.after_starts("web", Outcome("unhealthy"))
    failure_id = found(timeline).failure_id
    diagnosing.run(failure_id)
    pause_and_withdraw(timeline, failure_id)
    timeline.run(300)
    assert touched(timeline) == ["restart"]
    assert HealthStatus.objects.get().lifecycle == Lifecycle.QUARANTINED
