"""Check containers: look, detect, write what changed."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from django.db import InterfaceError, OperationalError

from healing.core.cadence import with_sweep
from healing.core.config import Config
from healing.core.detect import detect
from healing.core.errors import ConfigError, PluginError
from healing.core.ports import Engine
from healing.core.status import Detection, Seen
from healing.core.types import Health, Lifecycle, ProbeResult
from healing.effective import ConfigBook, config_book
from healing.models import FailureRecord, HealthStatus, Host
from healing.pipeline import alerts
from healing.pipeline import hosts as host_stage
from healing.pipeline.engines import engine_of
from healing.pipeline.look import SETTLED, look_at
from healing.pipeline.reacting import react
from healing.registration.adoption import adopt
from healing.store import heals, hosts, own_calls, statuses, troubles
from healing.store.clock import db_now
from healing.store.durability import settles_later
from healing.store.heals import Next
from healing.store.troubles import BLIND

logger = logging.getLogger(__name__)

BLIND_PAUSE = timedelta(seconds=300)
"""At the most so long until a container that cannot be looked at is tried again."""


def check_some(
    host_id: int,
    container_ids: Sequence[int],
    *,
    by_event: bool,
    with_probes: bool = False,
    counted: int = 0,
    before_each: Callable[[], None] | None = None,
    event_at: datetime | None = None,
) -> list[Next]:
    """Check these containers now, due or not. `counted` failures in a row of each went before.

    `before_each` of them is inspected that is called; what it raises is raised. `event_at`: the time of the event that
    asked for it; without that, nothing that an event tells can still be on its way.
    """
    logger.debug("check begins", extra={"action": "check_begins", "containers": list(container_ids)})
    rows = [row for row in statuses.of_containers(container_ids) if row.container.host_id == host_id]
    if not rows or not rows[0].container.host.enabled:
        return []
    host, now = rows[0].container.host, db_now()
    book = config_book()
    rows = [row for row in rows if not _is_paused(row, book, now)]
    try:
        engine = engine_of(host)
        seen = look_at(
            engine, host, rows, book, by_event=by_event, with_probes=with_probes, before_each=before_each
        )
        seen = {pk: replace(look, counted=counted) for pk, look in seen.items()} if counted else seen
    except (PluginError, ConfigError) as error:
        host_stage.lost(host, str(error), db_now(), asked_at=now)
        return []
    if by_event:
        seen = {pk: _told_until(look, event_at) for pk, look in seen.items()}
    return _judge_all(host, rows, seen, book, now)


def look_and_judge(
    host: Host,
    engine: Engine,
    container_ids: Sequence[int],
    book: ConfigBook,
    began: datetime,
    *,
    probed: Mapping[int, tuple[ProbeResult, ...]] | None = None,
) -> list[Next] | None:
    """Inspect these containers of a sweep that began at `began`, and judge each; None where the engine is lost."""
    if not container_ids:
        return []
    rows = statuses.of_containers(container_ids)
    try:
        seen = look_at(engine, host, rows, book, probed=probed)
    except PluginError as error:
        host_stage.lost(host, str(error), db_now(), asked_at=began)
        return None
    return _judge_all(host, rows, seen, book, began)


def _told_until(look: Seen, event_at: datetime | None) -> Seen:
    """What was looked at because of an event: all before that is worked off."""
    if event_at is None or look.events_until is None:
        return replace(look, events_until=None)
    return replace(look, events_until=max(look.events_until, event_at))


def _is_paused(row: HealthStatus, book: ConfigBook, now: datetime) -> bool:
    return book.paused(row.container, now)[0] is not None


def _judge_all(
    host: Host, rows: Sequence[HealthStatus], seen: dict[int, Seen], book: ConfigBook, began: datetime
) -> list[Next]:
    failing = heals.open_failures([row.pk for row in rows])
    following: list[Next] = []
    for row in rows:
        try:
            following += _judge_one(host, row, seen[row.pk], book, failing.get(row.pk), began)
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
    host: Host,
    row: HealthStatus,
    look: Seen,
    book: ConfigBook,
    failure: FailureRecord | None,
    began: datetime,
) -> list[Next]:
    if look.snapshot is not None and look.snapshot.id != row.container.engine_id:
        adopt(host, look.snapshot, row.container.registered_by)
        row = statuses.of_containers([row.pk])[0]
    return _judge(row, look, book, failure, began)


def _put_off(row: HealthStatus, book: ConfigBook) -> None:
    later = db_now() + timedelta(seconds=book.config(row.container).check_interval)
    HealthStatus.objects.filter(pk=row.pk).update(next_check_at=later)


def _judge(
    row: HealthStatus, look: Seen, book: ConfigBook, failure: FailureRecord | None, began: datetime
) -> list[Next]:
    """One container: detect and write, in one transaction; a verdict about an older row is dropped."""
    effective = book.effective(row.container)
    now = db_now()
    began = min(began, now)  # the clock may have been set back since
    before = statuses.to_core(row)
    detection = detect(before, look, effective.config, now)
    status = own_calls.without_our_stop(row.pk, before, detection.status)
    fields = {"last_check_time": now, "next_check_at": _next_check(row, detection, effective.config, began)}
    marks = ("unpaused_at", "interrupted_at", "stopped_by_hand_at")
    fields |= {name: getattr(status, name) for name in marks}
    if _is_blind(detection):
        fields["next_check_at"] = began + _blind_pause(row.pk, effective.config, now)
    with settles_later():
        if not statuses.write(row, status, warnings=list(effective.warnings), **fields):
            statuses.check_again(row.pk, now)
            hosts.sooner(row.container.host_id, now)
            return []
        _sight(row, detection, book, now)
        return react(row, detection, effective.config, failure, now, look, book)


def _next_check(row: HealthStatus, detection: Detection, config: Config, began: datetime) -> datetime | None:
    """None, with each sweep, for what the sweep's list shows to be as it was; else a time of its own."""
    status = detection.status
    if detection.look_again_in is None:
        settled = status.health is Health.HEALTHY and status.lifecycle is Lifecycle.RUNNING
        if (settled and not status.consecutive_failures) or status.lifecycle in SETTLED:
            return None
        at = began + timedelta(seconds=config.check_interval)
        return with_sweep(at, config.check_interval, row.container.host_id)
    return began + timedelta(seconds=min(detection.look_again_in, config.check_interval))


def _is_blind(detection: Detection) -> bool:
    status = detection.status
    return status.health is Health.UNKNOWN and status.message.startswith("could not look")


def _blind_pause(container_id: int, config: Config, now: datetime) -> timedelta:
    """One whose inspection hangs takes a worker for as long as it hangs, so it is tried less and less often."""
    since = troubles.trouble_since(f"{BLIND}{container_id}")
    grown = min((now - since) / 4, BLIND_PAUSE) if since is not None else timedelta()
    return max(timedelta(seconds=config.check_interval), grown)


def _sight(row: HealthStatus, detection: Detection, book: ConfigBook, now: datetime) -> None:
    """That we cannot look at a container is told as our own trouble, once; in maintenance not before its end."""
    key = f"{BLIND}{row.pk}"
    if _is_blind(detection):
        quietly = book.maintenance(row.container, now) is not None
        if troubles.open_trouble(key, detection.status.message, now, quietly=quietly):
            alerts.trouble(row.container, detection.status.message)
    elif row.status == Health.UNKNOWN and troubles.end_trouble(key, now):
        alerts.trouble_over(row.container)
