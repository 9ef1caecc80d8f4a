"""One open engine for each host in this process."""

from __future__ import annotations

import threading

from healing.core.errors import ContainerNotFound
from healing.core.ports import Engine, EngineConfig
from healing.core.types import Snapshot
from healing.engines import open_engine
from healing.models import Container, Host

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


def find(engine: Engine, container: Container) -> Snapshot | None:
    """Inspect by engine id, then by name (a recreate has given it a new id); None where the engine has neither."""
    for key in (container.engine_id, container.name):
        if not key:
            continue
        try:
            return engine.inspect(key)
        except ContainerNotFound:
            continue
    return None
