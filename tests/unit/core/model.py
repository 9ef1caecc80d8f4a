"""The loop in memory: one container, and a shell that only asks the core and does what it says."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from healing.core import lifecycle, verify
from healing.core.config import Config
from healing.core.decide import Course, Situation, decide
from healing.core.detect import detect
from healing.core.diagnose import diagnose
from healing.core.evidence import Evidence
from healing.core.limits import Budget, PastAttempt, attempts_in_row, budget
from healing.core.status import ChangeKind, Detection, Seen, Status
from healing.core.types import (
    EngineHealth,
    EngineState,
    FailureType,
    Health,
    HealthLogEntry,
    Lifecycle,
    Snapshot,
)
from tests.unit.core.build import NOW, STARTED, WATCHED_SINCE, running

SETTLES_IN = 2.0
"""Seconds after a start at which the modelled container is healthy or has failed."""


@dataclass(slots=True)
class World:
    """One container on an engine that restarts nothing by itself. `cured`: the next start works."""

    checked: bool
    now: datetime = NOW
    cured: bool = False
    calls: int = 0
    snapshot: Snapshot = field(default_factory=running)
    settles_at: datetime | None = None

    def __post_init__(self) -> None:
        self.snapshot = running(health=self._health(EngineHealth.HEALTHY))

    def _health(self, word: EngineHealth) -> EngineHealth:
        return word if self.checked else EngineHealth.NONE

    def advance(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)
        if self.snapshot.state is not EngineState.RUNNING:
            return
        if self.snapshot.health is EngineHealth.UNHEALTHY:
            self.turn_unhealthy()
        if self.settles_at is None or self.now < self.settles_at:
            return
        at, self.settles_at = self.settles_at, None
        if self.cured:
            self.snapshot = replace(self.snapshot, health=self._health(EngineHealth.HEALTHY))
        elif self.checked:
            self.turn_unhealthy(at)
        else:
            self.end(1, at)

    def start(self) -> None:
        self.now += timedelta(milliseconds=1)
        self.snapshot = running(
            started_at=self.now,
            finished_at=self.snapshot.finished_at,
            health=self._health(EngineHealth.STARTING),
        )
        self.settles_at = self.now + timedelta(seconds=SETTLES_IN)

    def end(self, exit_code: int, at: datetime | None = None, *, oom: bool = False) -> None:
        facts = {
            "state": EngineState.EXITED,
            "exit_code": exit_code,
            "finished_at": at or self.now,
            "oom_killed": oom,
        }
        self.snapshot = replace(self.snapshot, **facts)
        self.settles_at = None

    def turn_unhealthy(self, at: datetime | None = None) -> None:
        entry = HealthLogEntry(at or self.now, at or self.now, 1, "no answer")
        self.snapshot = replace(self.snapshot, health=EngineHealth.UNHEALTHY, health_log=(entry,))


@dataclass(slots=True)
class Try:
    """One attempt. `in_row` and `backoff` are what the budget said of it."""

    intent_at: datetime
    detected_at: datetime
    guard: datetime | None
    spent: Budget
    is_trial: bool
    ended_at: datetime | None = None
    verified_at: datetime | None = None
    verify_until: datetime | None = None
    looks: int = 0


@dataclass(slots=True)
class Failure:
    detected_at: datetime
    due_at: datetime
    failure_type: FailureType
    is_trial: bool
    stage: str = "diagnose"
    tries: int = 0


class Shell:
    """Detect, decide, act, verify, with nothing else in it; `closed` holds the reason of each failure's end."""

    def __init__(self, config: Config, *, checked: bool) -> None:
        self.config, self.world = config, World(checked)
        self.status = Status(Health.HEALTHY, Lifecycle.RUNNING, started_at=STARTED)
        self.failure: Failure | None = None
        self.tries: list[Try] = []
        self.released: list[datetime] = []
        self.closed: list[str] = []

    def look(self, unknown: str = "") -> Detection:
        seen = Seen(self.world.snapshot, unknown=unknown, stream_since=WATCHED_SINCE, by_event=True)
        detection = detect(self.status, seen, self.config, self.world.now)
        self.status = detection.status
        change = detection.change
        if change is not None and change.kind is ChangeKind.FAILED and self.failure is None:
            assert change.failure_type is not None
            self.failure = Failure(self.world.now, self.world.now, change.failure_type, change.is_trial)
        elif self.failure is not None and self.failure.stage in ("diagnose", "observe"):
            rests = self.status.lifecycle in (Lifecycle.STOPPED_BY_HAND, Lifecycle.FINISHED)
            if (change is not None and change.kind is ChangeKind.HEALTHY) or rests:
                self._close(detection.status.message)
        return detection

    def work(self) -> None:
        """Move an open failure by one stage, where it is due."""
        failure = self.failure
        if failure is None or failure.due_at > self.world.now:
            return
        {"diagnose": self._decide, "observe": self._decide, "act": self._act, "verify": self._verify}[
            failure.stage
        ](failure)

    def budget(self, failure: Failure) -> Budget:
        released = self.released[-1] if self.released else None
        return budget(self._past(), failure.detected_at, self.config, self.world.now, released)

    def _past(self) -> list[PastAttempt]:
        return [
            PastAttempt(t.intent_at, t.detected_at, t.ended_at, t.verified_at) for t in reversed(self.tries)
        ]

    def _decide(self, failure: Failure) -> None:
        if not self._is_failing():
            self._move(failure, failure.stage, 2.0)
            self.look()
            return
        world, spent = self.world, self.budget(failure)
        row = attempts_in_row(self._past(), failure.detected_at)
        diagnosis = diagnose(
            Evidence(failure.failure_type, "", world.snapshot, self.status, world.now, attempts_in_row=row)
        )
        situation = Situation(
            world.snapshot, self.status, spent, attempts_tried=failure.tries, is_trial=failure.is_trial
        )
        decision = decide(diagnosis, self.config, situation, world.now)
        assert decision.reason
        match decision.course:
            case Course.ACT:
                started = world.snapshot.started_at
                self.tries.append(Try(world.now, failure.detected_at, started, spent, failure.is_trial))
                failure.tries += 1
                self._move(failure, "act", 0)
            case Course.WAIT | Course.OBSERVE:
                assert decision.not_before is not None
                failure.stage = "diagnose" if decision.course is Course.WAIT else "observe"
                failure.due_at = decision.not_before
            case Course.QUARANTINE:
                self._quarantine(decision.reason)
            case Course.CLOSE:
                self._close(decision.reason)

    def _is_failing(self) -> bool:
        seen = Seen(self.world.snapshot, stream_since=WATCHED_SINCE, by_event=True)
        change = detect(self.status, seen, self.config, self.world.now).change
        if change is not None:
            return change.kind is ChangeKind.FAILED
        failure, last = self.failure, self.tries[-1] if self.tries else None
        tried = failure is not None and failure.tries > 0 and last is not None and last.ended_at is not None
        started = self.world.snapshot.started_at
        newer = (
            self.world.snapshot.is_running
            and last is not None
            and started is not None
            and last.ended_at is not None
        )
        return tried and not (
            newer and last is not None and last.ended_at is not None and started > last.ended_at
        )

    def _act(self, failure: Failure) -> None:
        world, attempt = self.world, self.tries[-1]
        if world.snapshot.started_at != attempt.guard:
            attempt.verify_until = verify.deadline(world.now, world.snapshot, self.config)
            self._move(failure, "verify", 0)
        elif self._is_a_persons():
            attempt.ended_at = world.now
            self._move(failure, "diagnose", 0)
        else:
            world.calls += 1
            world.start()
            attempt.verify_until = verify.deadline(world.now, world.snapshot, self.config)
            self._move(failure, "verify", 1.0)

    def _is_a_persons(self) -> bool:
        snapshot, status = self.world.snapshot, lifecycle.follow(self.status, self.world.snapshot)
        by_hand = lifecycle.was_stopped_by_hand(status, snapshot) and snapshot.state is EngineState.EXITED
        stopping = snapshot.is_running and lifecycle.is_stopping(status, snapshot, self.world.now)
        return snapshot.state is EngineState.PAUSED or by_hand or stopping

    def _verify(self, failure: Failure) -> None:
        world, attempt = self.world, self.tries[-1]
        assert attempt.verify_until is not None
        trial = verify.Trial("c1", attempt.guard, attempt.verify_until, attempt.looks)
        verdict = verify.verify(trial, world.snapshot, None, (), world.now)
        attempt.looks += 1
        match verdict:
            case verify.Wait(until, _):
                failure.due_at = until
            case verify.NotVerified():
                attempt.ended_at = world.now
                self.status = lifecycle.follow(self.status, world.snapshot)
                self._move(failure, "diagnose", 0)
            case verify.Verified(reason):
                attempt.ended_at = attempt.verified_at = world.now
                status = lifecycle.follow(self.status, world.snapshot)
                self.status = replace(
                    status, health=Health.HEALTHY, lifecycle=Lifecycle.RUNNING, quarantine_until=None
                )
                self._close(reason)

    def _move(self, failure: Failure, stage: str, seconds: float) -> None:
        failure.stage, failure.due_at = stage, self.world.now + timedelta(seconds=seconds)

    def _quarantine(self, reason: str) -> None:
        release = self.config.quarantine_release
        until = self.world.now + timedelta(seconds=release) if release else None
        self.status = replace(
            self.status,
            lifecycle=Lifecycle.QUARANTINED,
            quarantined_at=self.world.now,
            quarantine_until=until,
        )
        self._close(f"quarantined: {reason}")

    def _close(self, reason: str) -> None:
        assert reason
        self.closed.append(reason)
        self.failure = None
