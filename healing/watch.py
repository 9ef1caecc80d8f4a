"""Engine event streams: hints within milliseconds, and the marks that only events can give.

A thread for each host holds the stream, reconnects where it left off, and has everything looked at after a gap. While
the database is away the stream is held (`healing.kept_stream`), and what came is worked off when it is back.
Nothing depends on it: polling goes on beneath and finds the same failures, later.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta

from django.db import DatabaseError, InterfaceError, close_old_connections, connection

from healing.core.errors import ConfigError, EngineUnreachable, PluginError
from healing.core.events import HINTS, StreamMemory, remember
from healing.core.exits import PATIENCE
from healing.core.ports import Engine
from healing.core.types import Event, EventKind
from healing.engines import introduced, open_engine
from healing.kept_stream import KeptStream
from healing.models import Container, Host
from healing.pipeline import hosts as host_stage
from healing.pipeline import stream_end
from healing.pipeline.comeback import Absence, Comeback
from healing.pipeline.engines import config_of
from healing.pipeline.event_marks import container_of, is_our_doing, mark
from healing.registration.watching import register_started, register_wanted
from healing.store import hosts, refusals, statuses
from healing.store.clock import db_now
from healing.store.cursor import Cursor
from healing.tasks import check_now

logger = logging.getLogger(__name__)

IDLE_TIMEOUT = 10.0
RELIST_IN = timedelta(seconds=1)
FIRST_PAUSE = 0.25
LONGEST_PAUSE = 5.0
FIRST_ASK, LONGEST_ASK = 0.1, 3.0
"""Pauses until the database is asked again, in seconds; in between an eighth of the time for which it has been away."""


def _check_by_broker(container: Container, event_at: datetime) -> None:
    check_now([container.pk], by_event=True, event_at=event_at, with_probes=False)


class HostWatcher:
    """The event stream of one host. `connected` while it is held."""

    def __init__(self, host: Host, check: Callable[[Container, datetime], None] | None = None) -> None:
        """`check` has a container checked at once as an event of that time asks, without waiting for it.

        By default through the broker.
        """
        self.host_id = host.pk
        self._check = check or _check_by_broker
        self.name = host.name
        self.config = config_of(host)
        self.connected = threading.Event()
        self._stop = threading.Event()
        self._engine: Engine | None = None
        self._memory = StreamMemory()
        self._comeback: Comeback | None = None
        self._cursor = Cursor(host)
        self._kept_since: datetime | None = None
        self._awaits_first = False
        self._absence = Absence()
        self._since: datetime | None = None
        self._connected_at: datetime | None = None
        self._kept: KeptStream | None = None
        self._forget = False
        self._away_since: float | None = None
        self._behind: int | None = None
        self._thread = threading.Thread(target=self._run, name=f"watch-{host.name}", daemon=True)

    @property
    def sign(self) -> str:
        """The name of its heartbeat."""
        return f"watch:{self.name}"

    @property
    def since(self) -> datetime | None:
        """Since when events have been seen without a gap."""
        return self._since

    def is_at_work(self) -> bool:
        """Whether the stream is held, and what comes is worked off: what waits for too long counts as not seen."""
        kept = self._kept
        return self.connected.is_set() and (kept is None or kept.oldest_waits <= PATIENCE)

    def worked_off_until(self, now: datetime) -> datetime | None:
        """Until when all events are known to be worked off; None where they are not, or may be on their way.

        At first until it connected, once what the engine tells of the past has had time to come.
        """
        kept, connected_at = self._kept, self._connected_at
        if kept is None or connected_at is None or now - connected_at < hosts.UNDER_WAY:
            return None
        return kept.worked_off_until(connected_at)

    def start(self) -> None:
        self._thread.start()

    def is_alive(self) -> bool:
        return self._thread.is_alive()

    def stop(self) -> None:
        """End the stream; returns at once."""
        self._stop.set()
        engine = self._engine
        if engine is not None:
            with suppress(PluginError, OSError):
                engine.close()

    def join(self, timeout: float) -> None:
        self._thread.join(timeout)

    def _run(self) -> None:
        pause = FIRST_PAUSE
        while not self._stop.is_set():
            close_old_connections()
            try:
                if self._hold_stream():
                    pause = FIRST_PAUSE
            except (DatabaseError, InterfaceError) as error:
                self._forget = True
                self._say_database(error)
            except Exception:
                logger.exception("watcher failed", extra={"action": "watch_failed", "host": self.name})
            self.connected.clear()
            self._stop.wait(pause)
            pause = min(pause * 2, LONGEST_PAUSE)
        connection.close()

    def _hold_stream(self) -> bool:
        """Follow the stream until it breaks; True where it had been connected."""
        host = Host.objects.get(pk=self.host_id)
        self._away_since = self._behind = self._kept = None
        if self._forget:
            self._cursor.believe(host)
            self._forget = False
        asked_at, engine = db_now(), None
        try:
            self._engine = engine = open_engine(self.config)
            info, latency = introduced(engine)
            since = self._begin(host, engine, info.version, latency)
            return self._hold(host, engine, since)
        except (PluginError, ConfigError) as error:
            if not self._stop.is_set():
                host_stage.lost(host, str(error), db_now(), asked_at=asked_at)
            return False
        finally:
            if engine is not None:
                engine.close()

    def _hold(self, host: Host, engine: Engine, since: datetime) -> bool:
        """Follow the events until their stream breaks; False where the engine, which answers otherwise, refuses them."""
        kept: KeptStream | None = None
        try:
            events = engine.events(since, IDLE_TIMEOUT)
            if self._stop.is_set():
                # Told to stop while connecting: this stream is one that `stop` could not close.
                return True
            self._connected_at = db_now()
            kept = KeptStream(events, since, self.name).start()
            self._absence.end(self._since or self._connected_at)
            self._follow(host, engine, kept)
        except EngineUnreachable:
            self.connected.clear()
            ended_ago = kept.ended_ago if kept is not None else 0.0
            self._absence.begin(db_now() - timedelta(seconds=ended_ago))
            if not self._stop.is_set():
                stream_end.look(host, self.config, self._memory, ended_ago)
        except PluginError as error:
            self.connected.clear()
            hosts.beat(self.sign, db_now() - hosts.WATCHER_MISSED)
            logger.warning("events: %s", error, extra={"action": "watch_refused", "host": self.name})
            return False
        return True

    def _follow(self, host: Host, engine: Engine, kept: KeptStream) -> None:
        """Work off what comes, until the stream ends."""
        self._kept = kept
        while not self._stop.is_set():
            try:
                if self._behind == 0:
                    self._caught_up(kept)
                event = kept.next()
                if event is None:
                    return
                self._take(host, engine, event)
                kept.done()
                self._behind = self._behind - 1 if self._behind else None
            except (DatabaseError, InterfaceError) as error:
                if refusals.is_of_the_statement(error):
                    raise
                self._say_database(error)
                if not self._regain(kept):
                    return

    def _regain(self, kept: KeptStream) -> bool:
        """Wait for the database, and go back to where it is; False where the stream is to be opened anew.

        Sweeps see no sign of this watcher before all is worked off: until then they do not conclude from a missing
        stop signal that nobody has stopped a container.
        """
        self.connected.clear()
        self._cursor.hold()
        host = self._wait_for_database()
        if host is None:
            return False
        self._cursor.believe(host)
        if not kept.go_back(self._cursor.at):
            self._forget = True
            return False
        self._behind = kept.waiting
        return True

    def _wait_for_database(self) -> Host | None:
        """The host's row once it can be read, and the sign is set back; None where told to stop."""
        self._away_since = began = self._away_since or time.monotonic()
        while True:
            away = time.monotonic() - began
            if self._stop.wait(min(FIRST_ASK + away / 8, LONGEST_ASK)):
                return None
            close_old_connections()
            with suppress(DatabaseError, InterfaceError):
                host = Host.objects.get(pk=self.host_id)
                hosts.beat(self.sign, db_now() - hosts.WATCHER_FRESH)
                # There was no gap; a database that crashed may have lost since when.
                Host.objects.filter(pk=host.pk, stream_since__isnull=False).update(stream_since=self._since)
                return host

    def _caught_up(self, kept: KeptStream) -> None:
        """What the database's absence has left is worked off: from now on all is as if it had not been away."""
        now = db_now()
        statuses.look_soon(self.host_id, now)
        hosts.sooner(self.host_id, now)
        if not kept.has_ended:
            hosts.beat(self.sign, now)
            self.connected.set()
        self._away_since = self._behind = None
        logger.info("caught up", extra={"action": "watch_caught_up", "host": self.name})

    def _say_database(self, error: Exception) -> None:
        refusals.note(error)
        logger.warning("database: %s", error, extra={"action": "watch_database", "host": self.name})

    def _begin(self, host: Host, engine: Engine, version: str, latency: float | None = None) -> datetime:
        """Connected: register what is new, have all looked at after the replay. From when on events are to be asked for.

        An engine that does not list its containers is not back. Raise what it raises.
        """
        now = db_now()
        register_wanted(host, engine)
        self._connected_at = db_now()
        host_stage.back(host, self._connected_at)
        self._memory, self._comeback = StreamMemory(), Comeback(engine, now, self._absence)
        self._kept_since, self._awaits_first = host.stream_since, self._cursor.at is not None
        self._cursor.at = since = self._cursor.at or now
        Host.objects.filter(pk=host.pk).update(
            stream_since=now, version=version[:100], last_seen=now, latency=latency, latency_at=now
        )
        host.stream_since = self._since = now
        hosts.beat(self.sign, self._connected_at)
        self.connected.set()
        statuses.look_soon(host.pk, self._connected_at + RELIST_IN)
        hosts.sooner(host.pk, self._connected_at + RELIST_IN)
        logger.info("watching events", extra={"action": "watch_connected", "host": self.name})
        return since

    def _take(self, host: Host, engine: Engine, event: Event) -> None:
        """One event: marks first, then the hint, so that the check finds them."""
        extra = {"action": "engine_event", "container": event.name, "kind": event.kind.value}
        logger.debug("engine event", extra=extra)
        if self._awaits_first and event.at == self._cursor.at:
            self._has_lived_on(host)
        self._awaits_first = False
        container = container_of(host, event)
        self._memory = remember(self._memory, event, container.stop_signal if container else "")
        if container is None:
            if event.kind is EventKind.START:
                self._register(host, engine, event)
        else:
            mark(container, event, self._comeback, self._memory.starts.get(event.container_id))
            if event.kind in HINTS and container.monitored and not is_our_doing(container, event):
                self._check(container, event.at)
        self._cursor.move(event.at)

    def _has_lived_on(self, host: Host) -> None:
        """The engine still had the last event that we know: it has not started anew, and nothing was missed."""
        if self._comeback is not None:
            self._comeback.lived_on = True
        if self._kept_since is not None:
            Host.objects.filter(pk=host.pk).update(stream_since=self._kept_since)
            host.stream_since = self._since = self._kept_since

    def _register(self, host: Host, engine: Engine, event: Event) -> None:
        container = register_started(host, engine, event)
        if container is not None:
            self._check(container, event.at)

    def flush_cursor(self) -> None:
        """Write the cursor that throttling has held back."""
        self._cursor.flush()
