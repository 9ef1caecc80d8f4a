"""From one look at a container to its new status and, where there is one, a change. Pure: `now` is an argument."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from healing.core import lifecycle
from healing.core.config import Config, EngineVerdicts
from healing.core.exitcodes import meaning
from healing.core.exits import judge_exited
from healing.core.finding import FAILED, NO_VERDICT, PARTIAL, PASSED, UNKNOWN, Finding
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
PROBES_NEXT = 1.0


def detect(status: Status, seen: Seen, config: Config, now: datetime) -> Detection:
    """Judge one look. `unknown` never counts against the container; a quarantined one waits for its release."""
    if seen.unknown:
        return Detection(
            replace(status, health=Health.UNKNOWN, message=seen.unknown, consecutive_successes=0)
        )
    if seen.snapshot is None:
        return _gone(status)
    known = is_known_failure(status, seen.snapshot)
    status = _settle(lifecycle.follow(status, seen.snapshot), seen.snapshot)
    finding = _judge(status, seen, seen.snapshot, config, now, known)
    if finding.verdict == NO_VERDICT and finding.lifecycle is Lifecycle.EXITED and not known:
        # What failed before it ended says nothing of the end: it is not judged yet, and must not look as if it were.
        status = replace(status, consecutive_failures=0)
    return _apply(status, finding, seen, seen.snapshot, config, now)


def _gone(status: Status) -> Detection:
    message = "the engine no longer has this container"
    gone = replace(
        status,
        health=Health.UNKNOWN,
        lifecycle=Lifecycle.GONE,
        message=message,
        consecutive_failures=0,
        quarantined_at=None,
        quarantine_until=None,
    )
    return Detection(gone, Change(ChangeKind.GONE, "container removed"))


def is_known_failure(status: Status, snapshot: Snapshot) -> bool:
    """Whether this exit has been judged a failure before: then nobody needs its events any more."""
    stands = status.lifecycle in (Lifecycle.EXITED, Lifecycle.QUARANTINED)
    failing = stands and status.consecutive_failures > 0
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
            return judge_exited(status, seen, snapshot, config, now, known)
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


def _apply(
    status: Status, finding: Finding, seen: Seen, snapshot: Snapshot, config: Config, now: datetime
) -> Detection:
    if (
        status.lifecycle is Lifecycle.PAUSED
        and snapshot.state is EngineState.RUNNING
        and status.unpaused_at is None
    ):
        status = replace(status, unpaused_at=now)
    if finding.verdict == FAILED:
        return _failed(_counted(status, seen), finding, config, now, snapshot)
    if finding.verdict == PASSED:
        return _passed(status, finding, snapshot, config, now)
    if finding.verdict == PARTIAL:
        state = status.lifecycle if status.lifecycle is Lifecycle.QUARANTINED else finding.lifecycle
        return Detection(replace(status, lifecycle=state, message=finding.message), None, PROBES_NEXT)
    return _undecided(status, finding, snapshot)


def _counted(status: Status, seen: Seen) -> Status:
    """With the failures that went before this one. They count only now that this look has found one itself."""
    return replace(status, consecutive_failures=max(status.consecutive_failures, seen.counted))


def _undecided(status: Status, finding: Finding, snapshot: Snapshot) -> Detection:
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
        if not quarantined:
            # Of the container that this one has replaced: it would not be seen to be well.
            updated = replace(updated, quarantined_at=None, quarantine_until=None)
    if quarantined and finding.left_alone:
        # Its state does not say so: without the mark it would be told again, and get its trial.
        updated = replace(updated, stopped_by_hand_at=_ended_at(snapshot))
    return Detection(updated, change, finding.look_again_in)


def _ended_at(snapshot: Snapshot) -> datetime | None:
    """When the run ended; not before its start, also where the engine's clock was set back since."""
    return max((at for at in (snapshot.started_at, snapshot.finished_at) if at is not None), default=None)


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
