"""One open engine for each host in this process."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime, timedelta
from itertools import islice

from healing.core.errors import ContainerNotFound, EngineRefused, EngineUnreachable, PluginError
from healing.core.ports import Engine, EngineConfig
from healing.core.types import Snapshot
from healing.engines import open_engine
from healing.models import Container, Host, HostState

FIRST_RETRY = timedelta(seconds=5)
LONGEST_RETRY = timedelta(seconds=60)

CONFIRM_TIMEOUT = 5.0
TRIED = 3
ASKED_AT_ONCE = 3
"""Engines known to be down that one process asks at a time: the other threads are for those that answer."""
_asking = threading.BoundedSemaphore(ASKED_AT_ONCE)
_lock = threading.Lock()
_open: dict[int, tuple[EngineConfig, Engine]] = {}


def config_of(host: Host, timeout: float = 10.0) -> EngineConfig:
    """What the host row says of its engine."""
    return EngineConfig(
        kind=host.engine_kind,
        address=host.address,
        tls_ca=host.tls_ca,
        tls_cert=host.tls_cert,
        tls_key=host.tls_key,
        tls_verify=host.tls_verify,
        timeout=timeout,
    )


def engine_of(host: Host) -> Engine:
    """The engine of a host, opened at the first call and again when its address changes. Raise ConfigError."""
    config = config_of(host)
    with _lock:
        found = _open.get(host.pk)
        if found is not None and found[0] == config:
            return found[1]
        if found is not None:
            found[1].close()
        engine = open_engine(config)
        _open[host.pk] = (config, engine)
        return engine


def reachable(host: Host) -> Engine:
    """The engine of a host, for a heal. Raise EngineUnreachable where it is known to be down.

    Whether it is back is for the sweep and the watcher to ask: heals that waited for its silence would take up
    the workers that other hosts need.
    """
    if host.state == HostState.DOWN:
        raise EngineUnreachable(f"host {host.name} is down: {host.error}")
    return engine_of(host)


def retry_in(host: Host, since: datetime, now: datetime) -> timedelta:
    """When to look again at a container that could not be looked at since `since`.

    That a host is down is known without asking it. A container whose inspection alone hangs takes a worker for as long
    as it hangs, so it is asked less and less often.
    """
    if host.state == HostState.DOWN:
        return FIRST_RETRY
    return min(max(FIRST_RETRY, (now - since) / 4), LONGEST_RETRY)


def confirm_back(host: Host) -> None:
    """Whether an engine that was away takes new connections. Raise EngineUnreachable or EngineRefused where not.

    One that shuts down still answers through connections that it has kept. Where ASKED_AT_ONCE others are being asked
    this one counts as down until its next turn.
    """
    if not _asking.acquire(blocking=False):
        raise EngineUnreachable(host.error)
    try:
        fresh = open_engine(config_of(host, CONFIRM_TIMEOUT))
        try:
            fresh.info()
        finally:
            fresh.close()
    finally:
        _asking.release()


def confirm_inspects(engine: Engine, container_ids: Iterable[str]) -> None:
    """Whether an engine that was away inspects one of its first containers. Raise what the last of them raised, where not.

    One that lists and does not inspect would otherwise be back, and lost again, with each sweep. That a container cannot
    be inspected is an answer.
    """
    silent: PluginError | None = None
    for container_id in islice(container_ids, TRIED):
        try:
            engine.inspect(container_id)
            return
        except (EngineUnreachable, EngineRefused) as error:
            silent = error
        except PluginError:
            return
    if silent is not None:
        raise silent


def find(engine: Engine, container: Container) -> Snapshot | None:
    """Inspect by engine id, then by name (a recreate has given it a new id); None where the engine has neither."""
    if container.engine_id:
        with suppress(ContainerNotFound):
            return engine.inspect(container.engine_id)
    try:
        named = engine.inspect(container.name)
    except ContainerNotFound:
        return None
    # Engines take what is no name for the beginning of an id: a removed `db` is not the container db4c05…
    return named if named.name == container.name else None
