"""Which module makes a probe of which kind. A plug-in is an entry point of the group `selfheal.probes`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any, cast

from healing.core.errors import ConfigError
from healing.core.ports import Engine, Probe
from healing.core.probespec import ProbeSpec, parse_probe

ENTRY_POINTS = "selfheal.probes"
BUILT_IN: Mapping[str, str] = {
    "http": "healing.probes.http.HttpProbe",
    "tcp": "healing.probes.tcp.TcpProbe",
    "exec": "healing.probes.exec.ExecProbe",
}

ProbeFactory = Callable[[ProbeSpec, Engine | None], Probe]


def kinds() -> tuple[str, ...]:
    """Every kind of probe that can be built here, built-in kinds first."""
    return (*BUILT_IN, *sorted(_plugins()))


def parse(name: str, text: str, options: Mapping[str, Any] | None = None) -> ProbeSpec:
    """`parse_probe` with the kinds of the installed plug-ins. Raise ConfigError."""
    return parse_probe(name, text, options, plugin_kinds=_plugins())


def build(spec: ProbeSpec, engine: Engine | None) -> Probe:
    """Make the probe of a spec; only exec needs an engine. Raise ConfigError for what cannot be built."""
    factory = _built_in(spec.kind) or _plugins().get(spec.kind)
    if factory is None:
        known = ", ".join(kinds())
        raise ConfigError(
            f"probe.{spec.name}", f"no installed probe is of kind {spec.kind!r}; there are {known}"
        )
    return factory(spec, engine)


@cache
def _built_in(kind: str) -> ProbeFactory | None:
    if kind not in BUILT_IN:
        return None
    module, _, name = BUILT_IN[kind].rpartition(".")
    return cast(ProbeFactory, getattr(import_module(module), name))


@cache
def _plugins() -> Mapping[str, ProbeFactory]:
    found = entry_points(group=ENTRY_POINTS)
    return {point.name: point.load() for point in found if point.name not in BUILT_IN}
