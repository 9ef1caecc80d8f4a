"""Check containers: look, detect, write what changed."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta

from django.db import InterfaceError, OperationalError

from healing.core.config import Config
from healing.core.detect import detect
from healing.core.errors import ConfigError, EngineRefused, EngineUnreachable
from healing.core.ports import Engine
from healing.core.status import Detection, Seen
from healing.core.types import Health, Lifecycle
from healing.effective import ConfigBook, config_book
from healing.models import Container, FailureRecord, HealthStatus, Host, HostState
from healing.pipeline import alerts
from healing.pipeline import hosts as host_stage
from healing.pipeline.engines import confirm_back, engine_of
from healing.pipeline.look import Listing, is_as_before, look_at
from healing.pipeline.reacting import react
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
        return react(row, detection, config, failure, now, look)


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
