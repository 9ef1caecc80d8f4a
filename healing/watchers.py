"""Keep a watcher for each engine, as hosts come, change and go."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable
from contextlib import suppress

from django.conf import settings
from django.db import DatabaseError, InterfaceError, close_old_connections, connection

from healing.eventchecks import EventChecks
from healing.models import Host
from healing.observer import Observer
from healing.pipeline.engines import config_of
from healing.store import hosts
from healing.store.clock import db_now
from healing.watch import HostWatcher

logger = logging.getLogger(__name__)

SUPERVISE_EVERY = 2.0


class Supervisor:
    """Keeps one watcher for each enabled host that is asked for, as hosts come, change and go.

    By name, or those of some queues. Without either, those that are left to the common workers; in one process all.
    """

    def __init__(self, host_names: Iterable[str] | None, queues: Iterable[str] = ()) -> None:
        self._names = set(host_names) if host_names is not None else None
        self._queues = frozenset(queues)
        self._watchers: dict[int, HostWatcher] = {}
        self._checks = EventChecks()

    def _is_asked_for(self, host: Host) -> bool:
        if self._names is not None:
            return host.name in self._names
        if self._queues:
            return host.queue in self._queues
        return settings.EMBEDDED or not host.queue

    def begin(self) -> None:
        """Be ready for the first event."""
        self._checks.begin()

    def step(self) -> None:
        """One round: start, replace and stop watchers, and show that they live.

        Those that live are shown first: where one cannot be started, the others are not taken for silent.
        """
        wanted_hosts = {
            host.pk: host for host in Host.objects.filter(enabled=True) if self._is_asked_for(host)
        }
        for pk, watcher in list(self._watchers.items()):
            if pk not in wanted_hosts or not _is_of(watcher, wanted_hosts[pk]) or not watcher.is_alive():
                watcher.stop()
                del self._watchers[pk]
        for watcher in self._watchers.values():
            watcher.flush_cursor()
        self._show_alive()
        for pk, host in wanted_hosts.items():
            if pk not in self._watchers:
                watcher = HostWatcher(host, self._checks.check)
                watcher.start()
                self._watchers[pk] = watcher

    def _show_alive(self) -> None:
        show_alive(self._watchers.values())

    def stop(self) -> None:
        self._checks.stop()
        for watcher in self._watchers.values():
            watcher.stop()
        for watcher in self._watchers.values():
            watcher.join(3.0)
            with suppress(DatabaseError, InterfaceError):  # the next start goes on from the older cursor
                watcher.flush_cursor()


def show_alive(watchers: Iterable[HostWatcher]) -> None:
    """Show that these hold their streams, all in two statements; those that get nowhere with what comes are silent.

    A call that got no answer has not broken a stream: since when it is seen still stands.
    """
    held = {watcher.host_id: watcher for watcher in watchers if watcher.is_at_work()}
    if not held:
        return
    now = db_now()
    hosts.beat_watchers({watcher.sign: watcher.worked_off_until(now) for watcher in held.values()}, now)
    for pk in hosts.without_stream(list(held)):
        hosts.stream_stands(pk, held[pk].since)


def _is_of(watcher: HostWatcher, host: Host) -> bool:
    """Whether it watches the host as that is now. By its name it signs, and is looked for."""
    return watcher.name == host.name and watcher.config == config_of(host)


def run(host_names: Iterable[str] | None, stop: threading.Event, queues: Iterable[str] = ()) -> None:
    """Watch the named hosts, or those of these queues, until `stop` is set; see `Supervisor`."""
    supervisor = Supervisor(host_names, queues)
    supervisor.begin()
    if not (
        settings.EMBEDDED or queues
    ):  # in one process the sweeper's is enough, and those near engines may reach nobody
        threading.Thread(target=Observer().run, args=(stop,), name="dead-man", daemon=True).start()
    while not stop.is_set():
        close_old_connections()
        try:
            supervisor.step()
        except (DatabaseError, InterfaceError) as error:
            logger.warning("database: %s", error, extra={"action": "watch_database"})
        except Exception:
            # The streams that are held go on, whatever one round has met; in one process all the rest does too.
            logger.exception("supervisor of watchers failed", extra={"action": "watch_failed"})
        stop.wait(SUPERVISE_EVERY)
    supervisor.stop()
    connection.close()
