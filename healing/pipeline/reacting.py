"""What follows from what a check has seen: failures are opened, given news, and closed when they are over."""

from __future__ import annotations

import logging
from datetime import datetime

from healing.core.config import Config
from healing.core.lifecycle import was_stopped_by_hand
from healing.core.shedding import rank
from healing.core.status import ChangeKind, Detection, Seen, Status
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
from healing.store import attempts, heals, own_calls
from healing.store.clock import db_now
from healing.store.dependencies import along_with, newest_failure
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
    if row.quarantined_at is not None and detection.status.quarantined_at is None:
        _quarantine_over(row, detection, failure)
    if change is None:
        return _at_rest(detection, failure, now, look.snapshot) if failure is not None else []
    match change.kind:
        case ChangeKind.FAILED:
            return _failed(row, detection, config, failure, now, look)
        case ChangeKind.HEALTHY:
            return _healthy(row, detection, failure, now, book)
        case ChangeKind.GONE:
            _gone(row, failure, now)
        case ChangeKind.LEFT_ALONE if not _ended_by_us(failure, detection.status, look.snapshot):
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
        return _back(row, book, now)
    if failure.stage == Stage.VERIFY:
        return [Next(Stage.VERIFY, failure.pk, failure.priority)]
    if along_with(failure) or not _is_waiting(failure):
        return []
    closed = _close(failure, ActionResult.SUCCESS, "recovered without an action of ours", now)
    if closed is None:
        return []
    title = f"{name} is healthy again{' and out of quarantine' if closed.is_trial else ''}"
    message, since = detection.status.message, row.quarantined_at
    alerts.resolved(closed, title, message, outcome=Outcome.RECOVERED, since=since)
    return dependencies.came_back(closed, book, now)


def _quarantine_over(row: HealthStatus, detection: Detection, failure: FailureRecord | None) -> None:
    """Tell that this look has ended it, or that of the container which this one has replaced. A trial's end tells of it itself."""
    if failure is not None and failure.is_trial:
        return
    name, kind = row.container.name, detection.change.kind if detection.change is not None else None
    title, outcome = f"{name}: {detection.status.message}", Outcome.NONE
    if kind is ChangeKind.HEALTHY:
        title, outcome = f"{name} is healthy again and out of quarantine", Outcome.RECOVERED
    elif kind is ChangeKind.GONE:
        title, outcome = f"{name} was removed", Outcome.GONE
    alerts.quarantine_ended(row.container, title, outcome=outcome, since=row.quarantined_at)


def _back(row: HealthStatus, book: ConfigBook, now: datetime) -> list[Next]:
    """Out of quarantine it has come back from the failure that led there, unless that has ended well and was followed."""
    if row.quarantined_at is None:
        return [] if _was_well(row) else dependencies.back(row.pk, book, now)
    newest = newest_failure(row.pk)
    failed = FailureRecord.objects.filter(pk=newest).first() if newest is not None else None
    if failed is None or failed.action_result == ActionResult.SUCCESS:
        return dependencies.back(row.pk, book, now)
    return dependencies.came_back(failed, book, now)


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
    if not at_rest or not _is_waiting(failure) or _ended_by_us(failure, detection.status, snapshot):
        return []
    closed = _close(failure, ActionResult.FAILED, reason, now, in_success_rate=False)
    if closed is not None:
        alerts.resolved(closed, f"{closed.container_name}: {reason}")
    return []


def _ended_by_us(failure: FailureRecord | None, status: Status, snapshot: Snapshot | None) -> bool:
    """Whether a call of ours has ended a container whose failure is open. A mark that a person did counts more."""
    if failure is None or status.ended_at is None:
        return False
    if snapshot is not None and was_stopped_by_hand(status, snapshot):
        return False
    covered = own_calls.our_call_covers(failure.container_id, status.ended_at)
    return covered or (snapshot is not None and own_calls.has_ended(failure.container_id, snapshot))


def _gone(row: HealthStatus, failure: FailureRecord | None, now: datetime) -> None:
    title, since = f"{row.container.name} was removed", row.quarantined_at
    if failure is None:
        return
    reason = "container removed"
    closed = _close(failure, ActionResult.FAILED, reason, now, if_forced=True, in_success_rate=False)
    if closed is not None:
        attempts.end_open(closed, reason, now)
        alerts.resolved(closed, title, outcome=Outcome.GONE, since=since)


def _close(
    failure: FailureRecord,
    result: ActionResult,
    reason: str,
    now: datetime,
    *,
    if_forced: bool = False,
    **fields: bool,
) -> FailureRecord | None:
    """Close a failure as it is by now, with what was told of it since it was read.

    None where somebody has taken it, moved it or (unless `if_forced`) asked for a heal since: they see to its end.
    """
    closed = _unmoved(failure)
    if closed is None or (closed.forced and not if_forced):
        logger.info("left to its worker", extra={"action": "close_left", "failure": failure.pk})
        return None
    heals.close(closed, result, reason, now, fence=closed.fence + 1, **fields)
    logger.info("failure closed: %s", reason, extra={"action": "failure_closed", "failure": failure.pk})
    return closed


def _unmoved(failure: FailureRecord) -> FailureRecord | None:
    """An open failure read anew, and held until the transaction ends; None where it is not where it was."""
    rows = FailureRecord.objects.select_for_update(no_key=True).filter(pk=failure.pk, resolved_at=None)
    found = rows.filter(fence=failure.fence, lease_owner=failure.lease_owner, stage=failure.stage).first()
    if found is not None:
        found.container = failure.container
    return found
