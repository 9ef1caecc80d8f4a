"""Which engines there are on this machine, and their rows."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from healing.core.errors import ConfigError, PluginError
from healing.core.labels import read_labels
from healing.core.ports import EngineConfig
from healing.engines import docker_config, open_engine
from healing.engines.address import parse_address
from healing.models import Host
from selfheal_project.up.errors import StartRefused

DOCKER_NAME = "local"
PROCESS_NAME = "local-processes"


def ensure_hosts(home: Path, environ: Mapping[str, str] = os.environ) -> list[str]:
    """Register the engines of this machine; return one line for each thing found or missing."""
    line, docker = look_for_docker(environ)
    lines = [line]
    if docker is not None:
        _ensure_docker(docker)
    if not Host.objects.exclude(name=PROCESS_NAME).exists():
        lines.append(_ensure_processes(home))
    return lines


def register_docker(environ: Mapping[str, str] = os.environ) -> str:
    """Register the engine that DOCKER_HOST names, without asking it; its address. Raise StartRefused for a bad one."""
    config = docker_config(environ)
    try:
        parse_address(config.address)
    except ConfigError as error:
        raise StartRefused(f"DOCKER_HOST cannot be used: {error.reason}.") from None
    _ensure_docker(config)
    return config.address


def look_for_docker(environ: Mapping[str, str]) -> tuple[str, EngineConfig | None]:
    """What to tell about Docker on this machine, and where it is; None where it cannot be used."""
    config = docker_config(environ, timeout=5.0)
    try:
        return _ask(config), config
    except ConfigError as error:
        return f"DOCKER_HOST is not used: {error.reason}", None
    except PluginError as error:
        return _docker_missing(config, error), None


def _ask(config: EngineConfig) -> str:
    engine = open_engine(config)
    try:
        info = engine.info()
        labelled = sum(1 for row in engine.list() if read_labels(row.labels).enabled)
    finally:
        engine.close()
    return (
        f"Docker Engine {info.version} at {config.address}: {info.containers} containers, "
        f"{labelled} of them labelled selfheal.enable=true or autoheal=true"
    )


def _ensure_docker(config: EngineConfig) -> None:
    values = {
        "engine_kind": config.kind,
        "address": config.address,
        "tls_ca": config.tls_ca,
        "tls_cert": config.tls_cert,
        "tls_key": config.tls_key,
        "tls_verify": config.tls_verify,
    }
    host, created = Host.objects.get_or_create(name=DOCKER_NAME, defaults=values)
    changed = [name for name, value in values.items() if getattr(host, name) != value]
    if not created and changed:
        for name in changed:
            setattr(host, name, values[name])
        host.save(update_fields=changed)


def _docker_missing(config: EngineConfig, error: PluginError) -> str:
    path = Path(config.address.removeprefix("unix://"))
    if config.address.startswith("unix://") and not _is_there(path):
        return (
            f"no Docker engine at {config.address}; start one, or set DOCKER_HOST, and start Selfheal again"
        )
    if config.address.startswith("unix://") and not os.access(path, os.R_OK | os.W_OK):
        return (
            f"the Docker socket {path} is there but this user may not read it; "
            "add the user to the group that owns it (usually docker), log in again and start Selfheal again"
        )
    return f"the Docker engine at {config.address} does not answer: {error}"


def _is_there(path: Path) -> bool:
    """Also true where this user may not even look: the error then says that permission is missing."""
    try:
        return path.exists()
    except PermissionError:
        return True


def _ensure_processes(home: Path) -> str:
    folder = home / "processes"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    address = f"process://{folder}"
    host, _ = Host.objects.get_or_create(
        name=PROCESS_NAME, defaults={"engine_kind": "process", "address": address}
    )
    if host.address != address:
        host.address = address
        host.save(update_fields=["address"])
    return f"the built-in process engine supervises local processes ({folder})"
