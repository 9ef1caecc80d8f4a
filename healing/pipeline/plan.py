"""What a sweep has to do, the most important first. Made by `sweep` from the engine's list."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from healing.core.cadence import SLACK
from healing.core.shedding import rank
from healing.core.types import Lifecycle, Summary
from healing.effective import ConfigBook
from healing.pipeline.look import Listing, is_as_before
from healing.store import heals, troubles
from healing.store.roster import Entry
from healing.store.troubles import BLIND

_UNPROBED = frozenset({Lifecycle.FINISHED, Lifecycle.GONE, Lifecycle.QUARANTINED, Lifecycle.STOPPED_BY_HAND})


@dataclass(slots=True)
class Work:
    """What is to be done for the containers of one priority: look at some, ask the probes of some that are as they were."""

    look: list[int] = field(default_factory=list)
    look_and_probe: list[int] = field(default_factory=list)
    probe: list[tuple[Entry, Summary]] = field(default_factory=list)

    @property
    def container_ids(self) -> list[int]:
        return [*self.look, *(entry.pk for entry, _ in self.probe), *self.look_and_probe]


@dataclass(slots=True)
class Plan:
    """The work by rank. Those `at_rest` were to be looked at, and need no time of their own any more. Those
    that could not be looked at last time are `blind`: they come after all others, whom they would keep waiting."""

    by_rank: dict[int, Work] = field(default_factory=lambda: defaultdict(Work))
    at_rest: list[int] = field(default_factory=list)
    blind: list[int] = field(default_factory=list)

    def rest(self, entry: Entry, is_due: bool) -> None:
        if is_due and entry.next_check_at is not None:
            self.at_rest.append(entry.pk)


def plan_of(
    host_id: int, entries: Sequence[Entry], listing: Listing, book: ConfigBook, now: datetime
) -> Plan:
    """An open failure is always looked at, as what is critical is; what is paused is not. Of one priority, those late longest come first."""
    failing = heals.open_failures_of_host(host_id)
    blind = troubles.open_trouble_keys(BLIND)
    latest = now + SLACK
    plan = Plan()
    for entry in sorted(entries, key=lambda entry: entry.next_check_at or now):
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
                plan.by_rank[_rank(entry, book)].probe.append((entry, summary))
        elif is_due and f"{BLIND}{entry.pk}" in blind:
            plan.blind.append(entry.pk)
        elif is_due:
            work = plan.by_rank[0 if entry.pk in failing else _rank(entry, book)]
            (work.look_and_probe if probed else work.look).append(entry.pk)
    return plan


def _rank(entry: Entry, book: ConfigBook) -> int:
    return rank(book.known_config(entry.pk).priority)
