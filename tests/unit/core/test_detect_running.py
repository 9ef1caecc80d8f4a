"""Running containers: counting, start periods, pauses, quarantine, and what we could not see."""

from __future__ import annotations

from typing import Any

import pytest

from healing.core.config import Config, EngineVerdicts
from healing.core.status import ChangeKind, Detection
from healing.core.types import EngineHealth, EngineState, FailureType, Health, HealthLogEntry, Lifecycle
from tests.unit.core.build import NOW, STARTED, at, exited, healthy_status, look, probe, running, unhealthy

FAILED = (probe("failed", "timed out"),)
PASSED = (probe("passed", "200"),)
BLIND = (probe("unknown", "name does not resolve"),)


def kind(detection: Detection) -> ChangeKind | None:
    return detection.change.kind if detection.change else None


def after(looks: list[Any], config: Config | None = None) -> list[Detection]:
    """Detections of a series of looks 30 s apart, each given as the probes' answers."""
    status, found = healthy_status(), []
    for number, probes in enumerate(looks):
        detection = look(running(), status, config, now=at(30 * number), probes=probes)
        status = detection.status
        found.append(detection)
    return found


def test_our_probes_are_counted_to_the_threshold() -> None:
    """Our own probe must fail failure_threshold times in a row (scenario 18)."""
    found = after([FAILED] * 4)
    assert [kind(d) for d in found] == [None, None, ChangeKind.FAILED, ChangeKind.FAILED]
    assert [d.status.health for d in found[:3]] == [Health.HEALTHY, Health.HEALTHY, Health.UNHEALTHY]
    assert "(1 of 3)" in found[0].status.message
    assert found[2].change is not None
    assert found[2].change.failure_type is FailureType.HEALTH_CHECK_FAILED


def test_a_success_in_between_counts_from_the_beginning() -> None:
    """Two failures and a success are no failure, and the counter is back at 0 (scenario 19)."""
    found = after([FAILED, FAILED, PASSED, FAILED, FAILED])
    assert [d.status.consecutive_failures for d in found] == [1, 2, 0, 1, 2]
    assert ChangeKind.FAILED not in [kind(d) for d in found]


def test_unknown_never_counts() -> None:
    """A probe that could not look neither counts nor resets the count (scenario 20)."""
    found = after([FAILED, FAILED, BLIND, BLIND, BLIND, FAILED])
    assert [d.status.consecutive_failures for d in found] == [1, 2, 2, 2, 2, 3]
    assert [kind(d) for d in found] == [None] * 5 + [ChangeKind.FAILED]
    assert found[2].status.health is Health.UNKNOWN


def test_one_failed_probe_outweighs_a_blind_one() -> None:
    """Where one probe fails and another could not look, the failure counts."""
    assert after([FAILED + BLIND])[0].status.consecutive_failures == 1


def test_an_engine_out_of_reach_says_nothing() -> None:
    """`unknown` for the whole look changes the health to unknown and nothing else (scenario 21)."""
    status = healthy_status(consecutive_failures=2, lifecycle=Lifecycle.QUARANTINED)
    detection = look(exited(1), status, unknown="could not look: refused")
    assert (kind(detection), detection.status.health) == (None, Health.UNKNOWN)
    assert (detection.status.consecutive_failures, detection.status.lifecycle) == (2, Lifecycle.QUARANTINED)


def test_healthcheck_is_believed_at_once() -> None:
    """The engine has counted its retries already: unhealthy is a failure at the first look (scenario 1)."""
    detection = look(unhealthy(output="db: connection refused"))
    assert kind(detection) is ChangeKind.FAILED
    assert detection.change is not None
    assert "connection refused" in detection.change.reason


def test_healthcheck_counted() -> None:
    """With `engine_verdicts: counted` it is counted like our own probes."""
    config = Config(engine_verdicts=EngineVerdicts.COUNTED, failure_threshold=2)
    first = look(unhealthy(), config=config)
    assert kind(first) is None
    assert kind(look(unhealthy(), first.status, config)) is ChangeKind.FAILED


@pytest.mark.parametrize(
    ("snapshot", "probes"),
    [
        (unhealthy(started_at=at(-59)), ()),
        (running(started_at=at(-59)), FAILED),
        (running(started_at=at(-59)), BLIND),
    ],
)
def test_start_period(snapshot: Any, probes: Any) -> None:
    """Nothing bad counts before the start period is over, and then everything does (scenario 17)."""
    config = Config(start_period=60, failure_threshold=1)
    detection = look(snapshot, healthy_status(started_at=at(-59)), config, probes=probes)
    assert (kind(detection), detection.status.lifecycle) == (None, Lifecycle.STARTING)
    assert detection.status.consecutive_failures == 0
    if probes is not BLIND:
        later = look(snapshot, detection.status, config, now=at(1), probes=probes)
        assert kind(later) is ChangeKind.FAILED


def test_an_exit_in_the_start_period_is_a_failure() -> None:
    """The start period excuses a failing check, not a dead container."""
    ended = exited(1, started_at=at(-12))
    assert kind(look(ended, config=Config(start_period=60))) is ChangeKind.FAILED


def test_starting_is_no_verdict() -> None:
    """A HEALTHCHECK that has not passed yet is neither healthy nor a failure."""
    detection = look(running(health=EngineHealth.STARTING), healthy_status(health=Health.UNKNOWN))
    assert (kind(detection), detection.status.health) == (None, Health.UNKNOWN)
    assert detection.status.lifecycle is Lifecycle.STARTING


def test_unhealthy_because_it_is_being_stopped() -> None:
    """A container that turns unhealthy in the middle of `docker stop -t 60` is not a failure (scenario 13)."""
    status = healthy_status(stop_signal_at=at(-40))
    detection = look(unhealthy(), status)
    assert (kind(detection), detection.status.lifecycle) == (None, Lifecycle.STOPPING)


def test_paused_and_unpaused_seen_by_polling() -> None:
    """After an unpause that no event told of, only a health entry newer than the first look counts (scenario 12)."""
    stale = unhealthy(entry_at=-100)
    paused = look(unhealthy(entry_at=-100, state=EngineState.PAUSED))
    assert (kind(paused), paused.status.lifecycle) == (None, Lifecycle.PAUSED)
    back = look(stale, paused.status, now=at(10))
    assert (kind(back), back.status.unpaused_at) == (None, at(10))
    again = look(stale, back.status, now=at(20))
    assert kind(again) is None
    assert kind(look(unhealthy(entry_at=15), again.status, now=at(20))) is ChangeKind.FAILED


def test_paused_and_unpaused_seen_by_event() -> None:
    """The unpause event's time is the border between old and new verdicts."""
    status = healthy_status(lifecycle=Lifecycle.PAUSED, unpaused_at=at(-5))
    assert kind(look(unhealthy(entry_at=-6), status)) is None
    assert kind(look(unhealthy(entry_at=-4), status)) is ChangeKind.FAILED


def test_a_second_pause_needs_a_newer_verdict_again() -> None:
    """The border of the first unpause does not serve for the second one."""
    status = healthy_status(unpaused_at=at(-300))
    paused = look(unhealthy(entry_at=-100, state=EngineState.PAUSED), status)
    assert kind(look(unhealthy(entry_at=-100), paused.status, now=at(10))) is None


def test_unhealthy_after_a_passed_check_is_a_pause_that_nobody_saw() -> None:
    """`unhealthy` while the newest health entry passed is what the engine says after a pause, and no verdict."""
    assert kind(look(unhealthy(exit_code=0))) is None


def test_healthy_again() -> None:
    """A passed look is told as healthy, with what was seen."""
    status = healthy_status(health=Health.UNHEALTHY, consecutive_failures=3, healthy_since=None)
    detection = look(running(), status, probes=PASSED)
    assert (kind(detection), detection.status.health) == (ChangeKind.HEALTHY, Health.HEALTHY)
    assert (detection.status.consecutive_failures, detection.status.healthy_since) == (0, NOW)
    assert "200" in detection.status.message


def test_success_threshold() -> None:
    """A recovery needs success_threshold passed looks in a row; a failed or blind one begins anew."""
    config = Config(success_threshold=3, failure_threshold=1)
    status = healthy_status(health=Health.UNHEALTHY)
    found = []
    for probes in (PASSED, PASSED, FAILED, PASSED, PASSED, BLIND, PASSED, PASSED, PASSED):
        detection = look(running(), status, config, probes=probes)
        status = detection.status
        found.append(kind(detection) is ChangeKind.HEALTHY)
    assert found == [False] * 8 + [True]


def test_up_for_ten_seconds_where_there_is_nothing_to_ask() -> None:
    """Without a HEALTHCHECK a container that has just started has not proven anything yet."""
    status = healthy_status(health=Health.UNHEALTHY, started_at=at(-9))
    assert kind(look(running(started_at=at(-9)), status)) is None
    assert kind(look(running(started_at=at(-9)), status, now=at(1))) is ChangeKind.HEALTHY
    with_check = running(started_at=at(-2), health=EngineHealth.HEALTHY)
    assert kind(look(with_check, status)) is ChangeKind.HEALTHY


def test_up_again_in_a_crash_loop_is_not_trusted() -> None:
    """Between two ends of a crash loop a container is up, and not healthy."""
    exits = tuple((at(-s - 1).timestamp(), at(-s).timestamp()) for s in (90, 60, 30))
    status = healthy_status(health=Health.UNHEALTHY, exits=exits, started_at=at(-29))
    assert kind(look(running(started_at=at(-29)), status)) is None
    assert kind(look(running(started_at=at(-29)), status, now=at(31))) is ChangeKind.HEALTHY


@pytest.mark.parametrize("health", [EngineHealth.NONE, EngineHealth.STARTING])
def test_a_loop_of_the_engine_is_found_between_two_ends(health: EngineHealth) -> None:
    """A loop that is only ever seen up, because the engine restarts it at once, is a crash loop all the same."""
    exits = tuple((at(-s - 15).timestamp(), at(-s).timestamp()) for s in (60, 45, 30))
    status = healthy_status(exits=exits, started_at=at(-10))
    looping = running(started_at=at(-10), restart_count=3, health=health)
    detection = look(looping, status)
    assert kind(detection) is ChangeKind.FAILED
    assert detection.change is not None
    assert detection.change.failure_type is FailureType.CONTAINER_ERROR
    assert kind(look(looping, detection.status, now=at(51))) is not ChangeKind.FAILED


def test_a_look_without_probes_gives_no_good_news() -> None:
    """A hint's look leaves our probes out: it may find a failure, and no recovery; the probes are asked next."""
    status = healthy_status(health=Health.UNHEALTHY, consecutive_failures=3)
    detection = look(running(), status, partial=True)
    assert (kind(detection), detection.status.health) == (None, Health.UNHEALTHY)
    assert detection.look_again_in is not None
    assert kind(look(unhealthy(), status, partial=True)) is ChangeKind.FAILED


QUARANTINE = {"lifecycle": Lifecycle.QUARANTINED, "health": Health.UNHEALTHY, "quarantined_at": at(-3600)}


@pytest.mark.parametrize(("until", "is_trial"), [(at(1), False), (None, False), (NOW, True), (at(-1), True)])
def test_quarantine_ends_in_a_trial(until: Any, is_trial: bool) -> None:
    """A quarantined container is left alone until its release time, and then gets a trial; None is never."""
    status = healthy_status(**QUARANTINE, quarantine_until=until)
    for snapshot in (unhealthy(), exited(1)):
        detection = look(snapshot, status)
        assert (kind(detection) is ChangeKind.FAILED) is is_trial
        assert detection.change is None or detection.change.is_trial
        assert detection.status.lifecycle is Lifecycle.QUARANTINED


def test_quarantine_ends_with_a_proven_recovery() -> None:
    """Healthy again, or up for ten seconds, ends a quarantine; having just been started does not."""
    status = healthy_status(**QUARANTINE, started_at=at(-9))
    early = look(running(started_at=at(-9)), status)
    assert early.status.lifecycle is Lifecycle.QUARANTINED
    late = look(running(started_at=at(-9)), early.status, now=at(1))
    assert (late.status.lifecycle, late.status.quarantined_at) == (Lifecycle.RUNNING, None)


@pytest.mark.parametrize("snapshot", [exited(0), exited(143), running(state=EngineState.PAUSED)])
def test_quarantine_outlasts_rest(snapshot: Any) -> None:
    """A quarantined container that is stopped, has finished or is paused stays quarantined."""
    status = healthy_status(**QUARANTINE, stop_signal_at=at(-11))
    detection = look(snapshot, status)
    assert (detection.change, detection.status.lifecycle) == (None, Lifecycle.QUARANTINED)


def test_an_exit_in_quarantine_is_no_known_failure_before_it_was_judged() -> None:
    """What is only waited with, while the engine goes first, is then taken for a stop by hand: told once, and no trial."""
    status = healthy_status(**QUARANTINE, quarantine_until=at(-1), consecutive_failures=2)
    away = {"stream_since": at(-5)}
    waiting = look(exited(143), status, **away, grace_until=at(1))
    assert (waiting.change, waiting.status.lifecycle) == (None, Lifecycle.QUARANTINED)
    left = look(exited(143), waiting.status, **away, now=at(2))
    assert kind(left) is ChangeKind.LEFT_ALONE
    assert look(exited(143), left.status, **away, now=at(3)).change is None
    started = look(unhealthy(started_at=at(4)), left.status, now=at(5))
    assert (kind(started), started.status.stopped_by_hand_at) == (ChangeKind.FAILED, None)


def test_the_message_carries_the_newest_output() -> None:
    """Of the health log the newest entry is told, on one line and not without end."""
    entries = tuple(HealthLogEntry(at(n), at(n), n, f"out\n {n} " + "x" * 999) for n in (-2, -1))
    snapshot = running(health=EngineHealth.UNHEALTHY, health_log=entries, started_at=STARTED)
    message = look(snapshot).status.message
    assert "exit code -1: out -1 x" in message
    assert len(message) < 400
