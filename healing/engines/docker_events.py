"""The engine's event stream: opened once, watched for silence, never reconnected here (the watcher does that)."""

from __future__ import annotations

import http.client
import json
import logging
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from typing import Any, NamedTuple

from healing.core.errors import EngineUnreachable
from healing.core.events import IN_FLIGHT, EventStream
from healing.core.types import Event, EventKind
from healing.engines.address import Address
from healing.engines.docker_errors import transport_error
from healing.engines.docker_http import Stream
from healing.engines.docker_payloads import parse_event

logger = logging.getLogger(__name__)

# exec_create, exec_start and exec_die are left out: every HEALTHCHECK run makes all three.
_ACTIONS = sorted({kind.value.partition(":")[0] for kind in EventKind})

FILTERS = json.dumps({"type": ["container"], "event": _ACTIONS})

ASK_AFTER = 5.0
"""Seconds of silence after which the engine is asked what the stream should have brought."""


class History(NamedTuple):
    """What an engine tells when it is asked. `until`: as far as it told all; None where it did not."""

    newest: Event | None = None
    """The newest event that the stream has not brought."""
    until: datetime | None = None


def history_query(since: datetime, now: datetime) -> dict[str, str]:
    """The query for the events after `since` that a stream which works has brought by `now`; it ends by itself."""
    return events_query(since, now) | {"until": _nanoseconds(now - IN_FLIGHT)}


def newest_after(since: datetime, lines: Iterable[bytes]) -> Event | None:
    """The newest event of an answer that is later than `since`."""
    events = [event for event in map(_decode, lines) if event is not None and event.at > since]
    return max(events, key=lambda event: event.at, default=None)


def events_query(since: datetime | None, now: datetime | None) -> dict[str, str]:
    """The query of GET /events. A `since` in the engine's future (its clock went back) becomes its present, `now`."""
    query = {"filters": FILTERS}
    moments = [moment for moment in (since, now) if moment is not None]
    if moments:
        query["since"] = _nanoseconds(min(moments))
    return query


class EventReader:
    """Iterates over the events of an open stream until `close`, which may come from another thread."""

    def __init__(
        self,
        stream: Stream,
        address: Address,
        missed: Callable[[datetime], History],
        idle_timeout: float,
        opened_at: datetime,
    ) -> None:
        """`missed` asks the engine for what has happened after a time, and raises EngineUnreachable where it is silent."""
        self._stream = stream
        self._address = address
        self._missed = missed
        self._last_at = opened_at
        self._idle_timeout = idle_timeout
        self._heard_at = time.monotonic()
        self._told: EventStream | None = None
        self._closing = False
        stream.watch(min(idle_timeout, ASK_AFTER), self._ask_whether_alive)

    def follow(self, told: EventStream) -> Iterator[Event]:
        """The events of this stream as `told`, which learns until when all have come."""
        self._told = told
        try:
            while line := self._readline():
                event = _decode(line)
                self._heard_at = time.monotonic()
                if event is not None:
                    self._last_at = max(self._last_at, event.at)
                    yield event
        finally:
            self._stream.close()
        if not self._closing:
            raise EngineUnreachable(f"the event stream of {self._address} ended")

    def close(self) -> None:
        self._closing = True
        self._stream.shutdown()

    def _readline(self) -> bytes:
        try:
            return b"" if self._closing else self._stream.readline()
        except (OSError, http.client.HTTPException, ValueError) as error:
            if self._closing:
                return b""
            raise transport_error(self._address, error, self._idle_timeout) from error

    def _ask_whether_alive(self) -> None:
        """Raise EngineUnreachable where the engine no longer answers on another connection, for as long as the idle
        timeout, or tells of an event there that has not come through here: a stream can be dead while its engine lives.
        """
        if self._closing:
            return
        try:
            event, until = self._missed(self._last_at)
        except EngineUnreachable:
            if time.monotonic() - self._heard_at < self._idle_timeout:
                return
            raise
        if event is not None:
            raise EngineUnreachable(
                f"the event stream of {self._address} is dead: it did not bring {event.kind.value} of {event.name}"
            )
        self._heard_at = time.monotonic()
        if self._told is not None and until is not None:
            self._told.told_until = until


def _decode(line: bytes) -> Event | None:
    try:
        body: Any = json.loads(line)
    except ValueError:
        logger.warning("an event that is no JSON was passed over", extra={"action": "event_unreadable"})
        return None
    return parse_event(body) if isinstance(body, dict) else None


def _nanoseconds(moment: datetime) -> str:
    whole = moment.astimezone(UTC)
    return f"{int(whole.timestamp())}.{whole.microsecond:06d}000"
