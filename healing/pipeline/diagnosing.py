"""Diagnose: gather the evidence, name the cause, decide; write the attempt's intent in the same transaction."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

from django.db import transaction

from healing.core import lifecycle
from healing.core.alertnames import AlertName
from healing.core.decide import OBSERVE_EVERY, PUT_OFF, Course, Decision, Hold, Situation, decide
from healing.core.errors import ConfigError, PluginError
from healing.core.types import ActionKind, ActionResult, AlertLevel, EngineState, FailureType
from healing.core.window import Window
from healing.effective import config_book, known_book
from healing.models import Attempt, FailureRecord, Stage
from healing.pipeline import alert_details, alerts, breaking, dependencies, recheck
from healing.pipeline.case import Case, Standing, gather, standing_of
from healing.pipeline.demands import dropped
from healing.pipeline.engines import retry_in
from healing.pipeline.handsoff import left_alone
from healing.pipeline.holds import hold_of
from healing.pipeline.poison import set_aside
from healing.store import heals, statuses, windows
from healing.store.clock import db_now
from healing.store.dependencies import ALONG, NOTE
from healing.store.durability import settles_later
from healing.store.heals import Next
from healing.store.history import QUARANTINED
from healing.store.windows import Load
from notifications.core.alert import Outcome

logger = logging.getLogger(__name__)

LEASE = 60.0
RETRY_IN = 5.0
UNDECIDED_RETRY = 2.0
LONGEST_WAIT = timedelta(seconds=300)
KEPT_DETAILS = ("detected_as", "probes_at_detection", "first", "demand", NOTE, ALONG, alerts.TOLD_AS)


def run(failure_id: int) -> Next | list[Next] | None:
    """Diagnose and decide. Claims the heal; does nothing where somebody else has it or it is not due."""
    return _go(failure_id, Stage.DIAGNOSE)


def observe(failure_id: int) -> Next | list[Next] | None:
    """Look again at a failure that is only watched: is there something to do by now?"""
    return _go(failure_id, Stage.OBSERVE)


def _go(failure_id: int, stage: Stage) -> Next | list[Next] | None:
    failure = heals.claim(failure_id, stage, LEASE)
    if failure is None or set_aside(failure):
        return None
    book = config_book()
    if dropped(failure) or left_alone(failure, book):
        return None
    try:
        case = gather(failure, book)
    except (PluginError, ConfigError) as error:
        _look_later(failure, error)
        return None
    if case is None:
        _close_gone(failure)
        return None
    standing = standing_of(case, db_now())
    if standing is Standing.FAILING or failure.forced or case.along_with:
        others = recheck.look(case)
        following = _decide(case, db_now())
        return [*others, *([following] if following else [])] if others else following
    return _not_failing(case, standing, db_now())


def _look_later(failure: FailureRecord, error: Exception) -> None:
    now = db_now()
    pause = retry_in(failure.container.host, failure.detected_at, now)
    heals.move(failure, Stage(failure.stage), now + pause, reason=f"could not look: {error}")


def _not_failing(case: Case, standing: Standing, now: datetime) -> list[Next]:
    failure = case.failure
    rested = decide(case.diagnosis, case.config, _situation(case, now), now)
    with transaction.atomic():
        if standing is Standing.RECOVERED:
            heals.close(failure, ActionResult.SUCCESS, "recovered without an action of ours", now)
            title = f"{failure.container_name} is healthy again"
            alerts.resolved(failure, title, outcome=Outcome.RECOVERED)
            return dependencies.came_back(failure, case.book, now)
        if rested.course is Course.CLOSE:
            _close(case, rested, now)
        else:
            lasts = case.snapshot.state in (EngineState.PAUSED, EngineState.CREATED)
            pause = timedelta(seconds=OBSERVE_EVERY if lasts else UNDECIDED_RETRY)
            heals.move(failure, Stage(failure.stage), now + pause)
    return []


def _close_gone(failure: FailureRecord) -> None:
    with transaction.atomic():
        heals.close(failure, ActionResult.FAILED, "container removed", db_now(), in_success_rate=False)
        alerts.resolved(failure, f"{failure.container_name} was removed", outcome=Outcome.GONE)


def _decide(case: Case, now: datetime) -> Next | None:
    failure = case.failure
    with settles_later():
        load = windows.locked(failure.container.host_id)
        broken = breaking.at_decision(load.host, case.book.system, now)
        failure.container.host = load.host
        decision = decide(case.diagnosis, case.config, _situation(case, now, load, broken), now)
        if decision.course is Course.QUARANTINE and _was_released(failure):
            heals.move(failure, Stage.DIAGNOSE, now, reason="released by a person meanwhile: decided anew")
            return Next(Stage.DIAGNOSE, failure.pk, failure.priority)
        if decision.course is not Course.ACT:
            heals.write(failure, **_findings(case, decision))
        about = {"action": "decided", "container": failure.container_name, "failure": failure.pk}
        logger.info("%s: %s", decision.course.value, decision.reason, extra=about)
        return _COURSES[decision.course](case, decision, now)


def _was_released(failure: FailureRecord) -> bool:
    """Whether a person has ended the quarantine since the claim: what was decided as a trial no longer counts.

    The container's row is held from here on, so that no release comes between.
    """
    return statuses.lock(failure.container_id).released_at != failure.container.health.released_at


def _situation(case: Case, now: datetime, load: Load | None = None, broken: Hold | None = None) -> Situation:
    failure = case.failure
    paused_until, paused_by = case.book.paused(failure.container, now)
    return Situation(
        snapshot=case.snapshot,
        status=case.status,
        budget=case.budget,
        paused_until=paused_until,
        paused_by=paused_by,
        hold=hold_of(failure, case.book, now) or broken,
        dry_run_by=case.book.dry_run_by(failure.container),
        goes_along=bool(case.along_with) and "detected_as" not in failure.details,
        heals_under_way=load.fleet if load else 0,
        window=load.window if load else Window(),
        attempts_tried=case.attempts_tried,
        forced=failure.forced,
        is_trial=failure.is_trial,
    )


def _findings(case: Case, decision: Decision) -> dict[str, object]:
    kept = {k: v for k, v in case.failure.details.items() if k in KEPT_DETAILS}
    first = kept.get("first") or {
        "cause": case.diagnosis.cause,
        "message": case.failure.error_message,
        "failed_at": case.failed_at.isoformat() if case.failed_at is not None else None,
    }
    return {
        "cause": case.diagnosis.cause,
        "failure_type": case.diagnosis.failure_type,
        "error_message": case.diagnosis.summary,
        "reason": decision.reason,
        "details": {**kept, **case.diagnosis.evidence, "first": first},
    }


def _act(case: Case, decision: Decision, now: datetime) -> Next:
    """The intent, with fence and budget, is committed before anybody calls the engine."""
    failure, spent = case.failure, case.budget
    Attempt.objects.create(
        failure=failure,
        container=failure.container,
        number=case.attempts_made + 1,
        action=case.diagnosis.action,
        fence=failure.fence,
        reason=decision.reason,
        budget_spent=spent.in_window + 1,
        budget_limit=spent.limit,
        row_number=spent.in_row + 1,
        backoff=spent.backoff,
        stop_timeout=lifecycle.stop_timeout(case.snapshot, case.config.stop_timeout),
        guard_engine_id=case.snapshot.id,
        guard_started_at=case.snapshot.started_at,
        intent_at=now,
    )
    stage = Stage(case.diagnosis.action)
    intent = {"action": case.diagnosis.action, "action_result": ActionResult.PENDING, "forced": False}
    heals.move(failure, stage, now, **intent, **_findings(case, decision))
    return Next(stage, failure.pk, failure.priority)


def _wait(case: Case, decision: Decision, now: datetime) -> None:
    """Decide again when it is time, and in between in case that the config has changed."""
    until = decision.not_before or now + timedelta(seconds=RETRY_IN)
    fields: dict[str, object] = {}
    if decision.reason.startswith(PUT_OFF) and case.failure.put_off_at is None:
        fields = {"put_off_at": now}
    if decision.incident is not None and case.failure.parent_id is None:
        fields["parent_id"] = decision.incident
    if decision.tells:
        title = f"{case.failure.container_name} fails: {decision.reason}"
        alerts.failure(
            case.failure,
            case.config,
            AlertLevel.WARNING,
            title,
            case.diagnosis.summary,
            attempts=case.made,
            next_step=alert_details.again_at(until),
        )
    heals.move(case.failure, Stage.DIAGNOSE, min(until, now + LONGEST_WAIT), **fields)


def _observe(case: Case, decision: Decision, now: datetime) -> None:
    """People are told; nothing is touched. Told again, as critical, when it lasts longer than the restart window."""
    failure, config = case.failure, case.config
    fields: dict[str, object] = {}
    if not case.attempts_made:
        fields = {"action": ActionKind.ALERT, "action_result": ActionResult.SUCCESS}
    level = max(case.diagnosis.level, AlertLevel.ERROR, key=list(AlertLevel).index)
    if now - failure.detected_at >= timedelta(seconds=config.restart_window):
        level = AlertLevel.CRITICAL
    title = f"{failure.container_name}: {case.diagnosis.cause}"
    text = f"{case.diagnosis.summary}\nNot touched: {decision.reason}."
    alerts.failure(
        failure,
        config,
        level,
        title,
        text,
        outcome=Outcome.GAVE_UP,
        attempts=case.made,
        next_step=alert_details.while_observed(failure, config.restart_window, now),
        told_by_storm=True,
    )
    heals.move(failure, Stage.OBSERVE, decision.not_before, **fields)


def _only_tell(case: Case, decision: Decision, now: datetime) -> None:
    """What would have been done is on the record and told once; no attempt, no budget, nothing touched."""
    failure = case.failure
    fields: dict[str, object] = {"forced": False}
    if not case.attempts_made:
        fields |= {"action": ActionKind.NONE, "action_result": ActionResult.PENDING}
    title = f"{failure.container_name}: {decision.reason}"
    alerts.failure(
        failure,
        case.config,
        AlertLevel.INFO,
        title,
        case.diagnosis.summary,
        name=AlertName.DRY_RUN,
        attempts=case.made,
        next_step="Nothing is touched while the dry run lasts; once it is over, that is done if it still fails.",
    )
    heals.move(failure, Stage.OBSERVE, decision.not_before, **fields)


def _close(case: Case, decision: Decision, now: datetime) -> None:
    heals.close(case.failure, ActionResult.FAILED, decision.reason, now, in_success_rate=False)
    alerts.resolved(case.failure, f"{case.failure.container_name}: {decision.reason}")


def _quarantine(case: Case, decision: Decision, now: datetime) -> Next | None:
    """Hands off: one critical alert, then silence until a person or the release time. Not in maintenance begun meanwhile."""
    failure, config = case.failure, case.config
    until = now + timedelta(seconds=config.quarantine_release) if config.quarantine_release else None
    if not failure.is_trial:
        breaking.join(failure)
        _tell_quarantine(case, decision, until)
    if known_book().maintenance(failure.container, db_now()) is not None:
        # Asked when it is told, as that asks the same: what is told to nobody for maintenance is not done either.
        heals.move(failure, Stage.DIAGNOSE, now, reason="maintenance has begun meanwhile: decided anew")
        return Next(Stage.DIAGNOSE, failure.pk, failure.priority)
    if not failure.is_trial:
        heals.add_child(
            failure,
            FailureType.RESTART_LIMIT_EXCEEDED,
            ActionKind.ALERT,
            ActionResult.SUCCESS,
            decision.reason,
            now,
        )
    heals.close(failure, ActionResult.FAILED, f"{QUARANTINED}{decision.reason}", now)
    statuses.quarantine(failure.container, now, until)
    return None


def _tell_quarantine(case: Case, decision: Decision, until: datetime | None) -> None:
    failure = case.failure
    command = f"manage.py release {failure.container_name}"
    release = "nothing more until a person releases it"
    next_step = f"Nothing more until a person releases it: {command}"
    if until is not None:
        release = f"one silent trial at {until:%H:%M:%S} UTC"
        next_step = f"One silent trial at {until:%H:%M:%S} UTC; sooner with {command}"
    alerts.failure(
        failure,
        case.config,
        AlertLevel.CRITICAL,
        f"{failure.container_name} is quarantined: restarting does not help",
        f"{case.diagnosis.summary}\n{decision.reason}. Next: {release}.",
        name=AlertName.QUARANTINED,
        outcome=Outcome.GAVE_UP,
        attempts=case.made,
        next_step=next_step,
        told_by_storm=True,
    )


_COURSES = {
    Course.ACT: _act,
    Course.WAIT: _wait,
    Course.OBSERVE: _observe,
    Course.CLOSE: _close,
    Course.QUARANTINE: _quarantine,
    Course.DRY_RUN: _only_tell,
}
