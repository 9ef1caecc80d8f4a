"""Exits: which are failures, which somebody's will, which the engine's own business."""

from __future__ import annotations

from typing import Any

import pytest

from healing.core.config import Config, EngineVerdicts, FoundStopped
from healing.core.exits import EVENT_SLACK, REPLAY
from healing.core.lifecycle import ENGINE_FIRST
from healing.core.status import ChangeKind, Detection, Status
from healing.core.types import EngineState, FailureType, Health, Lifecycle, RestartPolicy
from tests.unit.core.build import NOW, WATCHED_SINCE, at, exited, healthy_status, look, running

AWAY = {"stream_since": at(-5)}
"""We came back five seconds ago, and the engine no longer had the events of before."""


def failed(detection: Detection) -> FailureType | None:
    """The type of the failure that was found, None where none was."""
    change = detection.change
    return change.failure_type if change is not None and change.kind is ChangeKind.FAILED else None


@pytest.mark.parametrize(
    ("snapshot", "failure_type", "words"),
    [
        (exited(1), FailureType.CONTAINER_STOPPED, "exit code 1"),
        (exited(137), FailureType.CONTAINER_STOPPED, "SIGKILL"),
        (exited(143), FailureType.CONTAINER_STOPPED, "SIGTERM"),
        (exited(137, oom_killed=True), FailureType.CONTAINER_ERROR, "out of memory"),
        (exited(1, policy="on-failure", restart_count=0), FailureType.CONTAINER_STOPPED, "exit code 1"),
        (exited(0, policy="always"), FailureType.CONTAINER_STOPPED, "exit code 0"),
        (exited(0, policy="unless-stopped"), FailureType.CONTAINER_STOPPED, "exit code 0"),
        (running(state=EngineState.DEAD, error="driver busy"), FailureType.CONTAINER_ERROR, "driver busy"),
    ],
)
def test_exits_that_are_failures(snapshot: Any, failure_type: FailureType, words: str) -> None:
    """An exit that nobody asked for and that the engine did not mend is a failure at once (scenarios 2, 3, 4, 35)."""
    detection = look(snapshot)
    assert failed(detection) is failure_type
    assert detection.change is not None
    assert words in detection.change.reason
    assert detection.status.health is Health.UNHEALTHY


@pytest.mark.parametrize("policy", ["no", "", "on-failure"])
def test_exit_0_is_a_finished_job(policy: str) -> None:
    """Exit 0 under `no` or `on-failure` is no failure, and is shown as finished (scenario 6)."""
    detection = look(exited(0, policy=policy))
    assert (detection.change, detection.status.lifecycle) == (None, Lifecycle.FINISHED)
    assert detection.status.health is Health.UNKNOWN


@pytest.mark.parametrize("lifecycle", [Lifecycle.RUNNING, Lifecycle.FINISHED])
def test_exit_0_is_a_failure_where_it_should_be_running(lifecycle: Lifecycle) -> None:
    """`always_running` makes exit 0 a failure, also for what counted as finished until the config changed."""
    status = healthy_status(lifecycle=lifecycle)
    assert failed(look(exited(0), status, Config(always_running=True))) is FailureType.CONTAINER_STOPPED


def test_a_finished_job_that_ran_again_and_failed() -> None:
    """A finished job that is started again and exits 1 is a failure, although nobody saw it run."""
    status = healthy_status(lifecycle=Lifecycle.FINISHED)
    assert failed(look(exited(1, started_at=at(-30)), status)) is FailureType.CONTAINER_STOPPED


@pytest.mark.parametrize("policy", ["always", "unless-stopped", "on-failure"])
def test_the_engine_goes_first(policy: str) -> None:
    """An exit that the engine's own policy answers is left to it for five seconds (scenario 7)."""
    detection = look(exited(1, ago=2, policy=policy), by_event=True)
    assert failed(detection) is None
    assert detection.look_again_in == pytest.approx(ENGINE_FIRST - 2)
    assert failed(look(exited(1, ago=ENGINE_FIRST, policy=policy), by_event=True)) is not None


def test_the_engine_is_not_waited_for_when_its_retries_are_spent() -> None:
    """`on-failure:3` that has restarted three times restarts no more: we act at once."""
    spent = exited(1, ago=2, restart_policy=RestartPolicy("on-failure", 3), restart_count=3)
    assert failed(look(spent)) is FailureType.CONTAINER_STOPPED


def test_an_exit_found_by_polling_waits_for_its_events() -> None:
    """A poll may see an exit before the kill event that explains it has arrived; an event has no such doubt."""
    fresh = exited(1, ago=0.5)
    detection = look(fresh)
    assert failed(detection) is None
    assert detection.look_again_in == pytest.approx(EVENT_SLACK - 0.5)
    assert failed(look(fresh, by_event=True)) is FailureType.CONTAINER_STOPPED
    assert failed(look(fresh, now=at(1.1))) is FailureType.CONTAINER_STOPPED


@pytest.mark.parametrize("snapshot", [exited(143), exited(137), exited(1), exited(0, policy="always")])
@pytest.mark.parametrize("always_running", [True, False])
def test_a_stop_by_hand_is_left_alone(snapshot: Any, always_running: bool) -> None:
    """`docker stop` and `docker kill` by a person are respected, whatever the exit code (scenarios 9, 10)."""
    status = healthy_status(stop_signal_at=at(-11))
    detection = look(snapshot, status, Config(always_running=always_running))
    assert (detection.change, detection.status.lifecycle) == (None, Lifecycle.STOPPED_BY_HAND)


@pytest.mark.parametrize("always_running", [True, False])
def test_a_stop_by_hand_is_remembered(always_running: bool) -> None:
    """Stopped by hand stays so when the signal is forgotten and the events are gone, until it is started again."""
    status = healthy_status(lifecycle=Lifecycle.STOPPED_BY_HAND)
    config = Config(always_running=always_running)
    for snapshot in (exited(143), exited(1), exited(0, policy="always")):
        detection = look(snapshot, status, config, **AWAY)
        assert (detection.change, detection.status.lifecycle) == (None, Lifecycle.STOPPED_BY_HAND)
    again = exited(1, started_at=at(-30))
    assert failed(look(again, status, config)) is FailureType.CONTAINER_STOPPED


def test_a_reload_is_no_stop() -> None:
    """A container that exits after a signal that is none of its stop signals has failed: HUP leaves no mark."""
    assert failed(look(exited(129))) is FailureType.CONTAINER_STOPPED


def test_docker_restart_by_a_person() -> None:
    """Between the stop and the start of a `docker restart` there is no failure, and after it no stop (scenario 11)."""
    between = look(exited(143, ago=0.2), healthy_status(stop_signal_at=at(-1)), by_event=True)
    assert (between.change, between.status.lifecycle) == (None, Lifecycle.STOPPED_BY_HAND)
    after = look(running(started_at=at(0.1)), between.status, now=at(1))
    assert after.status.lifecycle is Lifecycle.RUNNING
    assert after.status.stop_signal_at is None


@pytest.mark.parametrize(
    ("snapshot", "is_failure"),
    [
        (exited(0, policy="always"), False),
        (exited(143), False),
        (exited(137), False),
        (exited(137, oom_killed=True), True),
        (exited(1), True),
        (exited(255), True),
        (exited(1, policy="always"), False),
        (exited(1, policy="unless-stopped"), False),
        (exited(1, policy="on-failure"), False),
        (exited(1, restart_policy=RestartPolicy("on-failure", 2), restart_count=2), True),
    ],
)
def test_found_stopped_is_judged(snapshot: Any, is_failure: bool) -> None:
    """Found stopped without events: a graceful exit or one that the engine would mend was a person's (scenario 36)."""
    detection = look(snapshot, **AWAY)
    assert (failed(detection) is not None) is is_failure
    if not is_failure:
        assert detection.change is not None
        assert detection.change.kind is ChangeKind.LEFT_ALONE
        assert detection.status.lifecycle is Lifecycle.STOPPED_BY_HAND
        assert "left alone" in detection.status.message


def test_found_stopped_0_under_no_was_perhaps_stopped() -> None:
    """What ran when we last looked and then ended with 0 unseen may have been stopped: left alone, with a warning."""
    detection = look(exited(0), **AWAY)
    assert detection.change is not None
    assert (detection.change.kind, detection.status.lifecycle) == (
        ChangeKind.LEFT_ALONE,
        Lifecycle.STOPPED_BY_HAND,
    )


def test_finished_before_it_was_known_is_finished() -> None:
    """A job that had ended with 0 before anybody looked has finished: nobody is warned."""
    detection = look(exited(0), Status(), **AWAY)
    assert (detection.change, detection.status.lifecycle) == (None, Lifecycle.FINISHED)


@pytest.mark.parametrize("always_running", [True, False])
def test_found_stopped_warns_once(always_running: bool) -> None:
    """The warning that a container is left alone is not repeated at the next look."""
    first = look(exited(143), config=Config(always_running=always_running), **AWAY)
    second = look(exited(143), first.status, Config(always_running=always_running), **AWAY)
    assert first.change is not None
    assert second.change is None


def test_found_stopped_warns_of_no_newcomer() -> None:
    """A container that was stopped before it was ever supervised is left alone without a warning."""
    detection = look(exited(143), healthy_status(lifecycle=Lifecycle.NEW, started_at=None), **AWAY)
    assert (detection.change, detection.status.lifecycle) == (None, Lifecycle.STOPPED_BY_HAND)


@pytest.mark.parametrize(
    ("found_stopped", "exit_code", "is_failure"),
    [
        (FoundStopped.HEAL, 143, True),
        (FoundStopped.HEAL, 1, True),
        (FoundStopped.LEAVE, 1, False),
        (FoundStopped.LEAVE, 143, False),
    ],
)
def test_found_stopped_as_configured(found_stopped: FoundStopped, exit_code: int, is_failure: bool) -> None:
    """`found_stopped: heal` heals and `leave` leaves whatever the exit code was."""
    detection = look(exited(exit_code), config=Config(found_stopped=found_stopped), **AWAY)
    assert (failed(detection) is not None) is is_failure


@pytest.mark.parametrize("exit_code", [137, 143, 1])
@pytest.mark.parametrize("lifecycle", [Lifecycle.EXITED, Lifecycle.QUARANTINED])
def test_a_failure_stays_one_when_events_are_lost(exit_code: int, lifecycle: Lifecycle) -> None:
    """An exit that was judged a failure is not taken for a manual stop because the event stream had a gap since."""
    snapshot = exited(exit_code)
    status = healthy_status(
        lifecycle=lifecycle,
        health=Health.UNHEALTHY,
        consecutive_failures=1,
        ended_at=snapshot.finished_at,
        quarantined_at=at(-5000),
        quarantine_until=at(-1),
    )
    assert failed(look(snapshot, status, **AWAY)) is FailureType.CONTAINER_STOPPED


def test_an_engine_that_came_back_goes_first() -> None:
    """In the start grace after its restart the engine starts its containers itself (scenario 22)."""
    status = healthy_status(interrupted_at=at(-11))
    grace = at(30)
    waiting = look(exited(143), status, grace_until=grace)
    assert (waiting.change, waiting.status.lifecycle) == (None, Lifecycle.EXITED)
    assert waiting.look_again_in == pytest.approx(30)
    later = look(exited(143), waiting.status, now=grace, grace_until=grace)
    assert failed(later) is FailureType.CONTAINER_STOPPED
    assert later.change is not None
    assert "engine" in later.change.reason


@pytest.mark.parametrize("exit_code", [0, 137, 143])
@pytest.mark.parametrize("policy", ["no", "always"])
def test_what_ran_before_the_engine_stopped_is_healed(exit_code: int, policy: str) -> None:
    """Stopped together with its engine is nobody's will: it is a failure after the grace, whatever the exit code."""
    status = healthy_status(interrupted_at=at(-11))
    assert failed(look(exited(exit_code, policy=policy), status, **AWAY)) is FailureType.CONTAINER_STOPPED


def test_an_interruption_is_over_once_it_is_seen_running() -> None:
    """An engine that was only unreachable did not stop its containers: a later finish is a finish."""
    status = healthy_status(interrupted_at=at(-600))
    seen = look(running(), status)
    assert seen.status.interrupted_at is None
    later = look(exited(0, ago=-50), seen.status, now=at(60))
    assert (later.change, later.status.lifecycle) == (None, Lifecycle.FINISHED)


@pytest.mark.parametrize("snapshot", [exited(1), running(state=EngineState.DEAD)])
def test_engine_verdicts_can_be_counted(snapshot: Any) -> None:
    """With `engine_verdicts: counted` an exit needs as many looks as a failing probe."""
    config = Config(engine_verdicts=EngineVerdicts.COUNTED, failure_threshold=3)
    status, found = healthy_status(), []
    for second in (0, 30, 60):
        detection = look(snapshot, status, config, now=at(second))
        status = detection.status
        found.append(failed(detection) is not None)
    assert found == [False, False, True]


@pytest.mark.parametrize(
    ("state", "lifecycle"),
    [
        (EngineState.CREATED, Lifecycle.NEW),
        (EngineState.REMOVING, Lifecycle.STOPPING),
        (EngineState.PAUSED, Lifecycle.PAUSED),
        (EngineState.RESTARTING, Lifecycle.RESTARTING),
    ],
)
def test_states_that_say_nothing(state: EngineState, lifecycle: Lifecycle) -> None:
    """Created, removing, paused and restarting are no failures."""
    detection = look(running(state=state))
    assert (detection.change, detection.status.lifecycle) == (None, lifecycle)


def test_a_loop_of_the_engine_is_one_container_error() -> None:
    """Three quick exits under the engine's own policy are told as a crash loop (scenario 8)."""
    exits = tuple((at(-s - 1).timestamp(), at(-s).timestamp()) for s in (90, 60, 30))
    restarting = running(state=EngineState.RESTARTING, exit_code=1)
    assert failed(look(restarting, healthy_status(exits=exits[:2]))) is None
    detection = look(restarting, healthy_status(exits=exits))
    assert failed(detection) is FailureType.CONTAINER_ERROR
    assert detection.change is not None
    assert "crash loop" in detection.change.reason
    old = tuple((a - 600, b - 600) for a, b in exits)
    assert failed(look(restarting, healthy_status(exits=old))) is None


def test_removed() -> None:
    """A container that the engine no longer has is gone, and not unhealthy (scenario 14)."""
    detection = look(None)
    assert detection.change is not None
    assert (detection.change.kind, detection.change.reason) == (ChangeKind.GONE, "container removed")
    assert (detection.status.lifecycle, detection.status.health) == (Lifecycle.GONE, Health.UNKNOWN)


def test_what_a_watcher_is_about_to_tell_is_waited_for() -> None:
    """A watcher that has just connected may still bring who stopped it: not yet taken as stopped by hand, nor told so."""
    waits = look(exited(137), stream_since=at(-1))
    assert (waits.change, waits.status.lifecycle) == (None, Lifecycle.EXITED)
    assert waits.look_again_in == REPLAY - 1
    assert failed(look(exited(1), stream_since=at(-1))) is FailureType.CONTAINER_STOPPED
    decided = look(exited(137), waits.status, stream_since=at(-REPLAY))
    assert decided.status.lifecycle is Lifecycle.STOPPED_BY_HAND
    assert decided.change is not None
    assert decided.change.kind is ChangeKind.LEFT_ALONE


@pytest.mark.parametrize("exit_code", [1, 137])
def test_an_exit_whose_events_are_not_worked_off_is_waited_for(exit_code: int) -> None:
    """Who stopped it may still wait to be read, however long the stream is held; what was judged before needs no events."""
    untold: dict[str, Any] = {"stream_since": WATCHED_SINCE, "events_until": at(-30)}
    waits = look(exited(exit_code, ago=20), **untold)
    assert (waits.change, waits.status.lifecycle) == (None, Lifecycle.EXITED)
    assert failed(look(exited(exit_code, ago=40), **untold)) is FailureType.CONTAINER_STOPPED
    before = look(exited(exit_code, ago=20), stream_since=WATCHED_SINCE).status
    assert failed(look(exited(exit_code, ago=20), before, **untold)) is FailureType.CONTAINER_STOPPED


def test_an_exit_whose_events_never_come_is_judged_as_found() -> None:
    """A watcher that has been behind for a minute is as good as none."""
    untold: dict[str, Any] = {"stream_since": WATCHED_SINCE, "events_until": at(-90)}
    assert look(exited(137, ago=70), **untold).status.lifecycle is Lifecycle.STOPPED_BY_HAND
    assert failed(look(exited(1, ago=70), **untold)) is FailureType.CONTAINER_STOPPED


def test_swarm_replaces_its_own_tasks() -> None:
    """A task of Docker Swarm is seen unhealthy, and no failure is opened."""
    detection = look(exited(1, labels={"com.docker.swarm.task.id": "t"}), stream_since=WATCHED_SINCE, now=NOW)
    assert (detection.change, detection.status.health) == (None, Health.UNHEALTHY)
