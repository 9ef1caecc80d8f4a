"""Whether an attempt has worked. A restart that the engine accepted is not a recovery. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from healing.core.config import Config
from healing.core.detect import UP_LONG_ENOUGH, health_message
from healing.core.exitcodes import meaning
from healing.core.exits import is_finished
from healing.core.types import EngineHealth, EngineState, ExecResult, ProbeResult, ProbeVerdict, Snapshot

FIRST_LOOK = 1.0
LATER_LOOK = 2.0
"""Seconds until a first look that nobody waits for, while the engine is at work on others; its own `healthy` comes before."""
GROWTH = 1.6
LONGEST_PAUSE = 30.0


@dataclass(frozen=True, slots=True)
class Verified:
    reason: str


@dataclass(frozen=True, slots=True)
class NotVerified:
    reason: str


@dataclass(frozen=True, slots=True)
class Wait:
    until: datetime
    reason: str


Verdict = Verified | NotVerified | Wait


@dataclass(frozen=True, slots=True)
class Trial:
    """One attempt as verification sees it. `call_ended`: the engine has answered, so no start can be still to come.

    `may_finish`: exit 0 is a job well done. `start_period`: seconds in which an unhealthy HEALTHCHECK does not count.
    """

    guard_engine_id: str
    guard_started_at: datetime | None
    verify_until: datetime
    looks: int = 0
    call_ended: bool = True
    may_finish: bool = False
    start_period: float = 0.0
    answered_at: datetime | None = None


def deadline(answered_at: datetime, snapshot: Snapshot | None, config: Config) -> datetime:
    """Until when a container may become healthy: verify_timeout after the end of its start period."""
    own = snapshot.health_command.start_period if snapshot is not None else 0.0
    return answered_at + timedelta(seconds=max(config.start_period, own) + config.verify_timeout)


def verify(
    trial: Trial,
    snapshot: Snapshot | None,
    health_command: ExecResult | None,
    probes: Sequence[ProbeResult],
    now: datetime,
) -> Verdict:
    """`health_command` is our own run of the container's HEALTHCHECK, None where it was not or could not be run."""
    if snapshot is None:
        return NotVerified("the container was removed")
    if not _has_started(trial, snapshot):
        return _not_started(trial, snapshot, now)
    if snapshot.state in (EngineState.EXITED, EngineState.DEAD):
        if trial.may_finish and is_finished(snapshot):
            return Verified("finished: " + meaning(0))
        return NotVerified(f"stopped again: {meaning(snapshot.exit_code)}")
    if snapshot.state is EngineState.RUNNING:
        verdict = _judge_running(trial, snapshot, health_command, probes, now)
        if verdict is not None:
            return verdict
    if now >= trial.verify_until:
        return NotVerified(f"not healthy in time: {_last_news(snapshot, health_command, probes)}")
    return Wait(
        min(_next_look(trial, snapshot, now), trial.verify_until),
        _last_news(snapshot, health_command, probes),
    )


def _has_started(trial: Trial, snapshot: Snapshot) -> bool:
    if snapshot.id != trial.guard_engine_id:
        return True
    return snapshot.started_at is not None and snapshot.started_at != trial.guard_started_at


def _not_started(trial: Trial, snapshot: Snapshot, now: datetime) -> Verdict:
    if trial.call_ended:
        return NotVerified(f"the engine has not started it ({snapshot.state.value})")
    if now >= trial.verify_until:
        return NotVerified("the engine did not answer, and has not started it")
    return Wait(
        min(now + timedelta(seconds=_pause(trial, 5.0)), trial.verify_until),
        "waiting for the engine to start it",
    )


def _judge_running(
    trial: Trial,
    snapshot: Snapshot,
    health_command: ExecResult | None,
    probes: Sequence[ProbeResult],
    now: datetime,
) -> Verdict | None:
    started = _started_at(trial, snapshot, now)
    up = (now - started).total_seconds() if started else 0.0
    if snapshot.health is EngineHealth.UNHEALTHY:
        return (
            NotVerified("unhealthy again: " + health_message(snapshot)) if up >= trial.start_period else None
        )
    verdicts = {probe.verdict for probe in probes}
    if ProbeVerdict.FAILED in verdicts or (ProbeVerdict.UNKNOWN in verdicts and now < trial.verify_until):
        return None
    asked = [probe.name for probe in probes if probe.verdict is ProbeVerdict.PASSED]
    if snapshot.health_command.argv or snapshot.health is not EngineHealth.NONE:
        if snapshot.health is EngineHealth.HEALTHY:
            asked.append("HEALTHCHECK")
        elif health_command is not None and health_command.exit_code == 0:
            asked.append("its health command, run by us,")
        else:
            return None
    if asked:
        return Verified(f"healthy again: {', '.join(asked)} passed")
    return Verified(f"up for {up:.0f} s") if up >= UP_LONG_ENOUGH else None


def _started_at(trial: Trial, snapshot: Snapshot, now: datetime) -> datetime | None:
    """An engine whose clock is ahead has started it in our future: then the time of its answer counts."""
    started = snapshot.started_at
    return trial.answered_at if started is not None and started > now and trial.answered_at else started


def _next_look(trial: Trial, snapshot: Snapshot, now: datetime) -> datetime:
    started = _started_at(trial, snapshot, now)
    if not snapshot.health_command.argv and started is not None:
        up_at = started + timedelta(seconds=UP_LONG_ENOUGH)
        if up_at > now:
            return up_at
    return now + timedelta(seconds=_pause(trial, min(snapshot.health_command.interval, LONGEST_PAUSE)))


def _pause(trial: Trial, longest: float) -> float:
    return max(min(FIRST_LOOK * GROWTH**trial.looks, longest), 0.5)


def _last_news(snapshot: Snapshot, health_command: ExecResult | None, probes: Sequence[ProbeResult]) -> str:
    failing = [f"{p.name}: {p.message}" for p in probes if p.verdict is not ProbeVerdict.PASSED]
    if failing:
        return "; ".join(failing)
    if health_command is not None and health_command.exit_code != 0:
        output = " ".join(health_command.output.split())[:200]
        return f"its health command answers {health_command.exit_code}" + (f": {output}" if output else "")
    if snapshot.health is not EngineHealth.NONE:
        return f"health is {snapshot.health.value}"
    return f"state is {snapshot.state.value}"
