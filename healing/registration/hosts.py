"""Which host rows are registered on, and its engine."""

from __future__ import annotations

from healing.core.errors import ConfigError
from healing.core.ports import Engine, EngineConfig
from healing.engines import open_engine
from healing.models import EngineKind, Host

HOW_TO_ADD = "add one in the admin under Hosts"


def choose_host(name: str | None) -> Host:
    """The host of this name; without a name the only one, local processes apart. Raise ConfigError with those there are."""
    known = {host.name: host for host in Host.objects.all()}
    listed = f"the hosts are {', '.join(known)}" if known else "there is no host yet"
    if name:
        if name not in known:
            raise ConfigError("host", f"there is no host {name!r}; {listed}; {HOW_TO_ADD}")
        return known[name]
    if not known:
        raise ConfigError("host", f"{listed}; {HOW_TO_ADD}")
    engines = [host for host in known.values() if host.engine_kind != EngineKind.PROCESS] or [*known.values()]
    if len(engines) > 1:
        raise ConfigError("host", f"{listed}; choose one with --host NAME")
    return engines[0]


def engine_of(host: Host) -> Engine:
    """The host's engine, not yet connected. Raise ConfigError for an address that cannot be one."""
    return open_engine(
        EngineConfig(
            kind=host.engine_kind,
            address=host.address,
            tls_ca=host.tls_ca,
            tls_cert=host.tls_cert,
            tls_key=host.tls_key,
            tls_verify=host.tls_verify,
        )
    )
