"""From one look at a container to its new status and, where there is one, a change. Pure: `now` is an argument."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from healing.core import lifecycle
from healing.core.config import Config, EngineVerdicts, FoundStopped
from healing.core.exitcodes import meaning
from healing.core.status import Change, ChangeKind, Detection, Seen, Status
from healing.core.types import (
    EngineHealth,
    EngineState,
    FailureType,
    Health,
    Lifecycle,
    ProbeVerdict,
    Snapshot,
)

UP_LONG_ENOUGH = 10.0
"""Seconds a container without anything to ask must be up to count as recovered."""
EVENT_SLACK = 1.5
"""Seconds that an exit may be old and its events still be under way to us."""
SHUTDOWN_LASTS = 30.0
"""An engine that shuts down has stopped its containers by then (its default is 15 s)."""
CLOCKS_APART = 5.0
"""An exit that lies farther in our future is not fresh: the engine's clock is wrong, and waiting would not end."""

NO_VERDICT, PASSED, FAILED, UNKNOWN, PARTIAL = "none", "passed", "failed", "unknown", "partial"
PROBES_NEXT = 1.0


@dataclass(frozen=True, slots=True)
class Finding:
    """What one look says, before counting. `at_once`: the engine has counted already."""

    verdict: str
    lifecycle: Lifecycle
    message: str
    failure_type: FailureType | None = None
    at_once: bool = False
    left_alone: bool = False
    look_again_in: float | None = None


def detect(status: Status, seen: Seen, config: Config, now: datetime) -> Detection:
    """Judge one look. `unknown` never counts against the container; a quarantined one waits for its release."""
    if seen.unknown:
        return Detection(
            replace(status, health=Health.UNKNOWN, message=seen.unknown, consecutive_successes=0)
        )
    if seen.snapshot is None:
        return _gone(status)
    known = _is_known_failure(status, seen.snapshot)
    status = _settle(lifecycle.follow(status, seen.snapshot), seen.snapshot)
    finding = _judge(status, seen, seen.snapshot, config, now, known)
    return _apply(status, finding, seen.snapshot, config, now)


def _gone(status: Status) -> Detection:
    message = "the engine no longer has this container"
    gone = replace(
        status, health=Health.UNKNOWN, lifecycle=Lifecycle.GONE, message=message, consecutive_failures=0
    )
    return Detection(gone, Change(ChangeKind.GONE, "container removed"))


def _is_known_failure(status: Status, snapshot: Snapshot) -> bool:
    """Whether this exit has been judged a failure before: then nobody needs its events any more."""
    failing = status.lifecycle is Lifecycle.QUARANTINED or (
        status.lifecycle is Lifecycle.EXITED and status.consecutive_failures > 0
    )
    return failing and snapshot.finished_at is not None and snapshot.finished_at == status.ended_at


def _settle(status: Status, snapshot: Snapshot) -> Status:
    """Marks that this look ends: what is up was not stopped with its engine; a pause needs an unpause of its own."""
    if snapshot.state is EngineState.RUNNING:
        return replace(status, interrupted_at=None)
    return replace(status, unpaused_at=None) if snapshot.state is EngineState.PAUSED else status


def _judge(
    status: Status, seen: Seen, snapshot: Snapshot, config: Config, now: datetime, known: bool
) -> Finding:
    match snapshot.state:
        case EngineState.RUNNING:
            return _judge_running(status, seen, snapshot, config, now)
        case EngineState.EXITED:
            return _judge_exited(status, seen, snapshot, config, now, known)
        case EngineState.RESTARTING:
            return _judge_restarting(status, snapshot, now)
        case EngineState.PAUSED:
            return Finding(NO_VERDICT, Lifecycle.PAUSED, "paused in the engine")
        case EngineState.DEAD:
            text = f"the engine says dead: {snapshot.error or 'it could not remove the container'}"
            return Finding(FAILED, Lifecycle.DEAD, text, FailureType.CONTAINER_ERROR, at_once=True)
        case EngineState.CREATED:
            return Finding(NO_VERDICT, Lifecycle.NEW, snapshot.error or "created, never started")
        case EngineState.REMOVING:
            return Finding(NO_VERDICT, Lifecycle.STOPPING, "being removed")


def _judge_restarting(status: Status, snapshot: Snapshot, now: datetime) -> Finding:
    if not lifecycle.is_crash_loop(status, now):
        return Finding(NO_VERDICT, Lifecycle.RESTARTING, "the engine is restarting it", look_again_in=2.0)
    return _engine_loops(status, f" ({meaning(snapshot.exit_code)})", now)


def _engine_loops(status: Status, how: str, now: datetime) -> Finding:
    text = f"crash loop: ended {lifecycle.quick_exits(status, now)} times soon after its start{how}"
    return Finding(
        FAILED, Lifecycle.RESTARTING, text, FailureType.CONTAINER_ERROR, at_once=True, look_again_in=5.0
    )


def _judge_exited(
    status: Status, seen: Seen, snapshot: Snapshot, config: Config, now: datetime, known: bool
) -> Finding:
    if lifecycle.was_stopped_by_hand(status, snapshot):
        return Finding(
            NO_VERDICT, Lifecycle.STOPPED_BY_HAND, "stopped by hand; left alone until it is started again"
        )
    if status.lifecycle is Lifecycle.STOPPED_BY_HAND or (
        status.lifecycle is Lifecycle.FINISHED and not config.always_running
    ):
        return Finding(NO_VERDICT, status.lifecycle, status.message)
    if seen.grace_until is not None and now < seen.grace_until:
        return _wait_exited("stopped; the engine has just come back and goes first", seen.grace_until, now)
    if status.interrupted_at is not None and not _ended_meanwhile(snapshot, status.interrupted_at, config):
        return _stopped(snapshot, "stopped together with its engine, and not started again by it")
    ended = snapshot.finished_at
    was_seen = ended is not None and seen.stream_since is not None and ended >= seen.stream_since
    nobody_knows = not was_seen and status.lifecycle is not Lifecycle.NEW
    if not config.always_running and is_finished(snapshot) and not nobody_knows:
        return Finding(NO_VERDICT, Lifecycle.FINISHED, "finished: " + meaning(0))
    if was_seen and ended is not None:
        return _judge_seen_exit(seen, snapshot, ended, now)
    if known:
        return _stopped(snapshot, "")
    return _judge_found_stopped(status, snapshot, config, now)


def _ended_meanwhile(snapshot: Snapshot, interrupted_at: datetime, config: Config) -> bool:
    """Whether a job has come to its end while we could not see its engine, too late for the engine's shutdown."""
    if config.always_running or not is_finished(snapshot) or snapshot.finished_at is None:
        return False
    return snapshot.finished_at > interrupted_at + timedelta(seconds=SHUTDOWN_LASTS)


def _judge_seen_exit(seen: Seen, snapshot: Snapshot, ended: datetime, now: datetime) -> Finding:
    """An exit while its events were being watched: nobody stopped it."""
    age = (now - ended).total_seconds()
    if not seen.by_event and -CLOCKS_APART < age < EVENT_SLACK:
        return _wait_exited("has just exited", ended + timedelta(seconds=EVENT_SLACK), now)
    engine_first = ended + timedelta(seconds=lifecycle.ENGINE_FIRST)
    if (
        lifecycle.engine_restarts(snapshot.restart_policy, snapshot.exit_code, snapshot.restart_count)
        and -CLOCKS_APART < age < lifecycle.ENGINE_FIRST
    ):
        return _wait_exited("exited; the engine's restart policy goes first", engine_first, now)
    return _stopped(snapshot, "")


def _judge_found_stopped(status: Status, snapshot: Snapshot, config: Config, now: datetime) -> Finding:
    """Nobody saw it stop: judged by exit code and restart policy, or as the config says."""
    if config.found_stopped is FoundStopped.HEAL:
        return _stopped(snapshot, "found stopped")
    policy = snapshot.restart_policy
    by_hand = snapshot.exit_code in (0, 143) or (snapshot.exit_code == 137 and not snapshot.oom_killed)
    engine_would = lifecycle.engine_restarts(policy, snapshot.exit_code, snapshot.restart_count)
    if config.found_stopped is FoundStopped.LEAVE or by_hand or (engine_would and not snapshot.oom_killed):
        why = f"restart policy {policy.name}" if engine_would and not by_hand else meaning(snapshot.exit_code)
        text = f"found stopped ({why}), taken as stopped by hand and left alone"
        is_new = status.lifecycle is Lifecycle.NEW
        return Finding(NO_VERDICT, Lifecycle.STOPPED_BY_HAND, text, left_alone=not is_new)
    return _stopped(snapshot, "found stopped")


def is_finished(snapshot: Snapshot) -> bool:
    """Whether an exited container has ended as a job ends: exit 0, and nothing that would run it again."""
    return snapshot.exit_code == 0 and snapshot.restart_policy.name in ("no", "on-failure", "")


def _wait_exited(message: str, until: datetime, now: datetime) -> Finding:
    seconds = max((until - now).total_seconds(), 0.1)
    return Finding(NO_VERDICT, Lifecycle.EXITED, message, look_again_in=seconds)


def _stopped(snapshot: Snapshot, prefix: str) -> Finding:
    text = "; ".join(part for part in (prefix, meaning(snapshot.exit_code)) if part)
    if snapshot.oom_killed:
        text = "; ".join(part for part in (prefix, "out of memory") if part)
        return Finding(FAILED, Lifecycle.EXITED, text, FailureType.CONTAINER_ERROR, at_once=True)
    return Finding(FAILED, Lifecycle.EXITED, text, FailureType.CONTAINER_STOPPED, at_once=True)


def _judge_running(status: Status, seen: Seen, snapshot: Snapshot, config: Config, now: datetime) -> Finding:
    if lifecycle.is_stopping(status, snapshot, now):
        return Finding(NO_VERDICT, Lifecycle.STOPPING, "told to stop by somebody; left alone")
    # An engine whose clock is ahead starts containers in our future.
    uptime = max(0.0, (now - snapshot.started_at).total_seconds()) if snapshot.started_at else 0.0
    trouble = _trouble(status, seen, snapshot, config)
    if trouble is not None:
        if uptime < config.start_period:
            return Finding(
                NO_VERDICT,
                Lifecycle.STARTING,
                f"start period of {config.start_period:g} s: {trouble.message}",
            )
        return trouble
    loops = lifecycle.is_crash_loop(status, now) and uptime < lifecycle.QUICK_EXIT
    if loops and snapshot.restart_count:
        return _engine_loops(status, "; the engine has started it again", now)
    if snapshot.health is EngineHealth.STARTING:
        return Finding(NO_VERDICT, Lifecycle.STARTING, "starting: its HEALTHCHECK has not passed yet")
    if snapshot.health is EngineHealth.UNHEALTHY:
        return Finding(
            NO_VERDICT, Lifecycle.RUNNING, "unhealthy from before its pause; waiting for a newer HEALTHCHECK"
        )
    if loops:
        return Finding(
            NO_VERDICT, Lifecycle.STARTING, "up again in a crash loop; not yet for long enough to be trusted"
        )
    if seen.partial:
        return Finding(PARTIAL, Lifecycle.RUNNING, status.message or "running; its probes are asked next")
    return Finding(PASSED, Lifecycle.RUNNING, _good_news(snapshot, seen))


def _good_news(snapshot: Snapshot, seen: Seen) -> str:
    if seen.probes:
        return "; ".join(f"{probe.name}: {probe.message}" for probe in seen.probes)
    return "HEALTHCHECK passes" if snapshot.health is EngineHealth.HEALTHY else "running"


def _trouble(status: Status, seen: Seen, snapshot: Snapshot, config: Config) -> Finding | None:
    """The engine's own verdict first, then our own probes; `unknown` only where none has failed."""
    if snapshot.health is EngineHealth.UNHEALTHY and is_fresh(status, snapshot):
        text = health_message(snapshot)
        return Finding(FAILED, Lifecycle.RUNNING, text, FailureType.HEALTH_CHECK_FAILED, at_once=True)
    failed = [probe for probe in seen.probes if probe.verdict is ProbeVerdict.FAILED]
    if failed:
        text = "; ".join(f"{probe.name}: {probe.message}" for probe in failed)
        return Finding(FAILED, Lifecycle.RUNNING, text, FailureType.HEALTH_CHECK_FAILED)
    blind = [probe for probe in seen.probes if probe.verdict is ProbeVerdict.UNKNOWN]
    if blind:
        text = "could not look: " + "; ".join(f"{probe.name}: {probe.message}" for probe in blind)
        return Finding(UNKNOWN, Lifecycle.RUNNING, text)
    return None


def is_fresh(status: Status, snapshot: Snapshot) -> bool:
    """Whether the engine's verdict comes from its HEALTHCHECK: a pause alone makes it say `unhealthy` until the next."""
    if snapshot.health_log and snapshot.health_log[-1].exit_code == 0:
        return False
    if status.lifecycle is Lifecycle.PAUSED and status.unpaused_at is None:
        return False
    if status.unpaused_at is None:
        return True
    return any(entry.start > status.unpaused_at for entry in snapshot.health_log)


def health_message(snapshot: Snapshot) -> str:
    if not snapshot.health_log:
        return "HEALTHCHECK fails"
    last = snapshot.health_log[-1]
    output = " ".join(last.output.split())[:300]
    return f"HEALTHCHECK fails with exit code {last.exit_code}" + (f": {output}" if output else "")


def _apply(status: Status, finding: Finding, snapshot: Snapshot, config: Config, now: datetime) -> Detection:
    if (
        status.lifecycle is Lifecycle.PAUSED
        and snapshot.state is EngineState.RUNNING
        and status.unpaused_at is None
    ):
        status = replace(status, unpaused_at=now)
    if finding.verdict == FAILED:
        return _failed(status, finding, config, now, snapshot)
    if finding.verdict == PASSED:
        return _passed(status, finding, snapshot, config, now)
    if finding.verdict == PARTIAL:
        state = status.lifecycle if status.lifecycle is Lifecycle.QUARANTINED else finding.lifecycle
        return Detection(replace(status, lifecycle=state, message=finding.message), None, PROBES_NEXT)
    return _undecided(status, finding)


def _undecided(status: Status, finding: Finding) -> Detection:
    quarantined = status.lifecycle is Lifecycle.QUARANTINED
    at_rest = finding.lifecycle in (Lifecycle.FINISHED, Lifecycle.STOPPED_BY_HAND, Lifecycle.EXITED)
    health = Health.UNKNOWN if at_rest or finding.verdict == UNKNOWN else status.health
    state = status.lifecycle if quarantined else finding.lifecycle
    change = Change(ChangeKind.LEFT_ALONE, finding.message) if finding.left_alone else None
    updated = replace(
        status, health=health, lifecycle=state, message=finding.message, consecutive_successes=0
    )
    if at_rest and finding.lifecycle is not Lifecycle.EXITED:
        updated = replace(updated, consecutive_failures=0, healthy_since=None)
    return Detection(updated, change, finding.look_again_in)


def _passed(status: Status, finding: Finding, snapshot: Snapshot, config: Config, now: datetime) -> Detection:
    successes = status.consecutive_successes + 1
    is_healthy = status.health is Health.HEALTHY or successes >= config.success_threshold
    started = snapshot.started_at
    up = started is None or (now - started).total_seconds() >= UP_LONG_ENOUGH
    proven = is_healthy and (up or snapshot.health is EngineHealth.HEALTHY)
    updated = replace(
        status,
        health=Health.HEALTHY if is_healthy else status.health,
        lifecycle=Lifecycle.RUNNING
        if proven or status.lifecycle is not Lifecycle.QUARANTINED
        else status.lifecycle,
        message=finding.message,
        consecutive_failures=0,
        consecutive_successes=min(successes, 1_000_000),
        healthy_since=(status.healthy_since or now) if is_healthy else None,
        quarantined_at=None if proven else status.quarantined_at,
        quarantine_until=None if proven else status.quarantine_until,
    )
    change = Change(ChangeKind.HEALTHY, finding.message) if proven else None
    return Detection(updated, change)


def _failed(status: Status, finding: Finding, config: Config, now: datetime, snapshot: Snapshot) -> Detection:
    failures = status.consecutive_failures + 1
    at_once = finding.at_once and config.engine_verdicts is EngineVerdicts.IMMEDIATE
    crossed = at_once or failures >= config.failure_threshold
    quarantined = status.lifecycle is Lifecycle.QUARANTINED
    text = finding.message if crossed else f"{finding.message} ({failures} of {config.failure_threshold})"
    updated = replace(
        status,
        health=Health.UNHEALTHY if crossed else status.health,
        lifecycle=status.lifecycle if quarantined else finding.lifecycle,
        message=text,
        consecutive_failures=failures,
        consecutive_successes=0,
        healthy_since=None if crossed else status.healthy_since,
    )
    if not crossed or snapshot.is_swarm_task:
        return Detection(updated, None, finding.look_again_in)
    if quarantined and (status.quarantine_until is None or now < status.quarantine_until):
        return Detection(updated, None)
    change = Change(ChangeKind.FAILED, finding.message, finding.failure_type, is_trial=quarantined)
    return Detection(updated, change, finding.look_again_in)
