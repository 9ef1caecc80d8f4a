"""Verify: has the attempt worked? Healthy again closes the failure; failed again decides anew."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import F

from healing.core import lifecycle
from healing.core.config import Config
from healing.core.errors import ConfigError, PluginError
from healing.core.exits import EVENT_SLACK
from healing.core.limits import is_first
from healing.core.ports import Engine
from healing.core.status import Status
from healing.core.types import (
    ActionKind,
    ActionResult,
    EngineHealth,
    EngineState,
    ExecResult,
    FailureType,
    Health,
    Lifecycle,
    ProbeResult,
    Snapshot,
)
from healing.core.verify import NotVerified, Trial, Verified, Wait, verify
from healing.core.window import after_failed, after_verified
from healing.effective import ConfigBook, config_book, known_book
from healing.models import Attempt, AttemptState, FailureRecord, HealthStatus, Stage
from healing.pipeline import alerts, dependencies
from healing.pipeline.acting import find_now, follow
from healing.pipeline.engines import reachable
from healing.pipeline.exited import no_failure
from healing.pipeline.handsoff import leave, taken_out
from healing.pipeline.look import probe_all, targets
from healing.pipeline.poison import set_aside
from healing.store import heals, own_calls, statuses, windows
from healing.store.clock import db_now
from healing.store.heals import Next
from notifications.core.alert import Outcome

logger = logging.getLogger(__name__)

LEASE = 60.0
RETRY_IN = 2.0


def run(failure_id: int, *, early: bool = False) -> list[Next]:
    """Look at a restarted container; `early` where an event says that there is news before it is due.

    Returns what is to be moved on at once: the heal itself, and those that have got the place of one that has ended.
    """
    failure = heals.claim(failure_id, Stage.VERIFY, LEASE, early=early)
    if failure is None or set_aside(failure):
        return []
    attempt = failure.attempts.order_by("-number").first()
    if attempt is None or attempt.state != AttemptState.VERIFYING:
        heals.move(failure, Stage.DIAGNOSE, db_now())
        return [Next(Stage.DIAGNOSE, failure.pk, failure.priority)]
    # Looking touches nothing: only a host that was disabled, and perhaps never answers again, ends it.
    if out := taken_out(failure, forced=True):
        leave(failure, out)
        return []
    book = config_book()
    config = book.config(failure.container)
    _extend(failure, config, book)
    try:
        engine = reachable(failure.container.host)
        snapshot = find_now(engine, failure.container, attempt)
    except (PluginError, ConfigError) as error:
        _postpone(failure, attempt, f"could not look: {error}")
        return []
    command = _health_command(engine, snapshot, config)
    probes = _probes(failure, engine, snapshot, config, book)
    verdict = verify(_trial(attempt, config), snapshot, command, probes, db_now())
    match verdict:
        case Verified(reason):
            return _verified(failure, attempt, snapshot, reason)
        case NotVerified(reason):
            return _not_verified(failure, attempt, snapshot, reason)
        case Wait(until, reason):
            with transaction.atomic():
                heals.move(failure, Stage.VERIFY, until, reason=f"verifying: {reason}")
                Attempt.objects.filter(pk=attempt.pk).update(looks=F("looks") + 1)
            return []


def _extend(failure: FailureRecord, config: Config, book: ConfigBook) -> None:
    """Probes that may take long would outlast the lease, and no verification would come to its end."""
    specs = book.probes(failure.container)
    longest = max([config.check_timeout, *(spec.timeout or 0.0 for spec in specs)])
    # The command and the probes come one after the other, and the engine's own answers before them.
    if longest > LEASE / 3:
        heals.extend(failure, LEASE + config.check_timeout + longest)


def _postpone(failure: FailureRecord, attempt: Attempt, reason: str) -> None:
    """Not to be able to look is no answer: the time that passes so does not count against the container."""
    now, pause = db_now(), timedelta(seconds=RETRY_IN)
    lost = max(now - (failure.due_at or now), timedelta()) + pause
    with transaction.atomic():
        heals.move(failure, Stage.VERIFY, now + pause, reason=reason)
        Attempt.objects.filter(pk=attempt.pk).update(verify_until=F("verify_until") + lost)


def _trial(attempt: Attempt, config: Config) -> Trial:
    return Trial(
        guard_engine_id=attempt.guard_engine_id,
        guard_started_at=attempt.guard_started_at,
        verify_until=attempt.verify_until or db_now(),
        looks=attempt.looks,
        call_ended=attempt.answered_at is not None,
        answered_at=attempt.answered_at,
        may_finish=not config.always_running,
        start_period=config.start_period,
    )


def _health_command(engine: Engine, snapshot: Snapshot | None, config: Config) -> ExecResult | None:
    """Run the container's own HEALTHCHECK now rather than wait for the engine's next round."""
    if (
        snapshot is None
        or snapshot.state is not EngineState.RUNNING
        or snapshot.health is not EngineHealth.STARTING
    ):
        return None
    argv = snapshot.health_command.argv
    if not argv:
        return None
    try:
        return engine.exec(snapshot.id, argv, min(snapshot.health_command.timeout, config.check_timeout))
    except PluginError:
        return None


def _probes(
    failure: FailureRecord, engine: Engine, snapshot: Snapshot | None, config: Config, book: ConfigBook
) -> tuple[ProbeResult, ...]:
    specs = book.probes(failure.container)
    if snapshot is None or snapshot.state is not EngineState.RUNNING or not specs:
        return ()
    target = targets(snapshot)
    return probe_all({0: [(spec, target, config) for spec in specs]}, engine)[0]


def _verified(failure: FailureRecord, attempt: Attempt, snapshot: Snapshot | None, reason: str) -> list[Next]:
    now = db_now()
    follow(failure.container, attempt, snapshot)
    with transaction.atomic():
        row = statuses.lock(failure.container_id)
        Attempt.objects.filter(pk=attempt.pk).update(
            state=AttemptState.SUCCEEDED, ended_at=now, outcome=reason, answered_at=attempt.answered_at or now
        )
        action = ActionKind(attempt.action)
        heals.add_child(failure, FailureType.AUTO_RESTART, action, ActionResult.SUCCESS, reason, now)
        heals.close(failure, ActionResult.SUCCESS, reason, now)
        _set_healthy(row, snapshot, reason, now)
        title = f"{failure.container_name} is healthy again"
        seconds = (now - failure.detected_at).total_seconds()
        text = f"{reason}, {seconds:.1f} s after the failure was found"
        since = row.quarantined_at
        if failure.is_trial or since is not None:
            out = f"{title} and out of quarantine"
            alerts.quarantine_ended(failure.container, out, outcome=Outcome.HEALED, since=since)
        if not failure.is_trial:
            alerts.resolved(failure, title, text, outcome=_outcome(failure, attempt))
        dependants = dependencies.came_back(failure, known_book(), now)
    logger.info(
        "healed: %s",
        reason,
        extra={"action": "healed", "container": failure.container_name, "failure": failure.pk},
    )
    return [*_move_window(failure, attempt, after_verified), *dependants]


def _outcome(failure: FailureRecord, attempt: Attempt) -> Outcome:
    """How it was healed (a statement where this was not the failure's first attempt)."""
    withdrawn = 0
    if attempt.number > 1:
        withdrawn = failure.attempts.filter(state=AttemptState.WITHDRAWN).count()
    return Outcome.HEALED_AT_FIRST if is_first(attempt.row_number, withdrawn) else Outcome.HEALED


def _move_window(failure: FailureRecord, attempt: Attempt, by: Callable[[float], float]) -> list[Next]:
    """Only first attempts move it: a hopeless container would hold its host at one.

    In a transaction of its own, after the heal's: elsewhere the host is locked before what runs on it.
    """
    if attempt.row_number <= 1:
        return windows.move(failure.container.host_id, by, db_now())
    return windows.hand_on(failure.container.host_id, db_now())


def _set_healthy(row: HealthStatus, snapshot: Snapshot | None, reason: str, now: datetime) -> None:
    status = statuses.to_core(row)
    if snapshot is not None:
        status = lifecycle.follow(status, snapshot)
    HealthStatus.objects.filter(pk=row.pk).update(
        status=Health.HEALTHY,
        lifecycle=Lifecycle.RUNNING,
        consecutive_failures=0,
        healthy_since=now,
        message=reason,
        started_at=status.started_at,
        quarantined_at=None,
        quarantine_until=None,
        version=F("version") + 1,
    )


def _not_verified(
    failure: FailureRecord, attempt: Attempt, snapshot: Snapshot | None, reason: str
) -> list[Next]:
    now = db_now()
    with transaction.atomic():
        Attempt.objects.filter(pk=attempt.pk).update(state=AttemptState.FAILED, ended_at=now, outcome=reason)
        if snapshot is None:
            heals.close(failure, ActionResult.FAILED, "container removed", now, in_success_rate=False)
            alerts.resolved(failure, f"{failure.container_name} was removed", outcome=Outcome.GONE)
            return []
        note_exit(failure, snapshot, by_us=False)
        due_at = _news_come(snapshot, now)
        heals.move(failure, Stage.DIAGNOSE, due_at, action_result=ActionResult.FAILED, reason=reason)
    others = _move_window(failure, attempt, after_failed)
    logger.warning(
        "not healed: %s",
        reason,
        extra={"action": "not_healed", "container": failure.container_name, "failure": failure.pk},
    )
    return [Next(Stage.DIAGNOSE, failure.pk, failure.priority), *others]


def _news_come(snapshot: Snapshot, now: datetime) -> datetime:
    """When it is known who has ended a container: the engine's events may still be under way to us."""
    ended = snapshot.finished_at
    if snapshot.state is not EngineState.EXITED or ended is None:
        return now
    return min(max(now, ended + timedelta(seconds=EVENT_SLACK)), now + timedelta(seconds=EVENT_SLACK))


def note_exit(failure: FailureRecord, snapshot: Snapshot, *, by_us: bool = True) -> None:
    """Remember the exit seen here: a crash loop is recognised whoever saw its exits, and this one is a failure.

    Unless it was caused `by_us`, one that may be a person's stop is left to be judged by what is known later.
    Call it in a transaction, before the failure is written.
    """
    row = statuses.lock(failure.container_id)
    before = statuses.to_core(row)
    status = own_calls.without_our_stop(row.pk, before, lifecycle.follow(before, snapshot))
    fields: dict[str, object] = {}
    if snapshot.state is EngineState.EXITED:
        failed = by_us or not _may_be_a_persons(failure, before, snapshot)
        fields = {"consecutive_failures": before.consecutive_failures + 1 if failed else 0}
        keeps = before.lifecycle is Lifecycle.QUARANTINED or (not failed and _is_at_rest(before, snapshot))
        if not keeps:
            health = Health.UNHEALTHY if failed else Health.UNKNOWN
            fields |= {"lifecycle": Lifecycle.EXITED, "status": health}
    HealthStatus.objects.filter(pk=row.pk).update(
        exits=[list(pair) for pair in status.exits],
        started_at=status.started_at,
        ended_at=status.ended_at,
        version=F("version") + 1,
        **fields,
    )


def _is_at_rest(before: Status, snapshot: Snapshot) -> bool:
    """Whether a check has judged this exit already, and it stays as it was judged: told a second time it would be news."""
    rests = before.lifecycle in (Lifecycle.STOPPED_BY_HAND, Lifecycle.FINISHED)
    return rests and before.ended_at == snapshot.finished_at


def _may_be_a_persons(failure: FailureRecord, before: Status, snapshot: Snapshot) -> bool:
    config = known_book().config(failure.container)
    return bool(no_failure(failure.container, before, snapshot, config, db_now()))
