"""Checks that engine events ask for, made in the watcher's own process: the way through the broker is left out.

So a failure is on record a hop sooner, and also while the broker is away. What follows from it goes the usual way.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

from django.conf import settings
from django.db import DatabaseError, InterfaceError, close_old_connections

from healing.models import Container
from healing.pipeline import check
from healing.pipeline.warm import warm_up
from healing.store import refusals
from healing.tasks import check_now, reach_broker, send_next

logger = logging.getLogger(__name__)

THREADS = 8
PER_HOST = 4
"""Checks of one host at once, so that one which hangs keeps no other from being looked at."""


class EventChecks:
    """A few threads, shared by all watchers of this process. Where all are busy, checks go through the broker."""

    def __init__(self, threads: int = THREADS, per_host: int = PER_HOST) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="event-check")
        self._threads, self._per_host = threads, per_host
        self._at_work: Counter[int] = Counter()
        self._lock = threading.Lock()

    def begin(self) -> None:
        """Have a thread ready for the first event, which must not pay for what all of them need."""
        self._pool.submit(self._warm_up)

    def check(self, container: Container, event_at: datetime) -> None:
        """Have a container checked at once, as an event of that time asks; returns before it is."""
        if self._take(container.host_id):
            try:
                self._pool.submit(self._run, container, event_at)
                return
            except RuntimeError:  # the pool is shut down
                self._give_back(container.host_id)
        check_now([container.pk], by_event=True, event_at=event_at, with_probes=False)

    def stop(self) -> None:
        """Begin no more checks; returns at once."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    @staticmethod
    def _warm_up() -> None:
        try:
            warm_up()
            reach_broker()
        except Exception as error:
            logger.debug("not warmed up: %s", error, extra={"action": "warm_up_failed"})

    def _run(self, container: Container, event_at: datetime) -> None:
        try:
            close_old_connections()
            queue = "" if settings.EMBEDDED else container.host.queue
            found = check.check_some(container.host_id, [container.pk], by_event=True, event_at=event_at)
            for following in found:
                send_next(following, early=True, queue=queue)
        except (DatabaseError, InterfaceError) as error:
            refusals.note(error)
            extra = {"action": "event_check_failed", "container": container.name}
            logger.warning("not checked, the next sweep will: %s", error, extra=extra)
        except Exception:
            extra = {"action": "event_check_failed", "container": container.name}
            logger.exception("not checked, the next sweep will", extra=extra)
        finally:
            self._give_back(container.host_id)

    def _take(self, host_id: int) -> bool:
        with self._lock:
            if self._at_work[host_id] >= self._per_host or self._at_work.total() >= self._threads:
                return False
            self._at_work[host_id] += 1
            return True

    def _give_back(self, host_id: int) -> None:
        with self._lock:
            self._at_work[host_id] -= 1
