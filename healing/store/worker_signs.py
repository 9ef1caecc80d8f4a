"""What a worker's process shows while it works: that it still checks a shard, and which queues it serves.

A shard that is being checked stays claimed however long its engine hangs, so that it is asked by one task at a time;
and it is free soon after its worker has died, because nobody renews the claim. A worker all of whose threads are at work
takes no message, and is not dead for that. One thread of the process writes all of it, so that no task waits for it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import count

from django.conf import settings
from django.db import DatabaseError, InterfaceError, close_old_connections
from django.db.models import Q

from healing.models import CheckShard
from healing.store import hosts, signs
from healing.store.clock import db_now
from healing.store.queues import SIGN

logger = logging.getLogger(__name__)

EVERY = 4.0
SKEW_ROUNDS = 7
"""Rounds between two looks at this process's clock."""
LONGEST_CHECK = 120.0
"""Seconds after which a check counts as lost, whatever its thread does; others may then try.

So does other work, unless its claim lasts longer, as that of an engine call with a long stop timeout does.
"""


Claim = tuple[int, int, datetime]
"""Host, number of the shard, and when it was taken up."""


@dataclass(slots=True)
class _Work:
    """What a thread is doing: since when by the steady clock, and how long its claim lasts by the database's."""

    begun: float
    until: datetime | None = None

    def hangs(self, now: datetime) -> bool:
        is_claimed = self.until is not None and now <= self.until
        return not is_claimed and time.monotonic() - self.begun > LONGEST_CHECK


class Keeping:
    """Shards being checked, queues served and threads at work in this process, which has so many for tasks."""

    def __init__(self, threads: int = 1) -> None:
        self._lock = threading.Lock()
        self._threads = threads
        self._held: dict[Claim, float] = {}
        self._served: set[str] = set()
        self._queues: set[str] = set()
        self._work: dict[int, _Work] = {}
        self._thread: threading.Thread | None = None

    def serve(self, queue: str) -> None:
        """Show, within EVERY seconds, that this queue is served."""
        with self._lock:
            self._served.add(queue)
            self._queues.add(queue)
        self._start()

    def begin(self, threads: int) -> None:
        with self._lock:
            self._threads = threads
        self._start()

    def work(self, queue: str) -> None:
        """This thread is at work now, for a message of this queue."""
        with self._lock:
            self._work[threading.get_ident()] = _Work(time.monotonic())
        self.serve(queue)

    def lasts_until(self, at: datetime) -> None:
        """What this thread is at work on is claimed until then."""
        with self._lock:
            if work := self._work.get(threading.get_ident()):
                work.until = at

    def rest(self) -> None:
        with self._lock:
            self._work.pop(threading.get_ident(), None)

    def hold(self, claim: Claim) -> None:
        with self._lock:
            self._held[claim] = time.monotonic()
        self._start()

    def release(self, claim: Claim) -> None:
        with self._lock:
            self._held.pop(claim, None)

    def write(self, now: datetime) -> None:
        """One round; no statement where nothing is to be shown."""
        with self._lock:
            served, self._served = self._served, set()
            if self._is_full(now):
                served |= self._queues
            oldest = time.monotonic() - LONGEST_CHECK
            held = [claim for claim, begun in self._held.items() if begun >= oldest]
        for queue in served:
            hosts.beat(f"{SIGN}{queue}", now)
        if held:
            chosen = Q()
            for host_id, number, begun_at in held:
                chosen |= Q(host_id=host_id, number=number, begun_at=begun_at)
            rows = CheckShard.objects.filter(chosen, lease_until__isnull=False)
            rows.update(lease_until=now + timedelta(seconds=hosts.SHARD_LEASE))

    def _is_full(self, now: datetime) -> bool:
        """Whether no message can be taken although all is well: every thread is at work, and not all of them hang."""
        return len(self._work) >= self._threads and not all(work.hangs(now) for work in self._work.values())

    def _start(self) -> None:
        with self._lock:
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="keeping", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        for number in count():
            time.sleep(EVERY)
            with self._lock:
                idle = not (self._held or self._served or self._work)
            looks = number % SKEW_ROUNDS == 0
            if not idle or looks:
                self._round(looks)

    def _round(self, looks_at_clock: bool) -> None:
        close_old_connections()
        try:
            self.write(db_now())
            if looks_at_clock:
                signs.show_skew(db_now())
        except (DatabaseError, InterfaceError) as error:
            logger.warning("database: %s", error, extra={"action": "keeping_database"})


_keeping = Keeping()


def begin(threads: int) -> None:
    """Show from now on what there is to be shown, also while no task comes: a clock that is wrong keeps them away.

    `threads`: how many tasks this process does at once.
    """
    if not settings.EMBEDDED:
        _keeping.begin(threads)


def serve(queue: str) -> None:
    """Show that this process takes from a queue; costs the caller nothing. One process alone need not."""
    if not settings.EMBEDDED:
        _keeping.serve(queue)


@contextmanager
def at_work(queue: str) -> Iterator[None]:
    """As `serve`, and show while the block lasts that this thread cannot take a message. Costs the caller nothing."""
    if settings.EMBEDDED:
        yield
        return
    _keeping.work(queue)
    try:
        yield
    finally:
        _keeping.rest()


def lasts_until(at: datetime) -> None:
    """What this thread is at work on is claimed until then: so long it does not count as hanging."""
    _keeping.lasts_until(at)


@contextmanager
def held(host_id: int, number: int) -> Iterator[datetime | None]:
    """Take up the claim of a shard and keep it until the end of the block; when it was taken up.

    None where there is none, or another has taken it up: by the database's time, however old the message, and however
    often it came.

    A process that serves all by itself claims for LONGEST_CHECK at once: what it held ends with it, at its next start.
    """
    now = db_now()
    rows = CheckShard.objects.filter(host_id=host_id, number=number, lease_until__gt=now, begun_at=None)
    if not rows.update(lease_until=now + timedelta(seconds=_lease()), begun_at=now):
        yield None
        return
    with _renewed((host_id, number, now)):
        yield now


@contextmanager
def kept(host_id: int, number: int, begun_at: datetime) -> Iterator[None]:
    """Keep the claim of a shard that has been claimed as taken up at that time, until the end of the block."""
    if settings.EMBEDDED:
        lease_until = db_now() + timedelta(seconds=_lease())
        rows = CheckShard.objects.filter(host_id=host_id, number=number, begun_at=begun_at)
        rows.update(lease_until=lease_until)
    with _renewed((host_id, number, begun_at)):
        yield


def _lease() -> float:
    return LONGEST_CHECK if settings.EMBEDDED else hosts.SHARD_LEASE


@contextmanager
def _renewed(claim: Claim) -> Iterator[None]:
    if settings.EMBEDDED:
        yield
        return
    _keeping.hold(claim)
    try:
        yield
    finally:
        _keeping.release(claim)
