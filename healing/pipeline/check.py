"""Check containers: look, detect, write what changed; open failures and close those that are over."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta

from django.db import InterfaceError, OperationalError

from healing.core.config import Config
from healing.core.detect import detect
from healing.core.errors import ConfigError, EngineRefused, EngineUnreachable
from healing.core.ports import Engine
from healing.core.status import ChangeKind, Detection, Seen
from healing.core.types import ActionResult, AlertLevel, FailureType, Health, Lifecycle, ProbeResult
from healing.effective import ConfigBook, config_book
from healing.models import Container, FailureRecord, HealthStatus, Host, HostState, Stage
from healing.pipeline import alerts
from healing.pipeline import hosts as host_stage
from healing.pipeline.engines import confirm_back, engine_of
from healing.pipeline.look import Listing, is_as_before, look_at
from healing.registration.adoption import adopt
from healing.store import heals, hosts, statuses
from healing.store.clock import db_now
from healing.store.durability import settles_later
from healing.store.heals import Next

logger = logging.getLogger(__name__)

TROUBLE = "probe:"


def check_shard(host_id: int, number: int) -> list[Next]:
    """Check every container of a shard that is due. Returns the heals to be moved on at once."""
    host = Host.objects.filter(pk=host_id, enabled=True).first()
    if host is None:
        return []
    try:
        return _sweep(host, db_now())
    finally:
        hosts.finish_shard(host_id, number, db_now())


def check_some(
    host_id: int, container_ids: Sequence[int], *, by_event: bool, with_probes: bool = False
) -> list[Next]:
    """Check these containers now, due or not."""
    logger.debug("check begins", extra={"action": "check_begins", "containers": list(container_ids)})
    host = Host.objects.filter(pk=host_id, enabled=True).first()
    rows = statuses.of_containers(list(container_ids)) if host is not None else []
    if host is None or not rows:
        return []
    now = db_now()
    book = config_book()
    rows = [row for row in rows if not _is_paused(row, book, now)]
    try:
        engine = engine_of(host)
        seen = look_at(engine, host, rows, book, by_event=by_event, with_probes=with_probes)
    except (EngineUnreachable, EngineRefused, ConfigError) as error:
        host_stage.lost(host, str(error), db_now())
        return []
    return _judge_all(host, engine, rows, seen, book)


def _sweep(host: Host, now: datetime) -> list[Next]:
    book = config_book()
    due = [row for row in statuses.of_host(host.pk) if row.next_check_at is None or row.next_check_at <= now]
    try:
        if host.state == HostState.DOWN:
            confirm_back(host)
        engine = engine_of(host)
        listing = Listing.of(engine)
    except (EngineUnreachable, EngineRefused, ConfigError) as error:
        host_stage.lost(host, str(error), db_now())
        return []
    now = db_now()
    host_stage.back(host, now)
    hosts.seen(host, now)
    _load_labels(due, book)
    paused = [row for row in due if _is_paused(row, book, now)]
    rows = [row for row in due if not _is_paused(row, book, now)]
    quiet, rest = _split(host, rows, listing, book, now)
    intervals = {row.pk: book.config(row.container).check_interval for row in due}
    statuses.checked([*quiet, *paused], intervals, now)
    plain = [row for row in rest if not book.probes(row.container)]
    probed = [row for row in rest if book.probes(row.container)]
    return _look_and_judge(host, engine, plain, book) + _look_and_judge(host, engine, probed, book)


def _look_and_judge(host: Host, engine: Engine, rows: Sequence[HealthStatus], book: ConfigBook) -> list[Next]:
    """Containers with probes come after the others: a peer that hangs must not delay what the engine says."""
    if not rows:
        return []
    try:
        seen = look_at(engine, host, rows, book)
    except (EngineUnreachable, EngineRefused) as error:
        host_stage.lost(host, str(error), db_now())
        return []
    return _judge_all(host, engine, rows, seen, book)


def _load_labels(rows: Sequence[HealthStatus], book: ConfigBook) -> None:
    """Labels are read only for containers whose config is not known yet: one query, not one each."""
    new = [row for row in rows if not book.knows(row.pk)]
    loaded = Container.objects.in_bulk([row.pk for row in new])
    for row in new:
        if row.pk in loaded:
            row.container = loaded[row.pk]
            book.effective(row.container)
            book.probes(row.container)


def _split(
    host: Host, rows: Sequence[HealthStatus], listing: Listing, book: ConfigBook, now: datetime
) -> tuple[list[HealthStatus], list[HealthStatus]]:
    """Those of which the list says it all, and those to look at. An open failure is always looked at."""
    failing = heals.open_failures_of_host(host.pk)
    quiet: list[HealthStatus] = []
    rest: list[HealthStatus] = []
    for row in rows:
        summary = listing.find(row.container)
        probed = bool(book.probes(row.container)) and row.lifecycle not in (
            Lifecycle.FINISHED,
            Lifecycle.GONE,
        )
        settled = row.pk not in failing and not probed and is_as_before(row, summary, now)
        (quiet if settled else rest).append(row)
    return quiet, rest


def _is_paused(row: HealthStatus, book: ConfigBook, now: datetime) -> bool:
    return book.paused(row.container, now)[0] is not None


def _judge_all(
    host: Host,
    engine: Engine,
    rows: Sequence[HealthStatus],
    seen: dict[int, Seen],
    book: ConfigBook,
) -> list[Next]:
    failing = heals.open_failures([row.pk for row in rows])
    following: list[Next] = []
    for row in rows:
        try:
            following += _judge_one(host, row, seen[row.pk], book, failing.get(row.pk))
        except (OperationalError, InterfaceError):
            raise
        except Exception:
            # One container that cannot be judged must not cost the others of its host their checks.
            logger.exception(
                "check failed", extra={"action": "check_failed", "container": row.container.name}
            )
            _put_off(row, book)
    return following


def _judge_one(
    host: Host, row: HealthStatus, look: Seen, book: ConfigBook, failure: FailureRecord | None
) -> list[Next]:
    if look.snapshot is not None and look.snapshot.id != row.container.engine_id:
        adopt(host, look.snapshot, row.container.registered_by)
        row = HealthStatus.objects.select_related("container").get(pk=row.pk)
    return _judge(row, look, book.effective(row.container).warnings, book, failure)


def _put_off(row: HealthStatus, book: ConfigBook) -> None:
    later = db_now() + timedelta(seconds=book.config(row.container).check_interval)
    HealthStatus.objects.filter(pk=row.pk).update(next_check_at=later)


def _judge(
    row: HealthStatus,
    look: Seen,
    warnings: Sequence[str],
    book: ConfigBook,
    failure: FailureRecord | None,
) -> list[Next]:
    """One container: detect and write, in one transaction; a verdict about an older row is dropped."""
    config = book.config(row.container)
    now = db_now()
    before = statuses.to_core(row)
    detection = detect(before, look, config, now)
    status = heals.without_our_stop(row.pk, before, detection.status)
    next_check = now + timedelta(seconds=_pause(detection, config))
    fields = {"last_check_time": now, "next_check_at": next_check, "warnings": list(warnings)}
    fields |= {"unpaused_at": status.unpaused_at, "interrupted_at": status.interrupted_at}
    with settles_later():
        if not statuses.write(row, status, **fields):
            statuses.check_again(row.pk, now)
            hosts.sooner(row.container.host_id, now)
            return []
        _sight(row, detection, now)
        return _react(row, detection, config, failure, now, look)


def _pause(detection: Detection, config: Config) -> float:
    if detection.look_again_in is None:
        return config.check_interval
    return min(detection.look_again_in, config.check_interval)


def _sight(row: HealthStatus, detection: Detection, now: datetime) -> None:
    """That we cannot look at a container is told as our own trouble, once."""
    key = f"{TROUBLE}{row.pk}"
    blind = detection.status.health is Health.UNKNOWN and detection.status.message.startswith(
        "could not look"
    )
    if blind:
        if hosts.open_trouble(key, detection.status.message, now):
            alerts.trouble(row.container, detection.status.message)
    elif row.status == Health.UNKNOWN and hosts.end_trouble(key, now):
        alerts.trouble_over(row.container)


def _react(
    row: HealthStatus,
    detection: Detection,
    config: Config,
    failure: FailureRecord | None,
    now: datetime,
    look: Seen,
) -> list[Next]:
    change = detection.change
    if change is None:
        return _at_rest(detection, config, failure, now) if failure is not None else []
    match change.kind:
        case ChangeKind.FAILED:
            return _failed(row, detection, failure, now, look)
        case ChangeKind.HEALTHY:
            return _healthy(row, detection, config, failure, now)
        case ChangeKind.GONE:
            _gone(failure, config, now)
        case ChangeKind.LEFT_ALONE:
            title = f"{row.container.name} was found stopped and is left alone"
            alerts.container(row.container, config, AlertLevel.WARNING, title, change.reason)
    return []


def _failed(
    row: HealthStatus,
    detection: Detection,
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
    return [Next(Stage.DIAGNOSE, opened.pk)]


def _probe_fact(probe: ProbeResult) -> dict[str, object]:
    return {"name": probe.name, "verdict": probe.verdict, "message": probe.message, "hung": probe.hung}


def _still_failing(
    failure: FailureRecord, failure_type: FailureType, reason: str, by_event: bool
) -> list[Next]:
    """A second failure while one is open is folded in; a stage that waits for news is given it."""
    if failure.stage == Stage.VERIFY and by_event:
        return [Next(Stage.VERIFY, failure.pk)]
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
    return [Next(Stage.DIAGNOSE, failure.pk)]


def _healthy(
    row: HealthStatus, detection: Detection, config: Config, failure: FailureRecord | None, now: datetime
) -> list[Next]:
    name = row.container.name
    if failure is None:
        if row.lifecycle == Lifecycle.QUARANTINED:
            alerts.quarantine_ended(row.container, config, f"{name} is healthy again and out of quarantine")
        return []
    if failure.stage == Stage.VERIFY:
        return [Next(Stage.VERIFY, failure.pk)]
    if _is_waiting(failure) and _close(
        failure, ActionResult.SUCCESS, "recovered without an action of ours", now
    ):
        alerts.resolved(failure, config, f"{name} is healthy again", detection.status.message)
    return []


def _is_waiting(failure: FailureRecord) -> bool:
    """Whether a check may end it: nothing is being done about it, and no person has asked for anything."""
    return failure.stage in (Stage.DIAGNOSE, Stage.OBSERVE) and not failure.forced


def _at_rest(detection: Detection, config: Config, failure: FailureRecord, now: datetime) -> list[Next]:
    """Somebody has stopped or finished a container whose failure is open: there is nothing left to heal."""
    reason = detection.status.message
    at_rest = detection.status.lifecycle in (Lifecycle.STOPPED_BY_HAND, Lifecycle.FINISHED)
    if (
        at_rest
        and _is_waiting(failure)
        and _close(failure, ActionResult.FAILED, reason, now, in_success_rate=False)
    ):
        alerts.resolved(failure, config, f"{failure.container_name}: {reason}")
    return []


def _gone(failure: FailureRecord | None, config: Config, now: datetime) -> None:
    if failure is not None and _close(
        failure, ActionResult.FAILED, "container removed", now, in_success_rate=False
    ):
        alerts.resolved(failure, config, f"{failure.container_name} was removed")


def _close(failure: FailureRecord, result: ActionResult, reason: str, now: datetime, **fields: bool) -> bool:
    """Close a failure that nobody has taken since it was read; False where its new holder is to see to its end."""
    try:
        heals.close(failure, result, reason, now, fence=failure.fence + 1, **fields)
    except heals.StaleFence:
        logger.info("left to its worker", extra={"action": "close_left", "failure": failure.pk})
        return False
    logger.info("failure closed: %s", reason, extra={"action": "failure_closed", "failure": failure.pk})
    return True
