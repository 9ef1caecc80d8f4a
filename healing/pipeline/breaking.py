"""The breakers of hosts and of the fleet: when they move, what belongs to their incident, and what they hold.

A host's is looked at with every decision about it, in the statement that locks the host anyway, so that a storm is held
from its third failure on. Every tick looks at all of them, decisions or not.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime

from django.db import DatabaseError, InterfaceError, transaction

from healing.core import breaker
from healing.core.breaker import LEAST, Count, Move
from healing.core.decide import Hold
from healing.effective import config_book, known_book
from healing.models import FailureRecord, Host, HostState, SystemState
from healing.pipeline import breaker_alerts, oneself
from healing.store import breaker_counts, breakers, hosts
from healing.store.breaker_counts import STARTED, Row, is_unsettled

logger = logging.getLogger(__name__)


def evaluate(now: datetime) -> None:
    """Move every breaker that is to be moved, once a tick and before it shows itself. One statement where nothing is wrong.

    Nothing but the database's trouble is raised: checks and heals must go on.
    """
    try:
        _evaluate(now)
    except (DatabaseError, InterfaceError):
        raise
    except Exception:
        logger.exception("breakers not evaluated", extra={"action": "breakers_failed"})


def _evaluate(now: datetime) -> None:
    seen = breaker_counts.glance(now)
    if not seen.ticked:
        hosts.beat(STARTED, now)
    if seen.is_blind or not seen.any_up:
        oneself.look(now)
    if seen.is_quiet:
        return
    failing = breaker_counts.failing_by_host()
    running = breaker_counts.running_of(failing)
    counts = {pk: Count(count.failing, running.get(pk, 0), count.unsettled) for pk, count in failing.items()}
    system, started_at = config_book().system, breakers.started_at()
    _evaluate_fleet(system, counts, started_at, now)
    for host in breakers.hosts_to_look_at(_many(counts)):
        if host.state == HostState.DOWN and host.enabled:
            continue
        count = counts.get(host.pk) or Count(running=breaker_counts.number_running(host))
        _step(host, count, now, in_grace=breakers.in_grace(host, started_at, now), system=system)


def _many(counts: dict[int, Count]) -> list[int]:
    return [pk for pk, count in counts.items() if count.failing >= LEAST]


def _evaluate_fleet(
    system: SystemState, counts: dict[int, Count], started_at: datetime | None, now: datetime
) -> None:
    """What fails on one host only is that host's matter."""
    is_open = system.breaker_since is not None
    total = sum(counts.values(), Count())
    if not is_open and (len(counts) < 2 or not breaker.trips(total, system.breaker_share)):
        # Hosts without a failure would only make its share smaller: they need not be counted.
        _end_if_over(system, system, now)
        return
    running = sum(breaker_counts.running_of().values())
    unsettled = sum(
        counts[host.pk].unsettled
        for host in Host.objects.filter(pk__in=[pk for pk, count in counts.items() if count.unsettled])
        if breakers.in_grace(host, started_at, now)
    )
    _step(system, Count(total.failing, running, unsettled), now, in_grace=True, system=system)


def at_decision(host: Host, system: SystemState, now: datetime) -> Hold | None:
    """What is held of a heal about whose host, read `with_open_failures` and locked, is decided now.

    Its breaker is opened first where this failure is one too many. No statement where less than a storm fails.
    """
    count = breaker_counts.count_of(host)
    if count is not None and host.breaker_since is None and breaker.trips(count, host.breaker_share):
        in_grace = breakers.in_grace(host, breakers.started_at(), now)
        _open(host, count, now, in_grace=in_grace, system=system)
    return hold(host, system, now, count)


def hold(host: Host, system: SystemState, now: datetime, count: Count | None = None) -> Hold | None:
    """What the breaker of this host, or the fleet's, holds (no statement)."""
    own = breaker.hold(breakers.to_core(host), now, count)
    return own or breaker.hold(breakers.to_core(system), now)


def incident_of(host: Host) -> int | None:
    """The record of the incident that a failure found on this host now belongs to; None without a storm."""
    if host.breaker_since is not None:
        return host.breaker_incident_id
    system = known_book().system
    return system.breaker_incident_id if system.breaker_since is not None else None


def join(failure: FailureRecord) -> None:
    """Make a failure that belongs to nothing yet part of the storm on its host, whose page and end tell of it."""
    incident_id = incident_of(failure.container.host)
    if incident_id is not None and failure.parent_id is None:
        breakers.attach(incident_id, FailureRecord.objects.filter(pk=failure.pk))


def _step(row: Row, count: Count, now: datetime, *, in_grace: bool, system: SystemState) -> None:
    match breaker.move(breakers.to_core(row), count, now, in_grace=in_grace):
        case Move.OPEN:
            _open(row, count, now, in_grace=in_grace, system=system)
        case Move.CALM:
            breakers.set_calm(row, now)
        case Move.DISTURBED:
            breakers.set_calm(row, None)
        case Move.CLOSE:
            _close(row, count, system, now)
            if isinstance(row, SystemState):
                return  # its incident ends with the next tick: a decision under way may be opening a host's within it
        case Move.NONE:
            pass
    if row.breaker_since is not None:
        _keep(row, count, now)
    else:
        _end_if_over(row, system, now)


def _open(row: Row, count: Count, now: datetime, *, in_grace: bool, system: SystemState) -> None:
    """Open it if it still trips without what people know of, which the counts may not."""
    rows = breaker_counts.failures_of(row)
    failures = list(rows)
    excused = _excused(failures, now)
    left = [failure for failure in failures if failure.pk not in excused]
    unsettled = sum(map(is_unsettled, left)) if isinstance(row, Host) else min(count.unsettled, len(left))
    count = Count(len(left), count.running - len(excused), unsettled)
    if not breaker.trips(count, row.breaker_share, in_grace=in_grace):
        return
    storm = rows.exclude(pk__in=excused)
    first = breakers.first_of(storm, now)
    part_of_fleets = isinstance(row, Host) and system.breaker_since is not None
    fleets = system.breaker_incident_id if part_of_fleets else None
    # What the last storm has left in quarantine is still told by its incident, which goes on with this one.
    incident_id = row.breaker_incident_id or fleets or (first.pk if first is not None else None)
    if incident_id is None:
        return
    with transaction.atomic():
        if not breakers.open_up(row, incident_id, now):
            return
        if fleets is not None:
            breakers.attach(fleets, FailureRecord.objects.filter(pk=incident_id))
        breakers.attach(incident_id, storm)
        if incident_id != fleets:
            breaker_alerts.opened(row, count, left, now)
    extra = {"action": "breaker_opened", "failing": count.failing, "running": count.running}
    logger.error("breaker of %s opened", breakers.name_of(row), extra=extra)


def _excused(failures: Sequence[FailureRecord], now: datetime) -> list[int]:
    """Those that people know of, because they work on them or paused them, and those that fail because another does."""
    book = config_book()
    needs = {
        failure.container_id: [
            edge.dependency for edge in book.dependencies.needs(failure.container_id) if edge.holds
        ]
        for failure in failures
    }
    failing = breaker_counts.failing_among({needed for each in needs.values() for needed in each})
    return [
        failure.pk
        for failure in failures
        if book.maintenance(failure.container, now)
        or book.paused(failure.container, now)[0]
        or failing.intersection(needs[failure.container_id])
    ]


def _keep(row: Row, count: Count, now: datetime) -> None:
    """While it is open: what fails belongs to the incident; people hear when their approval has run out."""
    rows = breaker_counts.failures_of(row)
    if row.breaker_incident_id is None:
        first = breakers.first_of(rows, now)
        breakers.replace_incident(row, first.pk if first is not None else None)
    if row.breaker_incident_id is not None:
        breakers.attach(row.breaker_incident_id, rows)
    if row.approved_until is not None and row.approved_until <= now:
        with transaction.atomic():
            if breakers.end_approval(row, now):
                breaker_alerts.approval_over(row, count)


def _close(row: Row, count: Count, system: SystemState, now: datetime) -> None:
    """Heals go on; the incident is over unless containers of it are left in quarantine, which is told then."""
    incident_id = row.breaker_incident_id
    with transaction.atomic():
        if not breakers.close(row):
            return
        breakers.wake(row, now)
        left = breakers.quarantined(incident_id) if incident_id is not None else []
        if left and not _is_part_of_fleets(row, system):
            breaker_alerts.left_over(row, incident_id, left)
    if isinstance(row, SystemState) and incident_id is not None:
        # Not within: decisions lock their host before the system's row.
        breakers.leave_fleet(incident_id, now)
    extra = {"action": "breaker_closed", "failing": count.failing, "running": count.running}
    logger.warning("breaker of %s closed", breakers.name_of(row), extra=extra)


def _is_part_of_fleets(row: Row, system: SystemState) -> bool:
    """Whether this host's storm is told as the fleet's."""
    return isinstance(row, Host) and row.breaker_incident_id == system.breaker_incident_id is not None


def _end_if_over(row: Row, system: SystemState, now: datetime) -> None:
    """A closed breaker's incident is over when none of its containers is in quarantine any more."""
    incident_id = row.breaker_incident_id
    if incident_id is None or row.breaker_since is not None:
        return
    if isinstance(row, SystemState):
        # Again: who closed it may have died before.
        breakers.leave_fleet(incident_id, now)
    is_told = not _is_part_of_fleets(row, system)
    if is_told and breakers.quarantined(incident_id):
        return
    with transaction.atomic():
        if breakers.end_incident(row) and is_told:
            breaker_alerts.over(row, incident_id, now)
