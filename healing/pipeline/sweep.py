"""Sweep a host: one list call shows which containers are as they were; only the others are looked at.

The number of statements is the same for ten containers and for a thousand; more come only for what has changed.
The important go first. What there is no time for, or no worker, is put off: the least important, never the critical.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial

from healing.core.cadence import LONGEST
from healing.core.errors import ConfigError, PluginError
from healing.core.ports import Engine
from healing.core.shedding import DEFAULT_RANK, rank
from healing.core.types import ProbeResult, ProbeVerdict, Summary
from healing.effective import ConfigBook, config_book
from healing.models import Container, Host, HostState
from healing.pipeline import closely
from healing.pipeline import hosts as host_stage
from healing.pipeline.check import look_and_judge
from healing.pipeline.engines import confirm_back, confirm_inspects, engine_of
from healing.pipeline.look import Listing, ProbeJob, probe_all, targets
from healing.pipeline.plan import Plan, Work, plan_of
from healing.store import hosts, overload, roster, statuses
from healing.store.clock import db_now
from healing.store.heals import Next
from healing.store.roster import Entry

LOOKS_AT_ONCE = 10
"""So many inspections, and it is asked again whether there is time for more."""
SHORTEST_TIME = 5.0
"""Seconds that a sweep has at the least, however short the intervals of the containers are."""
FRESH = timedelta(seconds=1)
"""For so long a sweep believes that nobody waits, where nobody has waited lately."""

PassOn = Callable[[Sequence[Next]], None]


def check_shard(host_id: int, number: int, pass_on: PassOn, begun_at: datetime | None = None) -> None:
    """Check every container of a shard. `pass_on` gets the heals that are to be moved on at once, as they are found.

    `begun_at`: when its claim was taken up; only that claim is given back. None: whoever has it.
    """
    host = Host.objects.filter(pk=host_id, enabled=True).first()
    if host is None:
        return
    sweep = Sweep(host, pass_on, db_now())
    try:
        sweep.run()
    finally:
        now = db_now()
        hosts.finish_shard(
            host_id,
            number,
            sweep.began,
            now,
            sweep.pause,
            priority=sweep.priority,
            has_put_off=bool(sweep.put_off) or sweep.has_left_blind,
            is_cut_short=sweep.is_cut_short,
            begun_at=begun_at,
        )
        overload.count(host_id, sweep.put_off, now)


@dataclass(frozen=True, slots=True)
class _Step:
    """What is done at once. Its result is None where the engine was lost."""

    container_ids: Sequence[int]
    run: Callable[[], list[Next] | None]


@dataclass(slots=True)
class Sweep:
    """One sweep of a host. `pause` in seconds until the next, None where the engine does not answer.

    `put_off` counts checks by rank. `is_cut_short`: some of them because there was no time, and not by the overload's level.
    `has_left_blind`: not all that could not be looked at last time got their turn.
    """

    host: Host
    pass_on: PassOn
    began: datetime
    pause: float | None = None
    priority: int = DEFAULT_RANK
    put_off: dict[int, int] = field(default_factory=dict)
    is_cut_short: bool = False
    has_left_blind: bool = False
    _state: overload.State | None = None
    _asked_at: datetime | None = None

    def run(self) -> None:
        host, book = self.host, config_book()
        entries = roster.of_host(host.pk)
        self.priority = min((entry.priority for entry in entries), default=DEFAULT_RANK)
        try:
            if host.state == HostState.DOWN:
                confirm_back(host)
            engine = engine_of(host)
            listing = Listing.of(engine)
            if host.state == HostState.DOWN:
                confirm_inspects(engine, listing.by_id)
        except (PluginError, ConfigError) as error:
            host_stage.lost(host, str(error), db_now(), asked_at=self.began)
            return
        now = db_now()
        host_stage.back(host, now)
        hosts.seen(host, now)
        _learn(entries, book)
        closely.ensure(host.pk, (entry.pk for entry in entries), book)
        self.pause = min([LONGEST, *(book.known_config(entry.pk).check_interval for entry in entries)])
        self.priority = _note_priorities(entries, book)
        plan = plan_of(host.pk, entries, listing, book, now)
        statuses.due_with_sweep(plan.at_rest)
        self._do(plan, engine, book)

    def _do(self, plan: Plan, engine: Engine, book: ConfigBook) -> None:
        """Each priority is looked at, and its heals are passed on, before the next is looked at."""
        for its_rank in sorted(plan.by_rank):
            steps = list(self._steps(plan.by_rank[its_rank], engine, book))
            for number, step in enumerate(steps):
                if self._has_no_time(its_rank):
                    self._put_off(its_rank, [pk for left in steps[number:] for pk in left.container_ids])
                    break
                found = step.run()
                if not self._passed_on(found):
                    return
        self._look_at_blind(plan.blind, engine, book)

    def _look_at_blind(self, container_ids: Sequence[int], engine: Engine, book: ConfigBook) -> None:
        """One of those that may hang again, and more while there is time; those late longest come first with each sweep."""
        end = db_now() + timedelta(seconds=self._time)
        for number, pk in enumerate(container_ids):
            if number and db_now() >= end:
                self.has_left_blind = True
                return
            if not self._passed_on(look_and_judge(self.host, engine, [pk], book, self.began)):
                return

    @property
    def _time(self) -> float:
        """Seconds that there are for what is not critical."""
        return max(self.pause or 0.0, SHORTEST_TIME)

    def _passed_on(self, found: list[Next] | None) -> bool:
        """Pass on what was found; False where the engine was lost, which is asked again at the pace of one that is down."""
        if found is None:
            self.pause = None
            return False
        if found:
            self.pass_on(found)
        return True

    def _steps(self, work: Work, engine: Engine, book: ConfigBook) -> Iterator[_Step]:
        """Probes come last, because a peer that hangs must not delay what the engine says."""
        look = partial(look_and_judge, self.host, engine, book=book, began=self.began)
        for ids in _chunks(work.look):
            yield _Step(ids, partial(look, ids))
        if work.probe:
            yield _Step([entry.pk for entry, _ in work.probe], partial(self._probe, engine, work.probe, book))
        for ids in _chunks(work.look_and_probe):
            yield _Step(ids, partial(look, ids))

    def _has_no_time(self, its_rank: int) -> bool:
        """Whether checks of this rank are to be put off: never the critical ones.

        Others are as long as overload lasts, when the interval is over, and when a more important host waits for a worker.
        """
        if its_rank == 0:
            return False
        if self._state is None:
            self._state = overload.state_of(self.host.queue)
        if self._state.sheds(its_rank):
            return True
        now = db_now()
        fresh = now - (self._asked_at or self.began) < FRESH and not self._state.is_tense
        if not self.is_cut_short and not fresh:
            self._asked_at = now
            is_over = now - self.began > timedelta(seconds=self._time)
            self.is_cut_short = is_over or overload.is_waited_for(self.host.queue, its_rank, now)
        return self.is_cut_short

    def _put_off(self, its_rank: int, container_ids: Sequence[int]) -> None:
        statuses.put_off(container_ids, self.began)
        self.put_off[its_rank] = self.put_off.get(its_rank, 0) + len(container_ids)

    def _probe(
        self, engine: Engine, settled: Sequence[tuple[Entry, Summary]], book: ConfigBook
    ) -> list[Next] | None:
        """Ask the probes of containers that the list shows as they were; only those that do not all pass are inspected."""
        assert self.pause is not None
        jobs: dict[int, list[ProbeJob]] = {}
        for entry, summary in settled:
            config = book.known_config(entry.pk)
            jobs[entry.pk] = [(spec, targets(summary), config) for spec in book.known_probes(entry.pk)]
        answers = probe_all(jobs, engine)
        suspects = {pk: results for pk, results in answers.items() if not _all_passed(results)}
        intervals = {pk: book.known_config(pk).check_interval for pk in answers if pk not in suspects}
        # What is as frequent as the sweep is due with each, and needs no time of its own.
        seldom = {pk: seconds for pk, seconds in intervals.items() if seconds > self.pause * 1.5}
        statuses.due_in(seldom, self.began)
        often = intervals.keys() - seldom.keys()
        statuses.due_with_sweep(
            [entry.pk for entry, _ in settled if entry.pk in often and entry.next_check_at]
        )
        return look_and_judge(self.host, engine, list(suspects), book, self.began, probed=suspects)


def _chunks(container_ids: Sequence[int]) -> Iterator[Sequence[int]]:
    for start in range(0, len(container_ids), LOOKS_AT_ONCE):
        yield container_ids[start : start + LOOKS_AT_ONCE]


def _learn(entries: Sequence[Entry], book: ConfigBook) -> None:
    """Labels are read only for containers whose config is not known yet: one query, not one each."""
    new = [entry.pk for entry in entries if not book.knows(entry.pk)]
    if new:
        book.learn(Container.objects.in_bulk(new).values())


def _note_priorities(entries: Sequence[Entry], book: ConfigBook) -> int:
    """Write down the ranks that have changed; the rank of the most important."""
    ranks = {entry.pk: rank(book.known_config(entry.pk).priority) for entry in entries}
    statuses.set_priorities({e.pk: ranks[e.pk] for e in entries if ranks[e.pk] != e.priority})
    return min(ranks.values(), default=DEFAULT_RANK)


def _all_passed(results: Sequence[ProbeResult]) -> bool:
    return all(result.verdict is ProbeVerdict.PASSED for result in results)
