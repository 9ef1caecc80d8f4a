"""One failure with everything that is found out about it, and how its container stands by now."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from healing.core import lifecycle
from healing.core.config import Config
from healing.core.detect import detect, is_known_failure
from healing.core.diagnose import Diagnosis, diagnose
from healing.core.evidence import Evidence
from healing.core.limits import Budget, attempts_in_row, budget
from healing.core.status import ChangeKind, Seen, Status
from healing.core.types import EngineState, FailureType, Health, ProbeResult, ProbeVerdict, Snapshot
from healing.effective import ConfigBook
from healing.models import Attempt, AttemptState, FailureRecord
from healing.pipeline.engines import find, reachable
from healing.pipeline.look import logs
from healing.pipeline.network import lost_parent
from healing.store import dependencies, history, hosts, own_calls, statuses
from healing.store.clock import db_now

EXTRA_HISTORY = 1


@dataclass(frozen=True, slots=True)
class Case:
    """One failure with all that was found out about it. `made` are the attempts that were made for it, oldest first.

    `along_with` is the container along with which this one is to be restarted, even if it works.
    """

    failure: FailureRecord
    snapshot: Snapshot
    status: Status
    config: Config
    book: ConfigBook
    diagnosis: Diagnosis
    budget: Budget
    made: tuple[Attempt, ...]
    along_with: str = ""

    @property
    def last(self) -> Attempt | None:
        return self.made[-1] if self.made else None

    @property
    def attempts_made(self) -> int:
        return self.last.number if self.last is not None else 0

    @property
    def attempts_tried(self) -> int:
        """How many of them may have reached the engine: the guard has not withdrawn them."""
        return sum(attempt.state != AttemptState.WITHDRAWN for attempt in self.made)

    @property
    def failed_at(self) -> datetime | None:
        """When it began to fail, as far as the engine tells."""
        return lifecycle.failed_at(self.snapshot)


def gather(failure: FailureRecord, book: ConfigBook) -> Case | None:
    """Look, and diagnose; None where the engine has no such container. Raise what the engine raises."""
    container = failure.container
    engine = reachable(container.host)
    snapshot = find(engine, container)
    if snapshot is None:
        return None
    config = book.config(container)
    before = statuses.to_core(container.health)
    status = own_calls.without_our_stop(container.pk, before, lifecycle.follow(before, snapshot))
    now = db_now()
    attempts = history.newest_attempts(container, config.max_restarts + EXTRA_HISTORY)
    past, made = history.as_past(attempts), history.made_for(failure, attempts)
    lines = () if snapshot.health.value == "unhealthy" and snapshot.is_running else logs(engine, snapshot)
    along_with = dependencies.along_with(failure)
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
            start_error=_start_error(made[-1] if made else None),
            network_parent=lost_parent(engine, snapshot, container, book),
            came_back=along_with,
        )
    )
    spent = budget(past, failure.detected_at, config, now, container.health.released_at)
    return Case(failure, snapshot, status, config, book, diagnosis, spent, made, along_with)


def _probes(failure: FailureRecord) -> tuple[ProbeResult, ...]:
    """What our probes said when the failure was found, kept with the record by the check."""
    rows = failure.details.get("probes_at_detection", [])
    return tuple(
        ProbeResult(r["name"], ProbeVerdict(r["verdict"]), r["message"], hung=r["hung"]) for r in rows
    )


def _start_error(last: Attempt | None) -> str:
    if last is None or last.state != AttemptState.FAILED or last.answered_at != last.ended_at:
        return ""
    return last.answer


class Standing(Enum):
    """How a container stands by the time its failure is diagnosed: it may have recovered, or be on its way."""

    FAILING = "failing"
    UNDECIDED = "undecided"
    RECOVERED = "recovered"


def standing_of(case: Case, now: datetime) -> Standing:
    """Judged as a check judges, except that our own probes were the check's business and are not asked again."""
    container = case.failure.container
    host = container.host
    probed = bool(case.book.probes(container))
    watched = hosts.Watched() if case.snapshot.is_running else hosts.watched(host, now)
    seen = Seen(
        case.snapshot,
        stream_since=watched.since,
        events_until=watched.until,
        grace_until=host.grace_until,
        by_event=watched.until is not None,
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
    """Whether our last attempt was found not to have worked, and nobody has started or stopped the container since."""
    last = case.last
    if last is None or last.state != AttemptState.FAILED or last.ended_at is None:
        return False
    if case.snapshot.state is EngineState.EXITED:
        container = case.failure.container
        known = is_known_failure(statuses.to_core(container.health), case.snapshot)
        return known or own_calls.has_ended(container.pk, case.snapshot)
    started = case.snapshot.started_at
    return not (case.snapshot.is_running and started is not None and started > last.ended_at)
