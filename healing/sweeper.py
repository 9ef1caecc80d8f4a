"""The sweeper: does what is long due and in nobody's hands, and needs no broker, beat or worker for it.

It makes the same claims as workers do, so that nothing is done twice, also by two sweepers; and it leaves alone what has
only just become due, because a hint to a worker is under way.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Hashable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from typing import Generic, TypeVar

from django.conf import settings
from django.db import DatabaseError, InterfaceError, close_old_connections, connection

from healing.observer import Observer
from healing.pipeline import stages, sweep
from healing.pipeline.warm import warm_up
from healing.store import heals, hosts, queues, refusals, signs, worker_signs
from healing.store.clock import db_now
from healing.store.heals import Next
from notifications import dispatch

logger = logging.getLogger(__name__)

K = TypeVar("K", bound=Hashable)

EVERY = 1.0
SIGN_EVERY = timedelta(seconds=5)
HEAL_OVERDUE = timedelta(seconds=5)
SHARD_OVERDUE = timedelta(seconds=15)
ALERT_OVERDUE = timedelta(seconds=15)
FOLLOWED = timedelta(minutes=5)
"""For so long it remembers what it has taken up."""
HEALS_AT_ONCE, SHARDS_AT_ONCE = 8, 4


class Sweeper:
    """Takes up the heals and checks of the hosts of some queues; without any, of those left to the common workers, and alerts."""

    def __init__(
        self,
        queues: Collection[str] = (),
        heals_at_once: int = HEALS_AT_ONCE,
        shards_at_once: int = SHARDS_AT_ONCE,
    ) -> None:
        self._queues = None if settings.EMBEDDED else frozenset(queues) or frozenset({""})
        self._name = signs.sweeper_name(queues)
        self._heals: _Threads[int] = _Threads("sweep-heal", heals_at_once)
        self._shards: _Threads[tuple[int, int]] = _Threads("sweep-checks", shards_at_once)
        self._alerts: _Threads[str] = _Threads("sweep-alerts", 1)
        self._is_near = bool(queues)
        self._taken: dict[int, datetime] = {}
        self._taking = threading.Lock()
        self._signed_at: datetime | None = None

    def step(self) -> None:
        """One round: hand out what is overdue, as far as threads are free, and show that this sweeper lives."""
        now = db_now()
        if self._signed_at is None or now - self._signed_at >= SIGN_EVERY:
            hosts.beat(self._name, now)
            self._signed_at = now
        self._sweep_heals(now)
        self._sweep_shards(now)
        if not self._is_near and dispatch.is_overdue(now, ALERT_OVERDUE):
            self._alerts.start("alerts", self._deliver)

    @staticmethod
    def _deliver() -> None:
        dispatch.deliver_due()

    def stop(self) -> None:
        """Take up nothing more, and be missed by nobody."""
        for threads in (self._heals, self._shards, self._alerts):
            threads.stop()
        with suppress(DatabaseError, InterfaceError):
            signs.end(self._name)

    def _sweep_heals(self, now: datetime) -> None:
        with self._taking:
            self._taken = {pk: until for pk, until in self._taken.items() if until > now}
            taken = list(self._taken)
        free = self._heals.free
        if not free:
            return
        for following in heals.overdue(now, HEAL_OVERDUE, taken, self._queues, free):
            extra = {"action": "swept_heal", "failure": following.failure_id, "stage": following.stage.value}
            logger.info("nobody had this heal", extra=extra)
            self._move_on(following, now)

    def _move_on(self, following: Next, now: datetime) -> None:
        """What it has taken up it goes on with as soon as it is due, for a while: workers may be back by then.

        Where no thread is free, the next round finds it; and where it is of a host elsewhere, whoever looks after that one.
        """
        if following.elsewhere and self._queues is not None:
            return
        with self._taking:
            self._taken.setdefault(following.failure_id, now + FOLLOWED)
        self._heals.start(following.failure_id, partial(self._run, following))

    def _run(self, first: Next) -> None:
        here: Next | None = first
        while here is not None:
            with queues.only(self._queues):
                found = stages.run(here.stage, here.failure_id)
            here = None
            for following in found:
                if following.failure_id == first.failure_id:
                    here = following
                else:
                    self._move_on(following, db_now())

    def _sweep_shards(self, now: datetime) -> None:
        free = self._shards.free
        if not free:
            return
        mine = self._shards.at_work
        for host_id, number in hosts.claim_overdue_shards(now, SHARD_OVERDUE, self._queues, free, mine):
            extra = {"action": "swept_checks", "host": host_id, "shard": number}
            logger.info("nobody checked this host", extra=extra)
            self._shards.start((host_id, number), partial(self._check, host_id, number, now))

    def _check(self, host_id: int, number: int, begun_at: datetime) -> None:
        with worker_signs.kept(host_id, number, begun_at):
            sweep.check_shard(host_id, number, self._found, begun_at)

    def _found(self, found: Iterable[Next]) -> None:
        for following in found:
            self._move_on(following, db_now())


class _Threads(Generic[K]):
    """So many threads, and one piece of work at a time of each key."""

    def __init__(self, name: str, number: int) -> None:
        self._pool = ThreadPoolExecutor(number, thread_name_prefix=name)
        self._number = number
        self._at_work: set[K] = set()
        self._lock = threading.Lock()

    @property
    def free(self) -> int:
        with self._lock:
            return self._number - len(self._at_work)

    @property
    def at_work(self) -> frozenset[K]:
        """The keys of what is being done."""
        with self._lock:
            return frozenset(self._at_work)

    def start(self, key: K, work: Callable[[], None]) -> bool:
        """Have a free thread do it; False where none is, or where that is being done."""
        with self._lock:
            if key in self._at_work or len(self._at_work) >= self._number:
                return False
            self._at_work.add(key)
        try:
            self._pool.submit(self._run, key, work)
        except RuntimeError:  # the pool is shut down
            self._ended(key)
            return False
        return True

    def stop(self) -> None:
        """Begin nothing more; returns at once."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _run(self, key: K, work: Callable[[], None]) -> None:
        try:
            close_old_connections()
            work()
        except (DatabaseError, InterfaceError) as error:
            refusals.note(error)
            logger.warning("database: %s", error, extra={"action": "sweep_database"})
        except Exception:
            logger.exception("sweeper failed", extra={"action": "sweep_failed"})
        finally:
            self._ended(key)

    def _ended(self, key: K) -> None:
        with self._lock:
            self._at_work.discard(key)


def run(queues: Collection[str], stop: threading.Event, *, few: bool = False) -> None:
    """Sweep, watch over all parts and call the outer heartbeat, until `stop` is set. `few` threads in one process.

    Those near engines only sweep: the channels and addresses may be out of their reach.
    """
    if not queues:
        observer = Observer(pings=True)
        threading.Thread(target=observer.run, args=(stop,), name="dead-man", daemon=True).start()
    sweeper = Sweeper(queues, *((2, 1) if few else (HEALS_AT_ONCE, SHARDS_AT_ONCE)))
    warm_up()
    while not stop.wait(EVERY):
        close_old_connections()
        try:
            sweeper.step()
        except (DatabaseError, InterfaceError) as error:
            refusals.note(error)
            logger.warning("database: %s", error, extra={"action": "sweep_database"})
        except Exception:
            # Who stands in for all the others goes on, whatever one round has met.
            logger.exception("sweeper failed", extra={"action": "sweep_failed"})
    sweeper.stop()
    connection.close()
