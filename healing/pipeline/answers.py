"""How an attempt goes on from its engine call: the answer is written down, once, with what follows from it."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

from django.db import transaction

from healing.core.alertnames import AlertName
from healing.core.config import Config
from healing.core.diagnose import CAME_BACK
from healing.core.types import ActionKind, ActionResult, AlertLevel, EngineState, FailureType, Snapshot
from healing.core.verify import FIRST_LOOK, LATER_LOOK, deadline
from healing.core.window import after_failed
from healing.effective import config_book
from healing.models import Attempt, AttemptState, FailureRecord, Stage
from healing.pipeline import acting, alert_details, alerts
from healing.pipeline.guard import STARTED
from healing.pipeline.verifying import note_exit
from healing.store import heals, statuses, windows
from healing.store.clock import db_now
from healing.store.heals import Next
from notifications.core.alert import Outcome

logger = logging.getLogger(__name__)

LOOP_ATTEMPTS = 3


def withdrawn(failure: FailureRecord, attempt: Attempt, reason: str) -> Next:
    """Nothing is called. If it was started meanwhile, that start is verified; else decide anew."""
    now = db_now()
    with transaction.atomic():
        if reason == STARTED:
            until = _verify_until(failure, now)
            _end(attempt, AttemptState.VERIFYING, outcome=reason, answered_at=now, verify_until=until)
            heals.move(failure, Stage.VERIFY, now, reason=attempt.reason)
            return Next(Stage.VERIFY, failure.pk, failure.priority)
        _end(attempt, AttemptState.WITHDRAWN, outcome=reason, called_at=None, ended_at=now)
        heals.move(failure, Stage.DIAGNOSE, now, reason=reason)
    return Next(Stage.DIAGNOSE, failure.pk, failure.priority)


def answered(
    failure: FailureRecord, attempt: Attempt, snapshot: Snapshot, answer: str, *, ambiguous: bool
) -> Next | None:
    """Accepted, or no answer, which may still be a success: verify, never call again."""
    logger.debug("answered", extra={"action": "answered", "failure": failure.pk})
    now = db_now()
    book = config_book()
    config = book.config(failure.container)
    until = deadline(now, snapshot, config)
    with transaction.atomic():
        _end(
            attempt,
            AttemptState.VERIFYING,
            answer=answer,
            answered_at=None if ambiguous else now,
            verify_until=until,
        )
        statuses.count_restart(failure.container, now)
        can_be_asked = bool(snapshot.health_command.argv or book.probes(failure.container))
        look_in = _first_look_in(failure) if can_be_asked else FIRST_LOOK
        _tell(failure, attempt, config, until)
        heals.move(failure, Stage.VERIFY, now + timedelta(seconds=look_in), reason=attempt.reason)
    return Next(Stage.VERIFY, failure.pk, failure.priority) if not look_in else None


def refused(
    failure: FailureRecord,
    attempt: Attempt,
    answer: str,
    left: Snapshot | None = None,
    *,
    unreachable: bool = False,
) -> Next:
    """The engine said no: a record of its own, and the next attempt after back-off.

    `left` is how the call has left the container, where that is known: it may have been stopped and not started again.
    """
    now = db_now()
    config = config_book().config(failure.container)
    with transaction.atomic():
        _note_stopped(failure, left)
        _end(attempt, AttemptState.FAILED, answer=answer, answered_at=now, ended_at=now)
        action = ActionKind(attempt.action)
        heals.add_child(failure, FailureType.RESTART_FAILED, action, ActionResult.FAILED, answer, now)
        if not unreachable:
            title = f"{failure.container_name} could not be {acting.DONE[action]}"
            text = f"{failure.error_message}\nThe engine answered: {answer}"
            alerts.failure(
                failure,
                config,
                AlertLevel.ERROR,
                title,
                text,
                name=AlertName.RESTART_FAILED,
                next_step=alert_details.after_refusal(attempt),
            )
        heals.move(failure, Stage.DIAGNOSE, now, action_result=ActionResult.FAILED, reason=answer)
    if attempt.row_number <= 1 and not unreachable:
        windows.move(failure.container.host_id, after_failed, now)
    logger.warning("restart failed: %s", answer, extra={"action": "restart_failed", "failure": failure.pk})
    return Next(Stage.DIAGNOSE, failure.pk, failure.priority)


def removed(failure: FailureRecord, attempt: Attempt) -> None:
    """The engine has no such container: there is nothing left to heal."""
    now = db_now()
    with transaction.atomic():
        _end(attempt, AttemptState.FAILED, outcome="the container was removed", answered_at=now, ended_at=now)
        heals.close(failure, ActionResult.FAILED, "container removed", now, in_success_rate=False)
        alerts.resolved(failure, f"{failure.container_name} was removed", outcome=Outcome.GONE)


def taken_over(failure: FailureRecord, attempt: Attempt, snapshot: Snapshot | None) -> Next:
    """The worker that called has gone silent, and lease, stop timeout and slack are over: look, never call again."""
    now = db_now()
    guarded = (attempt.guard_engine_id, attempt.guard_started_at)
    lost = failure.lost_claims
    if snapshot is None or (snapshot.started_at and (snapshot.id, snapshot.started_at) != guarded):
        outcome, until = (
            "its worker went silent; the engine has started it",
            _verify_until(failure, now, snapshot),
        )
        with transaction.atomic():
            _end(attempt, AttemptState.VERIFYING, outcome=outcome, answered_at=now, verify_until=until)
            statuses.count_restart(failure.container, now)
            if snapshot is not None:
                _tell(failure, attempt, config_book().config(failure.container), until)
            heals.move(failure, Stage.VERIFY, now, lost_claims=lost, reason=attempt.reason)
        return Next(Stage.VERIFY, failure.pk, failure.priority)
    outcome = "its worker went silent before the engine started it"
    with transaction.atomic():
        _note_stopped(failure, snapshot)
        _end(attempt, AttemptState.FAILED, outcome=outcome, ended_at=now)
        heals.move(failure, Stage.DIAGNOSE, now, action_result=ActionResult.FAILED, lost_claims=lost)
    return Next(Stage.DIAGNOSE, failure.pk, failure.priority)


def _note_stopped(failure: FailureRecord, left: Snapshot | None) -> None:
    """An exit that our own call has left behind is a known failure: nobody has stopped it by hand."""
    if left is not None and left.state is EngineState.EXITED:
        note_exit(failure, left)


def _end(attempt: Attempt, state: AttemptState, **fields: str | datetime | None) -> None:
    Attempt.objects.filter(pk=attempt.pk).update(state=state, **fields)
    attempt.state = state


def _verify_until(failure: FailureRecord, now: datetime, snapshot: Snapshot | None = None) -> datetime:
    return deadline(now, snapshot, config_book().config(failure.container))


def _first_look_in(failure: FailureRecord) -> float:
    """Seconds until the container's own health command and our probes are asked."""
    return LATER_LOOK if windows.may_verify_later(failure.container.host_id, failure.pk) else 0.0


def _tell(failure: FailureRecord, attempt: Attempt, config: Config, until: datetime) -> None:
    """The first restart along with another container is part of that one's story."""
    if failure.cause == CAME_BACK and attempt.row_number <= 1:
        return
    level = AlertLevel.WARNING
    if attempt.row_number >= LOOP_ATTEMPTS or failure.details.get("image_change"):
        level = AlertLevel.ERROR
    if failure.cause == "disk full":
        level = AlertLevel.CRITICAL
    title = f"{failure.container_name} was {acting.DONE[ActionKind(attempt.action)]}: {failure.cause}"
    alerts.failure(
        failure,
        config,
        level,
        title,
        f"{failure.error_message}\nVerifying ({attempt.reason}).",
        attempts=[attempt] if attempt.number == 1 else None,
        next_step=alert_details.after_attempt(attempt, until),
    )
