"""What container labels say: whether to supervise, which profile, which values, which probes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from healing.core.config import FIELD_NAMES, parse_value
from healing.core.errors import ConfigError
from healing.core.probespec import parse_probe

PREFIX = "selfheal."
ENABLE = "selfheal.enable"
DROP_IN = "autoheal"
PROFILE = "selfheal.config"
PROBE_PREFIX = "selfheal.probe."
COMPOSE_PROJECT = "com.docker.compose.project"
COMPOSE_SERVICE = "com.docker.compose.service"

_TRUE = frozenset({"true", "1", "yes", "on"})
_FALSE = frozenset({"false", "0", "no", "off"})


@dataclass(frozen=True, slots=True)
class LabelSettings:
    """`enabled` is None where no label says yes or no. A bad label is left out and told in `warnings`."""

    enabled: bool | None = None
    profile: str = ""
    values: Mapping[str, Any] = field(default_factory=dict)
    probes: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


def read_labels(labels: Mapping[str, str]) -> LabelSettings:
    """Read all labels of one container; never raises."""
    values: dict[str, Any] = {}
    probes: dict[str, str] = {}
    warnings: list[str] = []
    for name in sorted(labels):
        if not name.startswith(PREFIX) or name in (ENABLE, PROFILE):
            continue
        try:
            _read_one(name, labels[name], values, probes)
        except ConfigError as error:
            warnings.append(f"label {name}={labels[name]!r} is ignored: {error.reason}")
    return LabelSettings(
        enabled=_enabled(labels, warnings),
        profile=labels.get(PROFILE, "").strip(),
        values=values,
        probes=probes,
        warnings=tuple(warnings),
    )


def _read_one(name: str, text: str, values: dict[str, Any], probes: dict[str, str]) -> None:
    if name.startswith(PROBE_PREFIX):
        probe = name.removeprefix(PROBE_PREFIX)
        parse_probe(probe, text)
        probes[probe] = text
        return
    field_name = name.removeprefix(PREFIX)
    if field_name not in FIELD_NAMES:
        raise ConfigError(name, f"there is no such label; the fields are {', '.join(FIELD_NAMES)}")
    values[field_name] = parse_value(field_name, text)


def _enabled(labels: Mapping[str, str], warnings: list[str]) -> bool | None:
    for name in (ENABLE, DROP_IN):
        text = labels.get(name, "").strip().lower()
        if text in _TRUE:
            return True
        if text in _FALSE:
            return False
        if text and name == ENABLE:
            warnings.append(f"label {ENABLE}={labels[ENABLE]!r} is ignored: write true or false")
    return None
