"""Diagnose: gather the evidence, name the cause, decide; write the attempt's intent in the same transaction."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

from django.db import transaction

from healing.core import lifecycle
from healing.core.config import Config
from healing.core.decide import Course, Decision, Situation, decide
from healing.core.detect import detect
from healing.core.diagnose import Diagnosis, Evidence, diagnose
from healing.core.errors import ConfigError, PluginError
from healing.core.limits import Budget, attempts_in_row, budget
from healing.core.status import ChangeKind, Seen, Status
from healing.core.types import (
    ActionKind,
    ActionResult,
    AlertLevel,
    EngineState,
    FailureType,
    Health,
    ProbeResult,
    ProbeVerdict,
    Snapshot,
)
from healing.core.window import Window
from healing.effective import ConfigBook, config_book
from healing.models import Attempt, AttemptState, FailureRecord, Stage
from healing.pipeline import alerts
from healing.pipeline.engines import find, reachable, retry_in
from healing.pipeline.handsoff import left_alone
from healing.pipeline.look import logs
from healing.store import heals, history, hosts, statuses, windows
from healing.store.clock import db_now
from healing.store.durability import settles_later
from healing.store.heals import Next

logger = logging.getLogger(__name__)

LEASE = 60.0
RETRY_IN = 5.0
UNDECIDED_RETRY = 2.0
LONGEST_WAIT = timedelta(seconds=300)
EXTRA_HISTORY = 1
KEPT_DETAILS = ("detected_as", "probes_at_detection", "first")


@dataclass(frozen=True, slots=True)
class Case:
    """One failure with all that was found out about it."""

    failure: FailureRecord
    snapshot: Snapshot
    status: Status
    config: Config
    book: ConfigBook
    diagnosis: Diagnosis
    budget: Budget


def run(failure_id: int) -> Next | None:
    """Diagnose and decide. Claims the heal; does nothing where somebody else has it or it is not due."""
    failure = heals.claim(failure_id, Stage.DIAGNOSE, LEASE)
    if failure is None or left_alone(failure):
        return None
    try:
        case = _gather(failure)
    except (PluginError, ConfigError) as error:
        _look_later(failure, error)
        return None
    if case is None:
        _close_gone(failure)
        return None
    standing = _standing(case, db_now())
    if standing is Standing.FAILING or failure.forced:
        return _decide(case, db_now())
    _not_failing(case, standing, db_now())
    return None


def _look_later(failure: FailureRecord, error: Exception) -> None:
    now = db_now()
    pause = retry_in(failure.container.host, failure.detected_at, now)
    heals.move(failure, Stage(failure.stage), now + pause, reason=f"could not look: {error}")


class Standing(Enum):
    """How a container stands by the time its failure is diagnosed: it may have recovered, or be on its way."""

    FAILING = "failing"
    UNDECIDED = "undecided"
    RECOVERED = "recovered"


def _standing(case: Case, now: datetime) -> Standing:
    """Judged as a check judges, except that our own probes were the check's business and are not asked again."""
    container = case.failure.container
    host = container.host
    probed = bool(case.book.probes(container))
    seen = Seen(
        case.snapshot,
        stream_since=hosts.watched_since(host, now),
        grace_until=host.grace_until,
        by_event=True,
        partial=probed,
    )
    change = detect(statuses.to_core(container.health), seen, case.config, now).change
    if change is not None and change.kind is ChangeKind.FAILED:
        return Standing.FAILING
    if change is not None and change.kind is ChangeKind.HEALTHY:
        return Standing.RECOVERED
    if probed and container.health.status == Health.UNHEALTHY and case.snapshot.state is EngineState.RUNNING:
        return Standing.FAILING
    return Standing.FAILING if _attempt_failed(case) else Standing.UNDECIDED


def _attempt_failed(case: Case) -> bool:
    """Whether our last attempt was found not to have worked, and nobody has started the container since."""
    last = case.failure.attempts.order_by("-number").first()
    if last is None or last.state != AttemptState.FAILED or last.ended_at is None:
        return False
    started = case.snapshot.started_at
    return not (case.snapshot.is_running and started is not None and started > last.ended_at)


def _not_failing(case: Case, standing: Standing, now: datetime) -> None:
    failure = case.failure
    rested = decide(case.diagnosis, case.config, _situation(case, now), now)
    with transaction.atomic():
        if standing is Standing.RECOVERED:
            heals.close(failure, ActionResult.SUCCESS, "recovered without an action of ours", now)
            alerts.resolved(failure, case.config, f"{failure.container_name} is healthy again")
        elif rested.course is Course.CLOSE:
            _close(case, rested, now)
        else:
            heals.move(failure, Stage(failure.stage), now + timedelta(seconds=UNDECIDED_RETRY))


def _gather(failure: FailureRecord) -> Case | None:
    container = failure.container
    engine = reachable(container.host)
    snapshot = find(engine, container)
    if snapshot is None:
        return None
    book = config_book()
    config = book.config(container)
    before = statuses.to_core(container.health)
    status = heals.without_our_stop(container.pk, before, lifecycle.follow(before, snapshot))
    now = db_now()
    past = history.past_attempts(container, config.max_restarts + EXTRA_HISTORY)
    lines = () if snapshot.health.value == "unhealthy" and snapshot.is_running else logs(engine, snapshot)
    diagnosis = diagnose(
        Evidence(
            failure_type=FailureType(failure.failure_type),
            detected_message=failure.error_message,
            snapshot=snapshot,
            status=status,
            now=now,
            logs=lines,
            probes=_probes(failure),
            attempts_in_row=attempts_in_row(past, failure.detected_at, container.health.released_at),
            previous_image_id=container.previous_image_id,
            image_changed_at=container.image_changed_at,
            start_error=_start_error(failure),
        )
    )
    spent = budget(past, failure.detected_at, config, now, container.health.released_at)
    return Case(failure, snapshot, status, config, book, diagnosis, spent)


def _probes(failure: FailureRecord) -> tuple[ProbeResult, ...]:
    """What our probes said when the failure was found, kept with the record by the check."""
    rows = failure.details.get("probes_at_detection", [])
    return tuple(
        ProbeResult(r["name"], ProbeVerdict(r["verdict"]), r["message"], hung=r["hung"]) for r in rows
    )


def _start_error(failure: FailureRecord) -> str:
    last = failure.attempts.order_by("-number").first()
    refused = last is not None and last.state == AttemptState.FAILED and last.answered_at == last.ended_at
    return last.answer if refused and last is not None else ""


def _close_gone(failure: FailureRecord) -> None:
    with transaction.atomic():
        heals.close(failure, ActionResult.FAILED, "container removed", db_now(), in_success_rate=False)
        alerts.resolved(
            failure, config_book().config(failure.container), f"{failure.container_name} was removed"
        )


def _decide(case: Case, now: datetime) -> Next | None:
    failure = case.failure
    with settles_later():
        window = windows.locked(failure.container.host_id)
        statuses.lock(failure.container_id)
        decision = decide(case.diagnosis, case.config, _situation(case, now, window), now)
        heals.write(failure, **_findings(case, decision))
        logger.info(
            "%s: %s",
            decision.course.value,
            decision.reason,
            extra={"action": "decided", "container": failure.container_name, "failure": failure.pk},
        )
        return _COURSES[decision.course](case, decision, now)


def _situation(case: Case, now: datetime, window: Window | None = None) -> Situation:
    failure = case.failure
    paused_until, paused_by = case.book.paused(failure.container, now)
    return Situation(
        snapshot=case.snapshot,
        status=case.status,
        budget=case.budget,
        paused_until=paused_until,
        paused_by=paused_by,
        heals_under_way=heals.under_way(),
        window=window or Window(),
        attempts_made=failure.attempts.count(),
        forced=failure.forced,
        is_trial=failure.is_trial,
    )


def _findings(case: Case, decision: Decision) -> dict[str, object]:
    kept = {k: v for k, v in case.failure.details.items() if k in KEPT_DETAILS}
    first = kept.get("first") or {"cause": case.diagnosis.cause, "message": case.failure.error_message}
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
        number=failure.attempts.count() + 1,
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
    heals.move(
        failure,
        Stage.RESTART,
        now,
        action=ActionKind.RESTART,
        action_result=ActionResult.PENDING,
        forced=False,
    )
    return Next(Stage.RESTART, failure.pk)


def _wait(case: Case, decision: Decision, now: datetime) -> None:
    """Decide again when it is time, and in between in case that the config has changed."""
    until = decision.not_before or now + timedelta(seconds=RETRY_IN)
    heals.move(case.failure, Stage.DIAGNOSE, min(until, now + LONGEST_WAIT))


def _observe(case: Case, decision: Decision, now: datetime) -> None:
    """People are told; nothing is touched. Told again, as critical, when it lasts longer than the restart window."""
    failure, config = case.failure, case.config
    fields: dict[str, object] = {}
    if not failure.attempts.exists():
        fields = {"action": ActionKind.ALERT, "action_result": ActionResult.SUCCESS}
    level = max(case.diagnosis.level, AlertLevel.ERROR, key=list(AlertLevel).index)
    if now - failure.detected_at >= timedelta(seconds=config.restart_window):
        level = AlertLevel.CRITICAL
    title = f"{failure.container_name}: {case.diagnosis.cause}"
    alerts.failure(
        failure, config, level, title, f"{case.diagnosis.summary}\nNot touched: {decision.reason}."
    )
    heals.move(failure, Stage.OBSERVE, decision.not_before, **fields)


def _close(case: Case, decision: Decision, now: datetime) -> None:
    heals.close(case.failure, ActionResult.FAILED, decision.reason, now, in_success_rate=False)
    alerts.resolved(case.failure, case.config, f"{case.failure.container_name}: {decision.reason}")


def _quarantine(case: Case, decision: Decision, now: datetime) -> None:
    """Hands off: one critical alert, then silence until a person or the release time."""
    failure, config = case.failure, case.config
    until = now + timedelta(seconds=config.quarantine_release) if config.quarantine_release else None
    if not failure.is_trial:
        release = (
            f"one silent trial at {until:%H:%M:%S} UTC"
            if until
            else "nothing more until a person releases it"
        )
        title = f"{failure.container_name} is quarantined: restarting does not help"
        alerts.failure(
            failure,
            config,
            AlertLevel.CRITICAL,
            title,
            f"{case.diagnosis.summary}\n{decision.reason}. Next: {release}.",
        )
        heals.add_child(
            failure,
            FailureType.RESTART_LIMIT_EXCEEDED,
            ActionKind.ALERT,
            ActionResult.SUCCESS,
            decision.reason,
            now,
        )
    heals.close(failure, ActionResult.FAILED, f"quarantined: {decision.reason}", now)
    statuses.quarantine(failure.container, now, until)


_COURSES = {
    Course.ACT: _act,
    Course.WAIT: _wait,
    Course.OBSERVE: _observe,
    Course.CLOSE: _close,
    Course.QUARANTINE: _quarantine,
}


def observe(failure_id: int) -> Next | None:
    """Look again at a failure that is only watched: is there something to do by now?"""
    failure = heals.claim(failure_id, Stage.OBSERVE, LEASE)
    if failure is None or left_alone(failure):
        return None
    try:
        case = _gather(failure)
    except (PluginError, ConfigError) as error:
        _look_later(failure, error)
        return None
    if case is None:
        _close_gone(failure)
        return None
    standing = _standing(case, db_now())
    if standing is Standing.FAILING:
        return _decide(case, db_now())
    _not_failing(case, standing, db_now())
    return None
