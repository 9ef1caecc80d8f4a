"""Probe closely: containers whose probes have intervals shorter than their checks, in one loop for each process.

The loop decides nothing about a container: where its probes begin to fail, or pass again, it asks for a check, which
looks for itself and counts what the loop has counted.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
import weakref
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from healing.core.closely import RETELL, Ask, Streak, note, reconcile
from healing.core.types import ProbeResult
from healing.effective import ConfigBook, config_book
from healing.pipeline import closely_members
from healing.probes.rounds import Rounds
from healing.store import closely as store
from healing.store.clock import db_now

logger = logging.getLogger(__name__)

REFRESH = 2.0
"""Seconds between two looks at the database: who is to be probed, and what checks have found."""
LINGER = 0.5
"""Seconds for which a host whose run has ended is still probed, until the next run takes it over."""
LONGEST = 60.0
"""Seconds after which a loop takes no further hosts: the next one begins in another worker's time."""

Count = tuple[int, str, int]
"""Container, probe, and how often in a row it has failed."""


@dataclass(frozen=True, slots=True)
class Outward:
    """What the loop has others do. Neither may raise where the broker is away.

    `check`: these containers of a host at once, after so many failures in a row. `go_on`: the next run of a host.
    """

    check: Callable[[int, Sequence[int], int], None]
    go_on: Callable[[int, Sequence[Count]], None]


@dataclass(frozen=True, slots=True)
class _Visit:
    """One host for the time of one run; `until` in seconds of the steady clock."""

    host_id: int
    counts: Sequence[Count]
    until: float


_lock = threading.Lock()
_loop: _Loop | None = None
_looked_in: dict[int, weakref.ref[ConfigBook]] = {}


def ensure(host_id: int, container_ids: Iterable[int], book: ConfigBook) -> None:
    """Have the closely probed ones of a host's containers looked after; the book knows all of them.

    No statement where there are none, and one after each change of configuration where there are.
    """
    seen = _looked_in.get(host_id)
    if seen is not None and seen() is book:
        return
    if any(closely_members.of_container(container_id, book) for container_id in container_ids):
        store.ensure(host_id)
    _looked_in[host_id] = weakref.ref(book)


def run(host_id: int, outward: Outward, counts: Sequence[Count] = ()) -> None:
    """Probe a host's containers for one run, then have the next one started. `counts` are of the run before.

    It loops in this thread; or, where another thread of this process loops already, in that one, and this returns at
    once: so hosts do not take up the workers, however many there are.
    """
    global _loop
    if not store.begin(host_id, db_now()):
        return
    visit = _Visit(host_id, counts, time.monotonic() + store.RUN)
    with _lock:
        if _loop is not None:
            _loop.join(visit)
            return
        loop = _loop = _Loop(outward, visit)
    loop.run()


class _Loop:
    """All hosts that are probed closely by this process."""

    def __init__(self, outward: Outward, first: _Visit) -> None:
        self._outward = outward
        self._began = time.monotonic()
        self._joining = [first]
        self._visits: dict[int, _Visit] = {}
        self._members: dict[int, closely_members.Member] = {}
        self._streaks: dict[int, Streak] = {}
        self._asks: dict[int, Ask] = {}
        self._rounds: Rounds | None = None
        self._refresh_at = self._leave_at = self._began

    def join(self, visit: _Visit) -> None:
        """From another thread, which holds the lock."""
        self._joining.append(visit)
        if self._rounds is not None:
            self._rounds.wake()

    def run(self) -> None:
        try:
            with asyncio.Runner() as runner:
                rounds = self._rounds = runner.run(Rounds.begin(self._take))
                while self._step(rounds, time.monotonic()):
                    runner.run(rounds.wait(LINGER))
        finally:
            with _lock:
                self._close()

    def _take(self, container_id: int, result: ProbeResult) -> bool:
        """One result, in the event loop: nothing but counting."""
        member = self._members.get(container_id)
        if member is None:
            return False
        streak = self._streaks.get(container_id, Streak())
        streak, ask = note(streak, result.name, result.verdict, member.threshold, time.monotonic())
        self._streaks[container_id] = streak
        if ask is not None:
            self._asks[container_id] = ask
        return ask is not None

    def _step(self, rounds: Rounds, now: float) -> bool:
        """What needs the database, between two waits; False when no host is left."""
        if self._let_in() or now >= self._refresh_at:
            self._refresh(rounds, now)
        self._ask(now)
        busy = {member.host_id for member in self._members.values()}
        for visit in list(self._visits.values()):
            if now >= visit.until or visit.host_id not in busy:
                self._end(visit, now)
        with _lock:
            if now >= self._began + LONGEST:
                self._close()
            done = not self._visits and not self._joining and now >= self._leave_at
            if done:
                self._close()
            return not done

    def _close(self) -> None:
        """Take no more hosts. The lock is held."""
        global _loop
        if _loop is self:
            _loop = None

    def _let_in(self) -> bool:
        with _lock:
            joining, self._joining = self._joining, []
        for visit in joining:
            self._visits[visit.host_id] = visit
            for container_id, probe, failures in visit.counts:
                before = self._streaks.setdefault(container_id, Streak())
                if container_id not in self._members:
                    self._streaks[container_id] = Streak({**before.failures, probe: failures})
        return bool(joining)

    def _refresh(self, rounds: Rounds, now: float) -> None:
        """Who is to be probed from now on, and what checks know of them."""
        self._refresh_at = now + REFRESH
        self._members = closely_members.members(self._visits, config_book(), db_now())
        self._streaks = {
            pk: reconcile(self._streaks.get(pk, Streak()), member.is_failing, now)
            for pk, member in self._members.items()
        }
        rounds.keep({pk: member.watched for pk, member in self._members.items()})

    def _ask(self, now: float) -> None:
        asks, self._asks = self._asks, {}
        groups: dict[tuple[int, int], list[int]] = defaultdict(list)
        for container_id, ask in asks.items():
            if (member := self._members.get(container_id)) is not None:
                groups[member.host_id, ask.counted].append(container_id)
                closely_members.forget_place(container_id)
        for (host_id, counted), container_ids in groups.items():
            extra = {"action": "probes_changed", "host": host_id, "containers": container_ids}
            logger.info("probes call for a check", extra=extra)
            self._outward.check(host_id, container_ids, counted)
            self._refresh_at = min(self._refresh_at, now + RETELL)

    def _end(self, visit: _Visit, now: float) -> None:
        """The end of a run. What is probed goes on until the next run is there, or LINGER is over."""
        host_id = visit.host_id
        del self._visits[host_id]
        if not closely_members.any_of(host_id):
            store.forget(host_id)
            return
        mine = [pk for pk, member in self._members.items() if member.host_id == host_id]
        if not mine:
            store.rest(host_id, db_now())
            return
        store.hand_over(host_id, db_now())
        self._leave_at = now + LINGER
        self._refresh_at = min(self._refresh_at, self._leave_at)
        self._outward.go_on(
            host_id,
            [(pk, probe, count) for pk in mine for probe, count in self._streaks[pk].failures.items()],
        )
