"""What follows from what a check has seen: failures are opened, given news, and closed when they are over."""

from __future__ import annotations

import logging
from datetime import datetime

from healing.core.config import Config
from healing.core.shedding import rank
from healing.core.status import ChangeKind, Detection, Seen
from healing.core.types import (
    ActionKind,
    ActionResult,
    FailureType,
    Health,
    Lifecycle,
    ProbeResult,
    Snapshot,
)
from healing.effective import ConfigBook
from healing.models import FailureRecord, HealthStatus, Stage
from healing.pipeline import alerts, breaking, dependencies
from healing.store import heals, own_calls
from healing.store.clock import db_now
from healing.store.dependencies import along_with
from healing.store.heals import Next
from notifications.core.alert import Outcome

logger = logging.getLogger(__name__)


def react(
    row: HealthStatus,
    detection: Detection,
    config: Config,
    failure: FailureRecord | None,
    now: datetime,
    look: Seen,
    book: ConfigBook,
) -> list[Next]:
    """Called in the transaction that writes the verdict; `failure` is the container's open one."""
    change = detection.change
    if failure is not None:
        failure.container = row.container  # loaded; an alert would read it again
    if change is None:
        return _at_rest(detection, failure, now, look.snapshot) if failure is not None else []
    match change.kind:
        case ChangeKind.FAILED:
            return _failed(row, detection, config, failure, now, look)
        case ChangeKind.HEALTHY:
            return _healthy(row, detection, failure, now, book)
        case ChangeKind.GONE:
            _gone(row, failure, now)
        case ChangeKind.LEFT_ALONE:
            title = f"{row.container.name} was found stopped and is left alone"
            alerts.found_stopped(row.container, config, title, change.reason)
    return []


def _failed(
    row: HealthStatus,
    detection: Detection,
    config: Config,
    failure: FailureRecord | None,
    now: datetime,
    look: Seen,
) -> list[Next]:
    change = detection.change
    assert change is not None
    assert change.failure_type is not None
    if failure is not None:
        return _still_failing(failure, change.failure_type, change.reason, look.by_event)
    opened = heals.open_failure(
        row.container,
        now,
        failure_type=change.failure_type,
        error_message=change.reason,
        is_trial=change.is_trial,
        parent_id=None if change.is_trial else breaking.incident_of(row.container.host),
        priority=rank(config.priority),
        details={
            "detected_as": change.failure_type,
            "probes_at_detection": [_probe_fact(probe) for probe in look.probes],
        },
    )
    if opened is None:
        return []
    logger.warning(
        "failure found: %s",
        change.reason,
        extra={"action": "failure_found", "container": row.container.name, "failure": opened.pk},
    )
    return [Next(Stage.DIAGNOSE, opened.pk, opened.priority)]


def _probe_fact(probe: ProbeResult) -> dict[str, object]:
    return {"name": probe.name, "verdict": probe.verdict, "message": probe.message, "hung": probe.hung}


def _still_failing(
    failure: FailureRecord, failure_type: FailureType, reason: str, by_event: bool
) -> list[Next]:
    """A second failure while one is open is folded in; a stage that waits for news is given it."""
    if failure.stage == Stage.VERIFY and by_event:
        return [Next(Stage.VERIFY, failure.pk, failure.priority)]
    if failure.stage == Stage.OBSERVE and failure.details.get("detected_as") != failure_type:
        return _fails_otherwise(failure, failure_type, reason)
    return []


def _fails_otherwise(failure: FailureRecord, failure_type: FailureType, reason: str) -> list[Next]:
    """What is only watched now fails in another way: diagnosed anew."""
    FailureRecord.objects.filter(pk=failure.pk, stage=Stage.OBSERVE, resolved_at__isnull=True).update(
        stage=Stage.DIAGNOSE,
        due_at=db_now(),
        failure_type=failure_type,
        error_message=reason,
        details={**failure.details, "detected_as": failure_type},
    )
    return [Next(Stage.DIAGNOSE, failure.pk, failure.priority)]


def _healthy(
    row: HealthStatus,
    detection: Detection,
    failure: FailureRecord | None,
    now: datetime,
    book: ConfigBook,
) -> list[Next]:
    name = row.container.name
    if failure is None:
        if row.lifecycle == Lifecycle.QUARANTINED:
            alerts.quarantine_ended(
                row.container,
                f"{name} is healthy again and out of quarantine",
                outcome=Outcome.RECOVERED,
                since=row.quarantined_at,
            )
        return [] if _was_well(row) else dependencies.back(row.pk, book, now)
    if failure.stage == Stage.VERIFY:
        return [Next(Stage.VERIFY, failure.pk, failure.priority)]
    if along_with(failure) or not _is_waiting(failure):
        return []
    if not _close(failure, ActionResult.SUCCESS, "recovered without an action of ours", now):
        return []
    title = f"{name} is healthy again{' and out of quarantine' if failure.is_trial else ''}"
    message, since = detection.status.message, row.quarantined_at
    alerts.resolved(failure, title, message, outcome=Outcome.RECOVERED, since=since)
    return dependencies.came_back(failure, book, now)


def _was_well(row: HealthStatus) -> bool:
    """Whether it was healthy before this look: nobody waits for it, and each look that woke others would wake the next."""
    return row.status == Health.HEALTHY and row.lifecycle == Lifecycle.RUNNING


def _is_waiting(failure: FailureRecord) -> bool:
    """Whether a check may end it: nothing is being done about it, and no person has asked for anything."""
    return failure.stage in (Stage.DIAGNOSE, Stage.OBSERVE) and not failure.forced


def _at_rest(
    detection: Detection, failure: FailureRecord, now: datetime, snapshot: Snapshot | None
) -> list[Next]:
    """Somebody has stopped or finished a container whose failure is open: there is nothing left to heal.

    One that is to be recreated was stopped by us, and so was what has ended during a call of ours.
    """
    reason = detection.status.message
    finished = detection.status.lifecycle is Lifecycle.FINISHED and failure.action != ActionKind.RECREATE
    at_rest = finished or detection.status.lifecycle is Lifecycle.STOPPED_BY_HAND
    if (
        at_rest
        and _is_waiting(failure)
        and not (finished and _ended_by_us(failure, detection.status.ended_at, snapshot))
        and _close(failure, ActionResult.FAILED, reason, now, in_success_rate=False)
    ):
        alerts.resolved(failure, f"{failure.container_name}: {reason}")
    return []


def _ended_by_us(failure: FailureRecord, ended_at: datetime | None, snapshot: Snapshot | None) -> bool:
    if ended_at is None:
        return False
    covered = own_calls.our_call_covers(failure.container_id, ended_at)
    return covered or (snapshot is not None and own_calls.has_ended(failure.container_id, snapshot))


def _gone(row: HealthStatus, failure: FailureRecord | None, now: datetime) -> None:
    title, since = f"{row.container.name} was removed", row.quarantined_at
    if failure is None:
        if row.lifecycle == Lifecycle.QUARANTINED:
            alerts.quarantine_ended(row.container, title, outcome=Outcome.GONE, since=since)
    elif _close(failure, ActionResult.FAILED, "container removed", now, in_success_rate=False):
        alerts.resolved(failure, title, outcome=Outcome.GONE, since=since)


def _close(failure: FailureRecord, result: ActionResult, reason: str, now: datetime, **fields: bool) -> bool:
    """Close a failure that nobody has taken since it was read; False where its new holder is to see to its end."""
    try:
        heals.close(failure, result, reason, now, fence=failure.fence + 1, **fields)
    except heals.StaleFence:
        logger.info("left to its worker", extra={"action": "close_left", "failure": failure.pk})
        return False
    logger.info("failure closed: %s", reason, extra={"action": "failure_closed", "failure": failure.pk})
    return True
