"""What to do about a diagnosed failure, and why. Pure: decisions are data with a reason, also "do nothing"."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from healing.core import lifecycle
from healing.core.config import Config
from healing.core.diagnose import Diagnosis
from healing.core.limits import Budget
from healing.core.shedding import may_heal, rank
from healing.core.status import Status
from healing.core.types import EngineHealth, EngineState, Snapshot
from healing.core.window import Window

FLEET_CEILING = 64
"""Heals under way over the whole fleet."""
OBSERVE_EVERY = 10.0
SLOW_START = "slow start"
PUT_OFF = "put off"
HELD = "held"
DRY_RUN = "dry run"
ROOM_AGAIN = 5.0
"""Seconds until a heal that found no room asks again, where no other has ended and handed its place on."""


class Course(StrEnum):
    """ACT now; WAIT and decide again at `not_before`; OBSERVE without acting; QUARANTINE; CLOSE, nothing is wrong.

    DRY_RUN: it would act or quarantine; that is recorded, and nothing is touched.
    """

    ACT = "act"
    WAIT = "wait"
    OBSERVE = "observe"
    QUARANTINE = "quarantine"
    CLOSE = "close"
    DRY_RUN = "dry_run"


@dataclass(frozen=True, slots=True)
class Hold:
    """Why a heal has to wait although it could be done, such as "maintenance window nightly". It is decided again at `until`.

    `incident` is the failure that this one belongs to. `tells`: no other alert tells of what it waits for.
    """

    reason: str
    until: datetime
    incident: int | None = None
    tells: bool = False


@dataclass(frozen=True, slots=True)
class Situation:
    """What the world looks like at the moment of decision. `attempts_tried` are those of this failure
    that the guard has not withdrawn.

    `dry_run_by` names the scope whose dry run forbids to touch anything; empty where none does. `goes_along`: it does
    not fail by itself, and is to be restarted because a container that it needs has come back.
    """

    snapshot: Snapshot
    status: Status
    budget: Budget
    paused_until: datetime | None = None
    paused_by: str = ""
    hold: Hold | None = None
    dry_run_by: str = ""
    goes_along: bool = False
    heals_under_way: int = 0
    window: Window = field(default_factory=Window)
    attempts_tried: int = 0
    forced: bool = False
    is_trial: bool = False


@dataclass(frozen=True, slots=True)
class Decision:
    course: Course
    reason: str
    not_before: datetime | None = None
    incident: int | None = None
    tells: bool = False


def decide(diagnosis: Diagnosis, config: Config, situation: Situation, now: datetime) -> Decision:
    """The first rule that forbids acting wins; a person's demand skips back-off and budget, never a pause."""
    for rule in _RULES:
        decision = rule(diagnosis, config, situation, now)
        if decision is not None:
            return _not_for_company(_only_told(decision, situation, now), situation)
    spent = situation.budget
    text = f"attempt {spent.in_window + 1} of at most {spent.limit} in {config.restart_window:g} s"
    return Decision(
        Course.ACT, f"{diagnosis.cause}; {text}" + ("; asked for by a person" if situation.forced else "")
    )


def _observe(reason: str, now: datetime) -> Decision:
    return Decision(Course.OBSERVE, reason, now + timedelta(seconds=OBSERVE_EVERY))


def _nothing_wrong(_: Diagnosis, config: Config, situation: Situation, now: datetime) -> Decision | None:
    snapshot, status = situation.snapshot, situation.status
    if situation.forced:
        return None
    if snapshot.state is EngineState.EXITED and lifecycle.was_stopped_by_hand(status, snapshot):
        return Decision(Course.CLOSE, "stopped by hand meanwhile")
    if snapshot.state is EngineState.RUNNING and lifecycle.is_stopping(status, snapshot, now):
        return Decision(Course.CLOSE, "told to stop by somebody meanwhile")
    return None


def _swarm(_: Diagnosis, config: Config, situation: Situation, now: datetime) -> Decision | None:
    if not situation.snapshot.is_swarm_task:
        return None
    return _observe("a task of Docker Swarm: Swarm replaces it", now)


def _paused(_: Diagnosis, config: Config, situation: Situation, now: datetime) -> Decision | None:
    if situation.paused_until is not None and now < situation.paused_until:
        return Decision(Course.WAIT, f"paused: {situation.paused_by}", situation.paused_until)
    if situation.snapshot.state is EngineState.PAUSED:
        return _observe("paused in the engine", now)
    return None


def _held(_: Diagnosis, config: Config, situation: Situation, now: datetime) -> Decision | None:
    hold = situation.hold
    if hold is None or situation.forced:
        return None
    return Decision(Course.WAIT, f"{HELD}: {hold.reason}", hold.until, hold.incident, hold.tells)


def _not_ours(diagnosis: Diagnosis, config: Config, situation: Situation, now: datetime) -> Decision | None:
    if not diagnosis.may_act:
        return _observe(diagnosis.why_not, now)
    if situation.snapshot.state in (EngineState.RESTARTING, EngineState.REMOVING):
        return _observe(f"the engine is {situation.snapshot.state.value} it", now)
    if not config.auto_restart and not situation.forced:
        return _observe("auto_restart is off: people are told, nothing is touched", now)
    return None


def _start_period(_: Diagnosis, config: Config, situation: Situation, now: datetime) -> Decision | None:
    started = situation.snapshot.started_at
    if situation.forced or situation.snapshot.state is not EngineState.RUNNING or started is None:
        return None
    if situation.snapshot.health is EngineHealth.UNHEALTHY and config.start_period == 0:
        return None
    until = started + timedelta(seconds=config.start_period)
    return Decision(Course.WAIT, f"start period of {config.start_period:g} s", until) if now < until else None


def _hardly_helps(
    diagnosis: Diagnosis, config: Config, situation: Situation, now: datetime
) -> Decision | None:
    limit = diagnosis.max_attempts
    if limit is None or situation.attempts_tried < limit or situation.forced:
        return None
    return _observe(
        f"{diagnosis.cause}: restarting was tried {limit} time{'s' * (limit > 1)} and does not help", now
    )


def _limits(_: Diagnosis, config: Config, situation: Situation, now: datetime) -> Decision | None:
    spent = situation.budget
    if situation.forced:
        return None
    if situation.is_trial:
        return _trial(situation, now)
    if spent.window_is_spent and spent.is_released:
        return Decision(Course.WAIT, "released by a person: the window has no room yet", spent.frees_at)
    if spent.window_is_spent:
        return Decision(
            Course.QUARANTINE,
            f"budget spent: {spent.in_window} restarts within {config.restart_window:g} s (max_restarts {spent.limit})",
        )
    if spent.row_is_spent:
        return Decision(
            Course.QUARANTINE,
            f"budget spent: {spent.in_row} restarts in a row without a lasting recovery (max_restarts {spent.limit})",
        )
    if spent.not_before is not None and now < spent.not_before:
        return Decision(Course.WAIT, f"back-off of {spent.backoff:g} s", spent.not_before)
    return None


def _trial(situation: Situation, now: datetime) -> Decision | None:
    if situation.attempts_tried:
        return Decision(Course.QUARANTINE, "the trial after quarantine did not help")
    frees_at = situation.budget.frees_at
    if frees_at is not None and now < frees_at:
        return Decision(Course.WAIT, "trial after quarantine: the window has no room yet", frees_at)
    return None


def _dry_run(diagnosis: Diagnosis, config: Config, situation: Situation, now: datetime) -> Decision | None:
    """Stands where everything else would let it act, before what only delays: "would" must be true."""
    if not situation.dry_run_by:
        return None
    return _would(situation, f"{diagnosis.action.value}: {diagnosis.cause}", now)


def _only_told(decision: Decision, situation: Situation, now: datetime) -> Decision:
    """A quarantine too is something that a dry run only tells of."""
    if decision.course is not Course.QUARANTINE or not situation.dry_run_by:
        return decision
    return _would(situation, f"quarantine: {decision.reason}", now)


def _not_for_company(decision: Decision, situation: Situation) -> Decision:
    """A container that works is neither watched nor quarantined because it may not be restarted along with another."""
    if not situation.goes_along or decision.course in (Course.WAIT, Course.CLOSE):
        return decision
    return Decision(Course.CLOSE, f"not restarted along: {decision.reason}")


def _would(situation: Situation, what: str, now: datetime) -> Decision:
    reason = f"{DRY_RUN} of {situation.dry_run_by}: would {what}"
    return Decision(Course.DRY_RUN, reason, now + timedelta(seconds=OBSERVE_EVERY))


def _slow_start(_: Diagnosis, config: Config, situation: Situation, now: datetime) -> Decision | None:
    """Rule of the storm: the host's window has room, or the heal waits for one under way to end."""
    window, in_row = situation.window, situation.budget.in_row
    if situation.forced or window.has_room(in_row, now):
        return None
    if in_row:
        why = "another container of this host is at a later attempt"
    else:
        why = f"{window.first} heals of this host are under way or not verified (window {window.size_at(now):.0f})"
    return Decision(Course.WAIT, f"{SLOW_START}: {why}", now + timedelta(seconds=ROOM_AGAIN))


def _ceiling(_: Diagnosis, config: Config, situation: Situation, now: datetime) -> Decision | None:
    its_rank = 0 if situation.forced else rank(config.priority)
    if may_heal(its_rank, situation.heals_under_way, FLEET_CEILING):
        return None
    kept = f", its last places kept for those above {config.priority}" if its_rank else ""
    return Decision(
        Course.WAIT,
        f"{PUT_OFF}: {situation.heals_under_way} heals are under way (ceiling {FLEET_CEILING}{kept})",
        now + timedelta(seconds=1),
    )


_RULES = (
    _nothing_wrong,
    _swarm,
    _paused,
    _held,
    _not_ours,
    _start_period,
    _hardly_helps,
    _limits,
    _dry_run,
    _slow_start,
    _ceiling,
)
