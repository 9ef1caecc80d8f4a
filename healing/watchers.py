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

    def step(self) -> None:
        """One round: start, replace and stop watchers, and show that they live."""
        wanted_hosts = {
            host.pk: host for host in Host.objects.filter(enabled=True) if self._is_asked_for(host)
        }
        for pk in list(self._watchers):
            watcher = self._watchers[pk]
            if (
                pk not in wanted_hosts
                or watcher.config != config_of(wanted_hosts[pk])
                or not watcher.is_alive()
            ):
                watcher.stop()
                del self._watchers[pk]
        for pk, host in wanted_hosts.items():
            if pk not in self._watchers:
                self._watchers[pk] = HostWatcher(host, self._checks.check)
                self._watchers[pk].start()
        for watcher in self._watchers.values():
            watcher.flush_cursor()
        self._show_alive()

    def _show_alive(self) -> None:
        """As `HostWatcher.show_alive`, for all of them in two statements."""
        held = {pk: watcher for pk, watcher in self._watchers.items() if watcher.connected.is_set()}
        if not held:
            return
        hosts.beat_all([watcher.sign for watcher in held.values()], db_now())
        for pk in hosts.without_stream(list(held)):
            hosts.stream_stands(pk, held[pk].since)

    def stop(self) -> None:
        self._checks.stop()
        for watcher in self._watchers.values():
            watcher.stop()
        for watcher in self._watchers.values():
            watcher.join(3.0)
            with suppress(DatabaseError, InterfaceError):  # the next start goes on from the older cursor
                watcher.flush_cursor()


def run(host_names: Iterable[str] | None, stop: threading.Event, queues: Iterable[str] = ()) -> None:
    """Watch the named hosts, or those of these queues, until `stop` is set; see `Supervisor`."""
    supervisor = Supervisor(host_names, queues)
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
        stop.wait(SUPERVISE_EVERY)
    supervisor.stop()
    connection.close()
