"""Engine event streams: hints within milliseconds, and the marks that only events can give.

A thread for each host holds the stream, reconnects where it left off, and has everything looked at after a gap.
Nothing depends on it: polling goes on beneath and finds the same failures, later.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta

from django.db import (
    DatabaseError,
    InterfaceError,
    OperationalError,
    close_old_connections,
    connection,
)
from django.db.models import Q

from healing.core.errors import ConfigError, ContainerNotFound, EngineUnreachable, PluginError
from healing.core.events import HINTS, StreamMemory, remember, shutdown_began
from healing.core.lifecycle import is_stop_signal
from healing.core.ports import Engine
from healing.core.types import SHARED_NETWORK, Event, EventKind, Snapshot, Summary
from healing.engines import introduced, open_engine
from healing.models import Container, Host
from healing.pipeline import hosts as host_stage
from healing.pipeline.comeback import Comeback
from healing.pipeline.engines import config_of
from healing.registration.adoption import adopt, is_set_aside, stable_name, wanted
from healing.registration.learning import learn_host
from healing.store import heals, hosts, statuses
from healing.store.clock import db_now
from healing.store.durability import settles_now
from healing.tasks import check_now

logger = logging.getLogger(__name__)

IDLE_TIMEOUT = 20.0
CURSOR_EVERY = timedelta(seconds=1)
RELIST_IN = timedelta(seconds=1)
FIRST_PAUSE = 0.25
LONGEST_PAUSE = 5.0


def _check_by_broker(container: Container) -> None:
    check_now([container.pk], by_event=True, with_probes=False)


class HostWatcher:
    """The event stream of one host. `connected` while it is held."""

    def __init__(self, host: Host, check: Callable[[Container], None] | None = None) -> None:
        """`check` has a container checked at once, without waiting for it; by default through the broker."""
        self.host_id = host.pk
        self._check = check or _check_by_broker
        self.name = host.name
        self.config = config_of(host)
        self.connected = threading.Event()
        self._stop = threading.Event()
        self._engine: Engine | None = None
        self._memory = StreamMemory()
        self._comeback: Comeback | None = None
        self._cursor: datetime | None = host.last_event_at
        self._cursor_saved: datetime | None = None
        self._kept_since: datetime | None = None
        self._since: datetime | None = None
        self._forget = False
        self._thread = threading.Thread(target=self._run, name=f"watch-{host.name}", daemon=True)

    @property
    def sign(self) -> str:
        """The name of its heartbeat."""
        return f"watch:{self.name}"

    @property
    def since(self) -> datetime | None:
        """Since when events have been seen without a gap."""
        return self._since

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
            except DatabaseError as error:
                self._forget = True
                logger.warning("database: %s", error, extra={"action": "watch_database", "host": self.name})
            except Exception:
                logger.exception("watcher failed", extra={"action": "watch_failed", "host": self.name})
            self.connected.clear()
            self._stop.wait(pause)
            pause = min(pause * 2, LONGEST_PAUSE)
        connection.close()

    def _hold_stream(self) -> bool:
        """Follow the stream until it breaks; True where it had been connected."""
        host = Host.objects.get(pk=self.host_id)
        if self._forget:
            # A database that crashed may have lost the newest marks, and with them the cursor that went past their events.
            self._cursor = self._cursor_saved = host.last_event_at
            self._forget = False
        try:
            self._engine = engine = open_engine(self.config)
            info, latency = introduced(engine)
        except (PluginError, ConfigError) as error:
            host_stage.lost(host, str(error), db_now())
            return False
        try:
            self._begin(host, engine, info.version, latency)
            events = engine.events(self._cursor, IDLE_TIMEOUT)
            if self._stop.is_set():
                # Told to stop while connecting: this stream is one that `stop` could not close.
                return True
            for event in events:
                self._take(host, engine, event)
                if self._stop.is_set():
                    break
        except EngineUnreachable as error:
            self.connected.clear()
            if not self._stop.is_set():
                self._broken(host, str(error))
        finally:
            engine.close()
        return True

    def _begin(self, host: Host, engine: Engine, version: str, latency: float | None = None) -> None:
        """Connected: what is new is registered, and everything is looked at once the replay has been taken in."""
        now = db_now()
        host_stage.back(host, now)
        self._memory, self._comeback = StreamMemory(), Comeback(engine, now)
        self._kept_since = host.stream_since
        since = self._cursor or now
        self._cursor = since
        Host.objects.filter(pk=host.pk).update(
            stream_since=now, version=version[:100], last_seen=now, latency=latency, latency_at=now
        )
        host.stream_since = self._since = now
        hosts.beat(f"watch:{self.name}", now)
        self.connected.set()
        register_wanted(host, engine)
        statuses.look_soon(host.pk, now + RELIST_IN)
        hosts.sooner(host.pk, now + RELIST_IN)
        logger.info("watching events", extra={"action": "watch_connected", "host": self.name})

    def _broken(self, host: Host, error: str) -> None:
        """The stream has ended. Is the engine gone, and did it stop its containers as it went?"""
        try:
            probe = open_engine(replace(self.config, timeout=2.0))
            probe.info()
            probe.close()
            return
        except PluginError as gone:
            error = str(gone)
        now = db_now()
        began = shutdown_began(self._memory, now)
        if began is not None and statuses.any_spared(host.pk):
            began = None
        host_stage.lost(host, error, now, killed_since=began)

    def _take(self, host: Host, engine: Engine, event: Event) -> None:
        """One event: marks first, then the hint, so that the check finds them."""
        extra = {"action": "engine_event", "container": event.name, "kind": event.kind.value}
        logger.debug("engine event", extra=extra)
        if self._kept_since is not None and event.at == self._cursor:
            # The engine still had the last event that we know: nothing was missed.
            Host.objects.filter(pk=host.pk).update(stream_since=self._kept_since)
            host.stream_since = self._since = self._kept_since
            if self._comeback is not None:
                self._comeback.lived_on = True
        self._kept_since = None
        container = _container_of(host, event)
        self._memory = remember(self._memory, event, container.stop_signal if container else "")
        if container is None:
            if event.kind is EventKind.START:
                self._register(host, engine, event)
        else:
            _mark(container, event, self._comeback)
            if event.kind in HINTS and container.monitored and not _is_our_doing(container, event):
                self._check(container)
        self._save_cursor(host, event.at)

    def _register(self, host: Host, engine: Engine, event: Event) -> None:
        container = register_started(host, engine, event)
        if container is not None:
            self._check(container)

    def _save_cursor(self, host: Host, at: datetime) -> None:
        self._cursor = at
        if self._cursor_saved is None or at - self._cursor_saved >= CURSOR_EVERY:
            Host.objects.filter(pk=host.pk).update(last_event_at=at)
            self._cursor_saved = at

    def show_alive(self, now: datetime) -> None:
        """Show that the stream is held. A call that got no answer has not broken it: since when still stands."""
        if self.connected.is_set():
            hosts.beat(self.sign, now)
            hosts.stream_stands(self.host_id, self.since)

    def flush_cursor(self) -> None:
        """Write the cursor that throttling has held back."""
        if self._cursor is not None and self._cursor != self._cursor_saved:
            Host.objects.filter(pk=self.host_id).update(last_event_at=self._cursor)
            self._cursor_saved = self._cursor


def _container_of(host: Host, event: Event) -> Container | None:
    """By engine id; a container that was recreated is known by its name."""
    name = stable_name(event.name, event.labels)
    rows = list(Container.objects.filter(Q(engine_id=event.container_id) | Q(name=name), host=host))
    for row in rows:
        row.host = host
    return next((row for row in rows if row.engine_id == event.container_id), rows[0] if rows else None)


def _mark(container: Container, event: Event, comeback: Comeback | None) -> None:
    if event.kind is EventKind.UNPAUSE:
        statuses.mark(container.pk, unpaused_at=event.at)
    elif event.kind is EventKind.KILL and _is_somebodys_stop(container, event):
        by_engine = comeback is not None and comeback.ended(container.pk, event.at)
        with settles_now():
            if by_engine:
                statuses.mark(container.pk, interrupted_at=event.at)
            else:
                statuses.mark(container.pk, stop_signal_at=event.at)


def _is_our_doing(container: Container, event: Event) -> bool:
    """A death or a start that our own restart has just caused: its heal looks by itself, and a check would be in its way."""
    caused = event.kind in (EventKind.DIE, EventKind.START)
    return caused and heals.our_call_covers(container.pk, event.at, slack=0.0)


def _is_somebodys_stop(container: Container, event: Event) -> bool:
    if event.container_id != container.engine_id or not is_stop_signal(event.signal, container.stop_signal):
        return False
    return not heals.our_call_covers(container.pk, event.at)


def register_wanted(host: Host, engine: Engine) -> list[Container]:
    """Register every container of the engine that is to be supervised and is not known yet."""
    modes = dict(Container.objects.filter(host=host).values_list("engine_id", "network_mode"))
    added, listed = [], engine.list()
    names = {summary.name for summary in listed}
    for summary in listed:
        if summary.id in modes:
            _note_shared_network(host, summary, modes[summary.id])
            continue
        if is_set_aside(summary.name, summary.labels, names):
            continue
        why = wanted(host, summary.labels)
        if why is None:
            continue
        try:
            added.append(adopt(host, engine.inspect(summary.id), why))
        except (OperationalError, InterfaceError):
            raise
        except Exception as error:
            _not_registered(summary.name, error)
    learn_host(host.pk)
    return added


def _note_shared_network(host: Host, summary: Summary, noted: str) -> None:
    """For containers that were registered before this was noted."""
    mode = summary.network_mode[:300]
    if mode.startswith(SHARED_NETWORK) and mode != noted:
        Container.objects.filter(host=host, engine_id=summary.id).update(network_mode=mode)


def _not_registered(name: str, error: Exception) -> None:
    """One container that cannot be registered must not cost its host the stream: the others go on."""
    extra = {"action": "not_registered", "container": name}
    if isinstance(error, ContainerNotFound):
        logger.debug("gone before it was registered", extra=extra)
    else:
        logger.error("cannot be registered: %s", error, extra=extra, exc_info=error)


def register_started(host: Host, engine: Engine, event: Event) -> Container | None:
    """A container that nobody knows has started: supervise it from its first second where it is wanted."""
    try:
        snapshot = engine.inspect(event.container_id)
        why = wanted(host, snapshot.labels) if not _is_replaced(engine, snapshot) else None
        if why is None:
            return None
        container = adopt(host, snapshot, why)
    except (OperationalError, InterfaceError):
        raise
    except Exception as error:
        _not_registered(event.name, error)
        return None
    logger.info("registered", extra={"action": "registered", "container": container.name, "why": why})
    return container


def _is_replaced(engine: Engine, snapshot: Snapshot) -> bool:
    """Whether the engine has another container under this one's lasting name."""
    lasting, names = stable_name(snapshot.name, snapshot.labels), []
    if lasting != snapshot.name:
        with suppress(ContainerNotFound):
            names.append(engine.inspect(lasting).name)
    return is_set_aside(snapshot.name, snapshot.labels, names)
