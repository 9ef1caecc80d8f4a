"""Sweep a host: one list call shows which containers are as they were; only the others are looked at.

The number of statements is the same for ten containers and for a thousand; more come only for what has changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from healing.core.cadence import SLACK
from healing.core.errors import ConfigError, EngineRefused, EngineUnreachable
from healing.core.ports import Engine
from healing.core.types import Lifecycle, ProbeResult, ProbeVerdict, Summary
from healing.effective import ConfigBook, config_book
from healing.models import Container, Host, HostState
from healing.pipeline import closely
from healing.pipeline import hosts as host_stage
from healing.pipeline.check import look_and_judge
from healing.pipeline.engines import confirm_back, engine_of
from healing.pipeline.look import Listing, ProbeJob, is_as_before, probe_all, targets
from healing.store import heals, hosts, roster, statuses
from healing.store.clock import db_now
from healing.store.heals import Next
from healing.store.roster import Entry

LONGEST_PAUSE = 10.0
"""Seconds between two sweeps at the most, whatever the intervals of the containers are."""
_UNPROBED = frozenset({Lifecycle.FINISHED, Lifecycle.GONE, Lifecycle.QUARANTINED, Lifecycle.STOPPED_BY_HAND})


def check_shard(host_id: int, number: int) -> list[Next]:
    """Check every container of a shard. Returns the heals to be moved on at once."""
    host = Host.objects.filter(pk=host_id, enabled=True).first()
    if host is None:
        return []
    began = db_now()
    pause: float | None = None
    try:
        found, pause = _sweep(host, began)
        return found
    finally:
        hosts.finish_shard(host_id, number, began, db_now(), pause)


@dataclass(slots=True)
class Plan:
    """What a sweep has to do: look at some containers, ask the probes of some that are as they were.

    Those `at_rest` were to be looked at, and need no time of their own any more.
    """

    look: list[int] = field(default_factory=list)
    look_and_probe: list[int] = field(default_factory=list)
    probe: list[tuple[Entry, Summary]] = field(default_factory=list)
    at_rest: list[int] = field(default_factory=list)

    def rest(self, entry: Entry, is_due: bool) -> None:
        if is_due and entry.next_check_at is not None:
            self.at_rest.append(entry.pk)


def _sweep(host: Host, began: datetime) -> tuple[list[Next], float | None]:
    """The heals to be moved on, and the seconds between sweeps; None where the engine does not answer."""
    book = config_book()
    entries = roster.of_host(host.pk)
    try:
        if host.state == HostState.DOWN:
            confirm_back(host)
        engine = engine_of(host)
        listing = Listing.of(engine)
    except (EngineUnreachable, EngineRefused, ConfigError) as error:
        host_stage.lost(host, str(error), db_now())
        return [], None
    now = db_now()
    host_stage.back(host, now)
    hosts.seen(host, now)
    _learn(entries, book)
    closely.ensure(host.pk, (entry.pk for entry in entries), book)
    pause = min([LONGEST_PAUSE, *(book.known_config(entry.pk).check_interval for entry in entries)])
    plan = _plan(host, entries, listing, book, now)
    statuses.due_with_sweep(plan.at_rest)
    found = look_and_judge(host, engine, plan.look, book, began)
    found += _probe(host, engine, plan.probe, book, began, pause)
    return found + look_and_judge(host, engine, plan.look_and_probe, book, began), pause


def _learn(entries: Sequence[Entry], book: ConfigBook) -> None:
    """Labels are read only for containers whose config is not known yet: one query, not one each."""
    new = [entry.pk for entry in entries if not book.knows(entry.pk)]
    if new:
        book.learn(Container.objects.in_bulk(new).values())


def _plan(host: Host, entries: Sequence[Entry], listing: Listing, book: ConfigBook, now: datetime) -> Plan:
    """An open failure is always looked at; what is paused is not."""
    failing = heals.open_failures_of_host(host.pk)
    latest = now + SLACK
    plan = Plan()
    for entry in entries:
        is_due = entry.next_check_at is None or entry.next_check_at <= latest
        if book.paused(entry, now)[0] is not None:
            plan.rest(entry, is_due)
            continue
        summary = listing.find(entry)
        probed = bool(book.known_probes(entry.pk)) and entry.lifecycle not in _UNPROBED
        if entry.pk not in failing and is_as_before(entry, summary, now):
            if not probed or summary is None:
                plan.rest(entry, is_due)
            elif is_due:
                plan.probe.append((entry, summary))
        elif is_due:
            (plan.look_and_probe if probed else plan.look).append(entry.pk)
    return plan


def _probe(
    host: Host,
    engine: Engine,
    settled: Sequence[tuple[Entry, Summary]],
    book: ConfigBook,
    began: datetime,
    pause: float,
) -> list[Next]:
    """Ask the probes of containers that the list shows as they were; only those that do not all pass are inspected."""
    jobs: dict[int, list[ProbeJob]] = {}
    for entry, summary in settled:
        config = book.known_config(entry.pk)
        jobs[entry.pk] = [(spec, targets(summary), config) for spec in book.known_probes(entry.pk)]
    answers = probe_all(jobs, engine)
    suspects = {pk: results for pk, results in answers.items() if not _all_passed(results)}
    intervals = {pk: book.known_config(pk).check_interval for pk in answers if pk not in suspects}
    # What is as frequent as the sweep is due with each, and needs no time of its own.
    statuses.due_in({pk: seconds for pk, seconds in intervals.items() if seconds > pause * 1.5}, began)
    return look_and_judge(host, engine, list(suspects), book, began, probed=suspects)


def _all_passed(results: Sequence[ProbeResult]) -> bool:
    return all(result.verdict is ProbeVerdict.PASSED for result in results)
