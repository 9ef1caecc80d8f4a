"""Restart: guard, commit, call the engine once, write down its answer."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

from django.db import transaction

from healing.actions.restart import restart
from healing.core import lifecycle
from healing.core.config import Config
from healing.core.errors import (
    ActionTimedOut,
    ConfigError,
    ContainerNotFound,
    EngineRefused,
    EngineUnreachable,
    PluginError,
)
from healing.core.ports import Engine
from healing.core.types import (
    ActionKind,
    ActionResult,
    AlertLevel,
    EngineHealth,
    EngineState,
    FailureType,
    Snapshot,
)
from healing.core.verify import FIRST_LOOK, deadline
from healing.core.window import after_failed
from healing.effective import ConfigBook, config_book
from healing.models import Attempt, AttemptState, FailureRecord, Stage
from healing.pipeline import alerts
from healing.pipeline.engines import find, reachable
from healing.pipeline.handsoff import leave, taken_out
from healing.pipeline.own_container import is_own_container
from healing.store import heals, statuses, windows
from healing.store.clock import db_now
from healing.store.durability import settles_now
from healing.store.heals import Next

logger = logging.getLogger(__name__)

CALL_SLACK = 20.0
"""Seconds beyond the stop timeout that the engine may take to answer."""
LEASE_SLACK = 25.0
RETRY_IN = 5.0
LOOP_ATTEMPTS = 3
OUTDATED = timedelta(seconds=600)
"""A decision that has waited for longer is made anew."""


def run(failure_id: int) -> Next | None:
    """Carry out the open attempt of a heal. At most one engine call is made for each attempt."""
    failure = heals.claim(failure_id, Stage.RESTART, LEASE_SLACK)
    if failure is None:
        return None
    attempt = failure.attempts.order_by("-number").first()
    if attempt is None or attempt.state not in (AttemptState.INTENDED, AttemptState.CALLED):
        heals.move(failure, Stage.DIAGNOSE, db_now(), reason="no attempt was open")
        return Next(Stage.DIAGNOSE, failure.pk, failure.priority)
    out = taken_out(failure, forced=_was_forced(attempt))
    if out:
        leave(failure, out)
        return None
    try:
        engine = reachable(failure.container.host)
        snapshot = find(engine, failure.container)
    except (PluginError, ConfigError) as error:
        heals.move(
            failure, Stage.RESTART, db_now() + timedelta(seconds=RETRY_IN), reason=f"could not look: {error}"
        )
        return None
    if attempt.state == AttemptState.CALLED:
        return _take_over(failure, attempt, snapshot)
    book = config_book()
    why_not = _guard(failure, attempt, snapshot, book)
    if why_not or snapshot is None:
        return _withdraw(failure, attempt, why_not)
    if is_own_container(snapshot.id):
        _leave_to_another(failure)
        return None
    if why_not := _outdated(failure, attempt):
        return _withdraw(failure, attempt, why_not)
    return _call(failure, attempt, engine, snapshot)


def _guard(failure: FailureRecord, attempt: Attempt, snapshot: Snapshot | None, book: ConfigBook) -> str:
    """Why the call must not be made, or empty: the world may have moved on since the decision."""
    if snapshot is None:
        return "the container was removed"
    if (snapshot.id, snapshot.started_at) != (attempt.guard_engine_id, attempt.guard_started_at):
        return "it was started meanwhile"
    if snapshot.state in (EngineState.PAUSED, EngineState.RESTARTING, EngineState.REMOVING):
        return f"it is {snapshot.state.value} by now"
    now = db_now()
    paused_until, paused_by = book.paused(failure.container, now)
    if paused_until is not None:
        return f"paused: {paused_by}"
    status = lifecycle.follow(statuses.to_core(failure.container.health), snapshot)
    if lifecycle.was_stopped_by_hand(status, snapshot) and snapshot.state is EngineState.EXITED:
        return "stopped by hand meanwhile" if not _was_forced(attempt) else ""
    if snapshot.is_running and lifecycle.is_stopping(status, snapshot, now) and not _was_forced(attempt):
        return "told to stop by somebody meanwhile"
    is_healthy = not _was_forced(attempt) and _is_healthy(failure, snapshot, book)
    return "healthy again meanwhile" if is_healthy else ""


def _is_healthy(failure: FailureRecord, snapshot: Snapshot, book: ConfigBook) -> bool:
    """Whether the engine's word is enough: where there are probes of ours too, the checks have to tell."""
    is_healthy = snapshot.state is EngineState.RUNNING and snapshot.health is EngineHealth.HEALTHY
    return is_healthy and not book.probes(failure.container)


def _outdated(failure: FailureRecord, attempt: Attempt) -> str:
    """Why the decision no longer counts, or empty: what our own probes said then may have changed out of our sight."""
    lost = failure.container.host.state_since
    if lost is not None and lost > attempt.intent_at:
        return "the engine was out of reach since the decision"
    return "decided too long ago" if db_now() - attempt.intent_at > OUTDATED else ""


def _leave_to_another(failure: FailureRecord) -> None:
    """This process runs in that very container, and would die in the middle of the call."""
    reason = "this worker runs in that container itself: left to a worker elsewhere, or to a person"
    config = config_book().config(failure.container)
    with transaction.atomic():
        title = f"{failure.container_name} is Selfheal itself and needs a restart"
        alerts.failure(
            failure, config, AlertLevel.ERROR, title, f"{failure.error_message}\n{reason.capitalize()}."
        )
        heals.move(failure, Stage.RESTART, db_now() + timedelta(seconds=RETRY_IN), reason=reason)


def _was_forced(attempt: Attempt) -> bool:
    return "asked for by a person" in attempt.reason


def _withdraw(failure: FailureRecord, attempt: Attempt, reason: str) -> Next:
    """Nothing is called. If it was started meanwhile, that start is verified; else decide anew."""
    now = db_now()
    with transaction.atomic():
        if reason == "it was started meanwhile":
            until = _verify_until(failure, now)
            _end(attempt, AttemptState.VERIFYING, outcome=reason, answered_at=now, verify_until=until)
            heals.move(failure, Stage.VERIFY, now)
            return Next(Stage.VERIFY, failure.pk, failure.priority)
        _end(attempt, AttemptState.WITHDRAWN, outcome=reason, ended_at=now)
        heals.move(failure, Stage.DIAGNOSE, now, reason=reason)
    return Next(Stage.DIAGNOSE, failure.pk, failure.priority)


def _end(attempt: Attempt, state: AttemptState, **fields: str | datetime | None) -> None:
    Attempt.objects.filter(pk=attempt.pk).update(state=state, **fields)
    attempt.state = state


def _verify_until(failure: FailureRecord, now: datetime, snapshot: Snapshot | None = None) -> datetime:
    return deadline(now, snapshot, config_book().config(failure.container))


def _call(failure: FailureRecord, attempt: Attempt, engine: Engine, snapshot: Snapshot) -> Next | None:
    """Commit that the call is being made, make it, and write the answer under the same fence."""
    now = db_now()
    lease_until = now + timedelta(seconds=attempt.stop_timeout + LEASE_SLACK)
    with settles_now():
        heals.write(
            failure,
            lease_until=lease_until,
            due_at=heals.take_over_at(lease_until, attempt.stop_timeout),
        )
        Attempt.objects.filter(pk=attempt.pk).update(state=AttemptState.CALLED, called_at=now)
    extra = {
        "action": "restart",
        "container": failure.container_name,
        "failure": failure.pk,
        "attempt": attempt.number,
    }
    logger.info("restarting %s", failure.container_name, extra=extra)
    try:
        restart(engine, snapshot, attempt.stop_timeout, attempt.stop_timeout + CALL_SLACK)
    except ActionTimedOut as error:
        return _answered(failure, attempt, snapshot, f"no answer in time: {error}", ambiguous=True)
    except ContainerNotFound:
        _removed(failure, attempt)
        return None
    except (EngineUnreachable, EngineRefused) as error:
        return _refused(failure, attempt, f"engine unreachable: {error}", unreachable=True)
    except PluginError as error:
        return _refused(failure, attempt, str(error))
    return _answered(failure, attempt, snapshot, "accepted", ambiguous=False)


def _answered(
    failure: FailureRecord, attempt: Attempt, snapshot: Snapshot, answer: str, *, ambiguous: bool
) -> Next:
    """Accepted, or no answer, which may still be a success: verify, never call again."""
    now = db_now()
    book = config_book()
    config = book.config(failure.container)
    with transaction.atomic():
        _end(
            attempt,
            AttemptState.VERIFYING,
            answer=answer,
            answered_at=None if ambiguous else now,
            verify_until=deadline(now, snapshot, config),
        )
        statuses.count_restart(failure.container, now)
        can_be_asked = bool(snapshot.health_command.argv or book.probes(failure.container))
        first_look = now if can_be_asked else now + timedelta(seconds=FIRST_LOOK)
        _tell(failure, attempt, config)
        heals.move(failure, Stage.VERIFY, first_look)
    return Next(Stage.VERIFY, failure.pk, failure.priority)


def _tell(failure: FailureRecord, attempt: Attempt, config: Config) -> None:
    level = AlertLevel.WARNING
    if attempt.row_number >= LOOP_ATTEMPTS or failure.details.get("image_change"):
        level = AlertLevel.ERROR
    if failure.cause == "disk full":
        level = AlertLevel.CRITICAL
    title = f"{failure.container_name} was restarted: {failure.cause}"
    alerts.failure(failure, config, level, title, f"{failure.error_message}\nVerifying ({attempt.reason}).")


def _refused(failure: FailureRecord, attempt: Attempt, answer: str, *, unreachable: bool = False) -> Next:
    """The engine said no: a record of its own, and the next attempt after back-off."""
    now = db_now()
    config = config_book().config(failure.container)
    with transaction.atomic():
        _end(attempt, AttemptState.FAILED, answer=answer, answered_at=now, ended_at=now)
        heals.add_child(
            failure, FailureType.RESTART_FAILED, ActionKind.RESTART, ActionResult.FAILED, answer, now
        )
        if not unreachable:
            title = f"{failure.container_name} could not be restarted"
            alerts.failure(
                failure,
                config,
                AlertLevel.ERROR,
                title,
                f"{failure.error_message}\nThe engine answered: {answer}",
            )
        heals.move(failure, Stage.DIAGNOSE, now, action_result=ActionResult.FAILED, reason=answer)
    if attempt.row_number <= 1 and not unreachable:
        windows.move(failure.container.host_id, after_failed, now)
    logger.warning("restart failed: %s", answer, extra={"action": "restart_failed", "failure": failure.pk})
    return Next(Stage.DIAGNOSE, failure.pk, failure.priority)


def _removed(failure: FailureRecord, attempt: Attempt) -> None:
    now = db_now()
    with transaction.atomic():
        _end(attempt, AttemptState.FAILED, outcome="the container was removed", answered_at=now, ended_at=now)
        heals.close(failure, ActionResult.FAILED, "container removed", now, in_success_rate=False)
        alerts.resolved(
            failure, config_book().config(failure.container), f"{failure.container_name} was removed"
        )


def _take_over(failure: FailureRecord, attempt: Attempt, snapshot: Snapshot | None) -> Next:
    """The worker that called has gone silent, and lease, stop timeout and slack are over: look, never call again."""
    now = db_now()
    started = snapshot is not None and (snapshot.id, snapshot.started_at) != (
        attempt.guard_engine_id,
        attempt.guard_started_at,
    )
    if started or snapshot is None:
        with transaction.atomic():
            _end(
                attempt,
                AttemptState.VERIFYING,
                outcome="its worker went silent; the engine has started it",
                answered_at=now,
                verify_until=_verify_until(failure, now, snapshot),
            )
            statuses.count_restart(failure.container, now)
            heals.move(failure, Stage.VERIFY, now)
        return Next(Stage.VERIFY, failure.pk, failure.priority)
    with transaction.atomic():
        _end(
            attempt,
            AttemptState.FAILED,
            outcome="its worker went silent before the engine started it",
            ended_at=now,
        )
        heals.move(failure, Stage.DIAGNOSE, now, action_result=ActionResult.FAILED)
    return Next(Stage.DIAGNOSE, failure.pk, failure.priority)
