"""Restart, or another action in its place: guard, commit, and call the engine once."""

from __future__ import annotations

import logging
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta

from django.db import transaction

from healing.core.alertnames import AlertName
from healing.core.errors import (
    ActionTimedOut,
    ConfigError,
    ContainerNotFound,
    EngineRefused,
    EngineUnreachable,
    PluginError,
)
from healing.core.ports import Engine
from healing.core.types import ActionKind, AlertLevel, Snapshot
from healing.effective import config_book, known_book
from healing.models import Attempt, AttemptState, FailureRecord, Stage
from healing.pipeline import acting, alerts, answers, guard
from healing.pipeline.engines import reachable
from healing.pipeline.handsoff import leave, taken_out
from healing.pipeline.own_container import is_own_container
from healing.pipeline.poison import set_aside
from healing.store import clock, heals
from healing.store.clock import db_now
from healing.store.durability import settles_now
from healing.store.heals import CALL_SLACK, Next
from healing.store.windows import BLIND_REASON

logger = logging.getLogger(__name__)

LEASE_SLACK = 25.0
LEASE_BEFORE_RECREATE = 60.0
"""Each of the several inspections before it may last as long as the engine's answers may."""
RETRY_IN = 5.0
HELD_UP = timedelta(seconds=LEASE_SLACK - CALL_SLACK)
"""A worker that took longer from its commit to its call does not call: the lease would not outlast the engine's answer."""
LONGEST_LOOK = HELD_UP + timedelta(seconds=10)
"""So old, a look says too little about the moment of the call, however long the engine took to answer it."""


@dataclass(frozen=True, slots=True)
class _Look:
    """The container as the engine has shown it: asked, and answered, at these times of the steady clock."""

    snapshot: Snapshot | None
    asked: float
    answered: float

    def is_old(self) -> bool:
        now = clock.steady()
        since_answer = now - self.answered > HELD_UP.total_seconds()
        return since_answer or now - self.asked > LONGEST_LOOK.total_seconds()


def run(failure_id: int, stage: Stage = Stage.RESTART) -> Next | None:
    """Carry out the open attempt of a heal. At most one engine call is made for each attempt."""
    lease = LEASE_BEFORE_RECREATE if stage is Stage.RECREATE else LEASE_SLACK
    failure = heals.claim(failure_id, stage, lease)
    if failure is None or set_aside(failure):
        return None
    attempt = failure.attempts.order_by("-number").first()
    if attempt is None or attempt.state not in (AttemptState.INTENDED, AttemptState.CALLED):
        heals.move(failure, Stage.DIAGNOSE, db_now(), reason="no attempt was open")
        return Next(Stage.DIAGNOSE, failure.pk, failure.priority)
    if _was_left(failure, attempt):
        return None
    try:
        engine = reachable(failure.container.host)
        look = _look(engine, failure, attempt)
        call = acting.prepare(engine, look.snapshot, failure.container, attempt, known_book())
        if look.is_old():
            look = _look(engine, failure, attempt)
    except (PluginError, ConfigError) as error:
        return _could_not_look(failure, attempt, error)
    if attempt.state == AttemptState.CALLED:
        return answers.taken_over(failure, attempt, look.snapshot)
    guard.read_anew(failure)
    return None if _was_left(failure, attempt) else _guarded(failure, attempt, engine, look, call)


def recreate(failure_id: int) -> Next | None:
    """The same for a container that is to be made anew."""
    return run(failure_id, Stage.RECREATE)


def _look(engine: Engine, failure: FailureRecord, attempt: Attempt) -> _Look:
    asked = clock.steady()
    snapshot = acting.find_now(engine, failure.container, attempt)
    return _Look(snapshot, asked, clock.steady())


def _could_not_look(failure: FailureRecord, attempt: Attempt, error: Exception) -> Next | None:
    """It is tried again; what would not be called any more is decided anew instead."""
    why_not = guard.outdated(failure, attempt) if attempt.state == AttemptState.INTENDED else ""
    if why_not:
        return answers.withdrawn(failure, attempt, why_not)
    reason = f"{BLIND_REASON}: {error}"
    heals.move(failure, Stage(failure.stage), db_now() + timedelta(seconds=RETRY_IN), reason=reason)
    return None


def _was_left(failure: FailureRecord, attempt: Attempt) -> bool:
    out = taken_out(failure, forced=guard.was_forced(attempt))
    if out:
        leave(failure, out)
    return bool(out)


def _guarded(
    failure: FailureRecord, attempt: Attempt, engine: Engine, look: _Look, call: acting.Call
) -> Next | None:
    snapshot = look.snapshot
    why_not = guard.why_not(failure, attempt, snapshot, config_book())
    if why_not or snapshot is None:
        return answers.withdrawn(failure, attempt, why_not)
    if is_own_container(snapshot.id):
        _leave_to_another(failure, attempt)
        return None
    if why_not := call.why_not or guard.outdated(failure, attempt):
        return answers.withdrawn(failure, attempt, why_not)
    if look.is_old():
        stage = Stage(failure.stage)
        heals.move(failure, stage, db_now(), reason="held up since the look at the container: it looks again")
        return Next(stage, failure.pk, failure.priority)
    return _call(failure, attempt, engine, look, snapshot, call)


def _leave_to_another(failure: FailureRecord, attempt: Attempt) -> None:
    """This process runs in that very container, and would die in the middle of the call."""
    reason = "this worker runs in that container itself: left to a worker elsewhere, or to a person"
    config = config_book().config(failure.container)
    with transaction.atomic():
        title = f"{failure.container_name} is Selfheal itself and needs a restart"
        text = f"{failure.error_message}\n{reason.capitalize()}."
        alerts.failure(
            failure,
            config,
            AlertLevel.ERROR,
            title,
            text,
            name=AlertName.OWN_CONTAINER_FAILED,
            attempts=[attempt],
            next_step="A worker elsewhere restarts it, or a person; this one asks again every few seconds.",
        )
        heals.move(failure, Stage(failure.stage), db_now() + timedelta(seconds=RETRY_IN), reason=reason)


def _call(
    failure: FailureRecord,
    attempt: Attempt,
    engine: Engine,
    look: _Look,
    snapshot: Snapshot,
    call: acting.Call,
) -> Next | None:
    """Commit that the call is being made, make it, and write the answer under the same fence."""
    now = db_now()
    lease_until = now + timedelta(seconds=attempt.stop_timeout + LEASE_SLACK)
    with settles_now():
        heals.write(
            failure,
            lease_until=lease_until,
            due_at=heals.take_over_at(lease_until, attempt.stop_timeout),
            reason=attempt.reason,
        )
        Attempt.objects.filter(pk=attempt.pk).update(state=AttemptState.CALLED, called_at=now)
        attempt.called_at = now
    _log(failure, attempt)
    if db_now() - now > HELD_UP or look.is_old():
        return answers.withdrawn(failure, attempt, "its worker was held up before the call")
    try:
        deadline = attempt.stop_timeout + CALL_SLACK
        acting.make(engine, snapshot, failure.container, attempt, call, deadline)
    except ActionTimedOut as error:
        return answers.answered(failure, attempt, snapshot, f"no answer in time: {error}", ambiguous=True)
    except ContainerNotFound:
        answers.removed(failure, attempt)
        return None
    except (EngineUnreachable, EngineRefused) as error:
        return answers.refused(failure, attempt, f"engine unreachable: {error}", unreachable=True)
    except PluginError as error:
        return answers.refused(failure, attempt, str(error), _left(engine, failure, attempt))
    return answers.answered(failure, attempt, snapshot, "accepted", ambiguous=False)


def _left(engine: Engine, failure: FailureRecord, attempt: Attempt) -> Snapshot | None:
    """The container as a refused call has left it; None where the engine does not say."""
    with suppress(PluginError):
        return acting.find_now(engine, failure.container, attempt)
    return None


def _log(failure: FailureRecord, attempt: Attempt) -> None:
    ids = {"container": failure.container_name, "failure": failure.pk, "attempt": attempt.number}
    extra: dict[str, object] = {"action": "restart", **ids}
    if attempt.action == ActionKind.RECREATE:
        extra = {"action": "recreate", **ids}
    logger.info("%s of %s", attempt.action, failure.container_name, extra=extra)
