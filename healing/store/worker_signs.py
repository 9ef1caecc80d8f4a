"""What a worker's process shows while it works: that it still checks a shard, and which queues it serves.

A shard that is being checked stays claimed however long its engine hangs, so that it is asked by one task at a time;
and it is free soon after its worker has died, because nobody renews the claim. One thread of the process writes both,
so that no task waits for it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from django.conf import settings
from django.db import DatabaseError, InterfaceError, close_old_connections
from django.db.models import Q

from healing.models import CheckShard
from healing.store import hosts
from healing.store.clock import db_now
from healing.store.queues import SIGN

logger = logging.getLogger(__name__)

EVERY = 4.0
LONGEST_CHECK = 120.0
"""Seconds after which a check counts as lost, whatever its thread does; others may then try."""


class Keeping:
    """Shards being checked and queues served in this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: dict[tuple[int, int], float] = {}
        self._served: set[str] = set()
        self._thread: threading.Thread | None = None

    def serve(self, queue: str) -> None:
        """Show, within EVERY seconds, that this queue is served."""
        with self._lock:
            self._served.add(queue)
        self._start()

    def hold(self, host_id: int, number: int) -> None:
        with self._lock:
            self._held[host_id, number] = time.monotonic()
        self._start()

    def release(self, host_id: int, number: int) -> None:
        with self._lock:
            self._held.pop((host_id, number), None)

    def write(self, now: datetime) -> None:
        """One round; no statement where nothing is to be shown."""
        with self._lock:
            served, self._served = self._served, set()
            oldest = time.monotonic() - LONGEST_CHECK
            held = [shard for shard, begun in self._held.items() if begun >= oldest]
        for queue in served:
            hosts.beat(f"{SIGN}{queue}", now)
        if held:
            chosen = Q()
            for host_id, number in held:
                chosen |= Q(host_id=host_id, number=number)
            rows = CheckShard.objects.filter(chosen, lease_until__isnull=False)
            rows.update(lease_until=now + timedelta(seconds=hosts.SHARD_LEASE))

    def _start(self) -> None:
        with self._lock:
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="keeping", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while True:
            time.sleep(EVERY)
            with self._lock:
                idle = not (self._held or self._served)
            if idle:
                continue
            close_old_connections()
            try:
                self.write(db_now())
            except (DatabaseError, InterfaceError) as error:
                logger.warning("database: %s", error, extra={"action": "keeping_database"})


_keeping = Keeping()


def serve(queue: str) -> None:
    """Show that this process takes from a queue; costs the caller nothing. One process alone need not."""
    if not settings.EMBEDDED:
        _keeping.serve(queue)


@contextmanager
def held(host_id: int, number: int) -> Iterator[bool]:
    """Keep the claim of a shard until the end of the block; False where nobody has a claim: it has been checked since.

    A process that serves all by itself claims for LONGEST_CHECK at once: what it held ends with it, at its next start.
    """
    now = db_now()
    lease = LONGEST_CHECK if settings.EMBEDDED else hosts.SHARD_LEASE
    rows = CheckShard.objects.filter(host_id=host_id, number=number, lease_until__isnull=False)
    if not rows.update(lease_until=now + timedelta(seconds=lease), begun_at=now):
        yield False
        return
    if settings.EMBEDDED:
        yield True
        return
    _keeping.hold(host_id, number)
    try:
        yield True
    finally:
        _keeping.release(host_id, number)
