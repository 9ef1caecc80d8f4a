"""The guard before an engine call: whether what was decided still holds, for the world may have moved on since."""

from __future__ import annotations

from datetime import datetime

from healing.core import lifecycle
from healing.core.decide import DRY_RUN, HELD
from healing.core.diagnose import CAME_BACK
from healing.core.types import EngineHealth, EngineState, Snapshot
from healing.effective import ConfigBook
from healing.models import Attempt, FailureRecord
from healing.pipeline import breaking, dependencies
from healing.pipeline.exited import no_failure
from healing.store import heals, statuses
from healing.store.clock import db_now
from healing.store.windows import OUTDATED

STARTED = "it was started meanwhile"


def read_anew(failure: FailureRecord) -> None:
    """What people, the watcher and breakers have written while the engine was asked counts too. Raise StaleFence."""
    rows = FailureRecord.objects.filter(pk=failure.pk, fence=failure.fence, lease_owner=failure.lease_owner)
    fresh = rows.select_related("container__host", "container__health").first()
    if fresh is None:
        raise heals.StaleFence(f"failure #{failure.pk} was taken over by another worker, or deleted")
    failure.container = fresh.container


def why_not(failure: FailureRecord, attempt: Attempt, snapshot: Snapshot | None, book: ConfigBook) -> str:
    """Why the call must not be made, or empty. `book` and the failure's container are to be read after `snapshot`."""
    if snapshot is None:
        return "the container was removed"
    if (snapshot.id, snapshot.started_at) != (attempt.guard_engine_id, attempt.guard_started_at):
        return STARTED
    if snapshot.state in (EngineState.PAUSED, EngineState.RESTARTING, EngineState.REMOVING):
        return f"it is {snapshot.state.value} by now"
    now = db_now()
    paused_until, paused_by = book.paused(failure.container, now)
    if paused_until is not None:
        return f"paused: {paused_by}"
    if held := _held_back(failure, attempt, book, now):
        return held
    return "" if was_forced(attempt) else _changed(failure, snapshot, book, now)


def _changed(failure: FailureRecord, snapshot: Snapshot, book: ConfigBook, now: datetime) -> str:
    """Whether it is no longer ours to touch: somebody has stopped it, or may have, or it is well."""
    before = statuses.to_core(failure.container.health)
    status = lifecycle.follow(before, snapshot)
    if snapshot.state is EngineState.EXITED:
        if lifecycle.was_stopped_by_hand(status, snapshot):
            return "stopped by hand meanwhile"
        config = book.config(failure.container)
        if why_not := no_failure(failure.container, before, snapshot, config, now):
            return f"it has ended meanwhile: {why_not}"
    if snapshot.is_running and lifecycle.is_stopping(status, snapshot, now):
        return "told to stop by somebody meanwhile"
    return "healthy again meanwhile" if _is_healthy(failure, snapshot, book) else ""


def _held_back(failure: FailureRecord, attempt: Attempt, book: ConfigBook, now: datetime) -> str:
    """Whether it is held by now: by a dry run, or by what a person's own demand goes through, such as `auto_restart`."""
    if scope := book.dry_run_by(failure.container):
        return f"{DRY_RUN} of {scope}"
    if was_forced(attempt):
        return ""
    if not book.config(failure.container).auto_restart:
        return "auto_restart is off by now"
    hold = book.maintenance(failure.container, now) or dependencies.held(failure, book, now)
    hold = hold or breaking.hold(failure.container.host, book.system, now)
    return f"{HELD}: {hold.reason}" if hold is not None else ""


def _is_healthy(failure: FailureRecord, snapshot: Snapshot, book: ConfigBook) -> bool:
    """Whether the engine's word is enough: where there are probes of ours too, the checks have to tell.

    One that is restarted along with another may well be healthy.
    """
    if failure.cause == CAME_BACK:
        return False
    is_healthy = snapshot.state is EngineState.RUNNING and snapshot.health is EngineHealth.HEALTHY
    return is_healthy and not book.probes(failure.container)


def outdated(failure: FailureRecord, attempt: Attempt) -> str:
    """Why the decision no longer counts, or empty: what our own probes said then may have changed out of our sight."""
    lost = failure.container.host.state_since
    if lost is not None and lost > attempt.intent_at:
        return "the engine was out of reach since the decision"
    return "decided too long ago" if db_now() - attempt.intent_at > OUTDATED else ""


def was_forced(attempt: Attempt) -> bool:
    """Whether a person has asked for it."""
    return "asked for by a person" in attempt.reason
