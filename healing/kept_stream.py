"""The events of one stream, kept in memory: taken from the engine at once, and worked off as the database allows.

An engine remembers few events (Docker 256, and every HEALTHCHECK makes some). What has been received must not depend on
whether it can be worked off at this moment, or on whether the engine still has it afterwards.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Iterator
from datetime import datetime, timedelta

from healing.core.errors import EngineUnreachable
from healing.core.types import Event

logger = logging.getLogger(__name__)

WAITING = 10_000
"""More events than this do not wait: the stream ends, and is opened anew where its reader left off."""
DONE = 1_000
DONE_LATELY = timedelta(seconds=60)
"""So many of so long are kept after they were worked off: a database that crashed may have lost what came of them."""


class KeptStream:
    """One reader thread fills it; one other thread works it off, and may go back. Ends where `events` ends."""

    def __init__(
        self,
        events: Iterator[Event],
        since: datetime,
        name: str = "",
        *,
        waiting: int = WAITING,
        done: int = DONE,
    ) -> None:
        """`since`: from when on `events` has all of them; `name`: the host, for logs."""
        self._events, self._known_since, self._name = events, since, name
        self._most_waiting, self._most_done = waiting, done
        self._waiting: deque[Event] = deque()
        self._came: deque[float] = deque()
        self._done: deque[Event] = deque()
        self._changed = threading.Condition()
        self._error: Exception | None = None
        self._ended_at: float | None = None
        self._lost_some = False

    def start(self) -> KeptStream:
        """Begin to read."""
        threading.Thread(target=self._read, name=f"events-{self._name}", daemon=True).start()
        return self

    def next(self) -> Event | None:
        """Wait for the next event; None where the stream was closed. Raise as the stream does once all is worked off.

        It stays the next until `done`.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self.has_ended)
            if self._waiting:
                return self._waiting[0]
            if self._error is not None:
                raise self._error
            return None

    def done(self) -> None:
        """The next event has been worked off."""
        with self._changed:
            last = self._waiting.popleft()
            self._came.popleft()
            self._done.append(last)
            while len(self._done) > self._most_done or self._done[0].at < last.at - DONE_LATELY:
                self._known_since = max(self._known_since, self._done.popleft().at)
                self._lost_some = True

    def go_back(self, after: datetime | None) -> bool:
        """Have what came from `after` on worked off again (None: all); False, and nothing done, where that is not all here."""
        with self._changed:
            if self._lost_some if after is None else after < self._known_since:
                return False
            done = list(self._done)
            first = next((n for n, one in enumerate(done) if after is None or one.at >= after), len(done))
            self._waiting.extendleft(reversed(done[first:]))
            self._came.extendleft([time.monotonic()] * len(done[first:]))
            self._done = deque(done[:first])
            return True

    @property
    def waiting(self) -> int:
        """How many events are to be worked off."""
        with self._changed:
            return len(self._waiting)

    @property
    def oldest_waits(self) -> float:
        """Seconds for which the next event has been waiting to be worked off."""
        with self._changed:
            return time.monotonic() - self._came[0] if self._came else 0.0

    def worked_off_until(self, known: datetime) -> datetime | None:
        """Until when all that happened is worked off, as far as the engine has confirmed it; None where some of it waits.

        `known` where it has confirmed nothing yet.
        """
        with self._changed:
            if self._waiting:
                return None
            return getattr(self._events, "told_until", None) or known

    @property
    def has_ended(self) -> bool:
        """Whether no more events come in; some may still wait."""
        return self._ended_at is not None

    @property
    def ended_ago(self) -> float:
        """Seconds since no more events come in."""
        return time.monotonic() - self._ended_at if self._ended_at is not None else 0.0

    def _read(self) -> None:
        error: Exception | None = None
        try:
            for event in self._events:
                if not self._keep(event):
                    error = EngineUnreachable(f"more than {self._most_waiting} events wait to be worked off")
                    extra = {"action": "watch_overflow", "host": self._name}
                    logger.warning("%s; the stream is opened anew", error, extra=extra)
                    break
        except Exception as broken:
            error = broken
        with self._changed:
            self._error, self._ended_at = error, time.monotonic()
            self._changed.notify_all()

    def _keep(self, event: Event) -> bool:
        with self._changed:
            if len(self._waiting) >= self._most_waiting:
                return False
            self._waiting.append(event)
            self._came.append(time.monotonic())
            self._changed.notify_all()
            return True
