"""Container engines behind one small interface: docker (also Podman), process, and the shipped fake.

`open_engine` is the only way in. Built-ins stand in `ENGINES`; other kinds come from entry points of the
group `selfheal.engines`, each a callable that takes an EngineConfig and returns an Engine.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, cast

from healing.core.errors import ConfigError
from healing.core.ports import Engine, EngineConfig
from healing.core.types import EngineInfo
from healing.engines.address import default_docker_address, docker_config, parse_address

__all__ = [
    "ENGINES",
    "default_docker_address",
    "docker_config",
    "engine_kinds",
    "introduced",
    "open_engine",
    "parse_address",
]

if TYPE_CHECKING:
    from importlib.metadata import EntryPoints

ENTRY_POINT_GROUP = "selfheal.engines"

EngineFactory = Callable[[EngineConfig], Engine]


@dataclass(frozen=True, slots=True)
class BuiltIn:
    """Where a built-in engine's class is, and the address schemes that it understands."""

    path: str
    schemes: tuple[str, ...]


ENGINES = {
    "docker": BuiltIn("healing.engines.docker:DockerEngine", ("unix", "tcp", "ssh")),
    "podman": BuiltIn("healing.engines.docker:DockerEngine", ("unix", "tcp", "ssh")),
    "process": BuiltIn("healing.engines.process:ProcessEngine", ("process",)),
    "fake": BuiltIn("healing.engines.fake:FakeEngine", ("fake",)),
}


def engine_kinds() -> list[str]:
    """All kinds that `open_engine` knows, built-in and installed."""
    return sorted({*ENGINES, *(point.name for point in _entry_points())})


def open_engine(config: EngineConfig) -> Engine:
    """The engine for `config`. Connects to nothing yet; raise ConfigError for an unknown kind or a bad address."""
    if config.timeout <= 0:
        raise ConfigError(
            "timeout", f"{config.timeout:g} is not a time to wait: write a number of seconds above 0"
        )
    built_in = ENGINES.get(config.kind)
    if built_in is None:
        return _installed(config.kind)(config)
    scheme = parse_address(config.address).scheme
    if scheme not in built_in.schemes:
        wanted = " or ".join(f"{name}://" for name in built_in.schemes)
        raise ConfigError(
            "address", f"{config.address!r} is no address of a {config.kind} engine: write {wanted}"
        )
    return _load(built_in.path)(config)


def introduced(engine: Engine) -> tuple[EngineInfo, float]:
    """Who a newly opened engine is, and the seconds until it had said so, connecting included. Raise what `info` raises."""
    begun = time.perf_counter()
    info = engine.info()
    return info, time.perf_counter() - begun


def _load(path: str) -> EngineFactory:
    module, _, name = path.partition(":")
    return cast(EngineFactory, getattr(import_module(module), name))


def _entry_points() -> EntryPoints:
    from importlib.metadata import (
        entry_points,
    )  # slow to import, and a process's supervisor has no use for it

    return entry_points(group=ENTRY_POINT_GROUP)


def _installed(kind: str) -> EngineFactory:
    for point in _entry_points().select(name=kind):
        return cast(EngineFactory, point.load())
    raise ConfigError("kind", f"unknown engine kind {kind!r}: write one of {', '.join(engine_kinds())}")
