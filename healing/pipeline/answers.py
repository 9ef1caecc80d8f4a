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
from healing.pipeline.engines import retry_in
from healing.pipeline.guard import STARTED, was_forced
from healing.pipeline.verifying import note_exit
from healing.store import heals, own_calls, statuses, windows
from healing.store.clock import db_now
from healing.store.heals import Next
from notifications.core.alert import Outcome

logger = logging.getLogger(__name__)

LOOP_ATTEMPTS = 3
LOOK_AGAIN = timedelta(seconds=5)


def withdrawn(failure: FailureRecord, attempt: Attempt, reason: str) -> Next | None:
    """Nothing is called. If it was started meanwhile, that start is verified; else decide anew, and what a person wants stands."""
    now = db_now()
    stands = was_forced(attempt)
    due_at = _wanted_again_at(failure, now) if stands else now
    with transaction.atomic():
        if reason == STARTED:
            until = _verify_until(failure, now)
            _end(attempt, AttemptState.VERIFYING, outcome=reason, answered_at=now, verify_until=until)
            heals.move(failure, Stage.VERIFY, now, reason=attempt.reason)
            return Next(Stage.VERIFY, failure.pk, failure.priority)
        _end(attempt, AttemptState.WITHDRAWN, outcome=reason, called_at=None, ended_at=now)
        heals.move(failure, Stage.DIAGNOSE, due_at, reason=reason, forced=stands)
    return None if stands else Next(Stage.DIAGNOSE, failure.pk, failure.priority)


def answered(
    failure: FailureRecord, attempt: Attempt, snapshot: Snapshot, answer: str, *, ambiguous: bool
) -> Next | None:
    """Accepted, or no answer, which may still be a success: verify, never call again."""
    logger.debug("answered", extra={"action": "answered", "failure": failure.pk})
    now = db_now()
    book = config_book()
    config = book.config(failure.container)
    until = deadline(now, snapshot, config)
    if ambiguous:
        until = max(until, (attempt.called_at or now) + _lasts(attempt))
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
) -> Next | None:
    """The engine said no: a record of its own, and the next attempt after back-off.

    What a person wants still stands where no engine was there to do it. A restart was not made then, and is no call: stops
    of that time are none of ours. A recreate may have begun.
    `left` is how the call has left the container, where that is known: it may have been stopped and not started again.
    """
    now = db_now()
    config = config_book().config(failure.container)
    stands = unreachable and was_forced(attempt)
    due_at = _wanted_again_at(failure, now) if stands else now
    with transaction.atomic():
        _note_stopped(failure, left)
        action = ActionKind(attempt.action)
        called_at = None if unreachable and action is ActionKind.RESTART else attempt.called_at
        times = {"called_at": called_at, "answered_at": now, "ended_at": now}
        _end(attempt, AttemptState.FAILED, answer=answer, **times)
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
        fields = {"action_result": ActionResult.FAILED, "reason": answer, "forced": stands}
        heals.move(failure, Stage.DIAGNOSE, due_at, **fields)
    if attempt.row_number <= 1 and not unreachable:
        windows.move(failure.container.host_id, after_failed, now)
    logger.warning("restart failed: %s", answer, extra={"action": "restart_failed", "failure": failure.pk})
    return None if stands else Next(Stage.DIAGNOSE, failure.pk, failure.priority)


def _wanted_again_at(failure: FailureRecord, now: datetime) -> datetime:
    """When a person's demand is decided again: it has no back-off that would keep it from being tried without end."""
    return now + retry_in(failure.container.host, failure.forced_at or failure.detected_at, now)


def removed(failure: FailureRecord, attempt: Attempt) -> None:
    """The engine has no such container: there is nothing left to heal."""
    now = db_now()
    with transaction.atomic():
        _end(attempt, AttemptState.FAILED, outcome="the container was removed", answered_at=now, ended_at=now)
        heals.close(failure, ActionResult.FAILED, "container removed", now, in_success_rate=False)
        alerts.resolved(failure, f"{failure.container_name} was removed", outcome=Outcome.GONE)


def taken_over(failure: FailureRecord, attempt: Attempt, snapshot: Snapshot | None) -> Next | None:
    """The worker that called has gone silent, and lease, stop timeout and slack are over: look, never call again.

    An engine that was out of reach meanwhile is given that time anew.
    """
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
    until = _may_come_until(failure, attempt, now)
    if now < until:
        reason = "its worker went silent, and the engine, out of reach since, may only now do what was asked"
        with transaction.atomic():
            Attempt.objects.filter(pk=attempt.pk).update(verify_until=until)
            due_at = min(until, now + LOOK_AGAIN)
            heals.move(failure, Stage(failure.stage), due_at, lost_claims=lost, reason=reason)
        return None
    outcome = "its worker went silent before the engine started it"
    with transaction.atomic():
        _note_stopped(failure, snapshot, by_us=own_calls.has_ended(failure.container_id, snapshot))
        _end(attempt, AttemptState.FAILED, outcome=outcome, ended_at=now)
        heals.move(failure, Stage.DIAGNOSE, now, action_result=ActionResult.FAILED, lost_claims=lost)
    return Next(Stage.DIAGNOSE, failure.pk, failure.priority)


def _may_come_until(failure: FailureRecord, attempt: Attempt, now: datetime) -> datetime:
    """Until when an engine that was out of reach since the call may still carry it out; `now` where it was not."""
    lasts = _lasts(attempt)
    if failure.reason.startswith(windows.BLIND_REASON):
        return now + lasts
    until = max(attempt.verify_until or now, now)
    back = failure.container.host.state_since
    was_away = back is not None and attempt.called_at is not None and back > attempt.called_at
    return max(back + lasts, until) if back is not None and was_away else until


def _lasts(attempt: Attempt) -> timedelta:
    """For how long an engine that has begun with a call may be at it."""
    return timedelta(seconds=attempt.stop_timeout + heals.TAKE_OVER_SLACK)


def _note_stopped(failure: FailureRecord, left: Snapshot | None, *, by_us: bool = True) -> None:
    """An exit that our own call has left behind is a known failure: nobody has stopped it by hand."""
    if left is not None and left.state is EngineState.EXITED:
        note_exit(failure, left, by_us=by_us)


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
