"""What container labels say: whether to supervise, which profile, which values, which probes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from healing.core.config import FIELD_NAMES, parse_value
from healing.core.errors import ConfigError
from healing.core.probespec import group_options, parse_probe

PREFIX = "selfheal."
ENABLE = "selfheal.enable"
DROP_IN = "autoheal"
PROFILE = "selfheal.config"
PROBE_PREFIX = "selfheal.probe."
COMPOSE_PROJECT = "com.docker.compose.project"
COMPOSE_SERVICE = "com.docker.compose.service"
COMPOSE_DEPENDS_ON = "com.docker.compose.depends_on"

_TRUE = frozenset({"true", "1", "yes", "on"})
_FALSE = frozenset({"false", "0", "no", "off"})


@dataclass(frozen=True, slots=True)
class LabelSettings:
    """`enabled` is None where no label says yes or no. A bad label is left out and told in `warnings`."""

    enabled: bool | None = None
    profile: str = ""
    values: Mapping[str, Any] = field(default_factory=dict)
    probes: Mapping[str, str] = field(default_factory=dict)
    probe_options: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


def read_labels(labels: Mapping[str, str]) -> LabelSettings:
    """Read all labels of one container; never raises."""
    values: dict[str, Any] = {}
    warnings: list[str] = []
    for name in sorted(labels):
        if not name.startswith(PREFIX) or name.startswith(PROBE_PREFIX) or name in (ENABLE, PROFILE):
            continue
        try:
            values[name.removeprefix(PREFIX)] = _read_value(name, labels[name])
        except ConfigError as error:
            warnings.append(_ignored(name, labels[name], error))
    probes, options = _read_probes(labels, warnings)
    return LabelSettings(
        enabled=_enabled(labels, warnings),
        profile=labels.get(PROFILE, "").strip(),
        values=values,
        probes=probes,
        probe_options=options,
        warnings=tuple(warnings),
    )


def _ignored(name: str, text: str, error: ConfigError) -> str:
    return f"label {name}={text!r} is ignored: {error.reason}"


def _read_probes(
    labels: Mapping[str, str], warnings: list[str]
) -> tuple[dict[str, str], dict[str, dict[str, str]]]:
    """Texts and options by the probe's name. A bad option is left out, and the probe does without it."""
    named = {n.removeprefix(PROBE_PREFIX): text for n, text in labels.items() if n.startswith(PROBE_PREFIX)}
    probes: dict[str, str] = {}
    options: dict[str, dict[str, str]] = {}
    for probe, (text, given) in group_options(named).items():
        try:
            parse_probe(probe, text)
        except ConfigError as error:
            warnings.append(_ignored(PROBE_PREFIX + probe, text, error))
            continue
        probes[probe] = text
        if given:
            options[probe] = _good_options(probe, text, given, warnings)
    return probes, options


def _good_options(probe: str, text: str, given: Mapping[str, str], warnings: list[str]) -> dict[str, str]:
    good = {}
    for option, value in given.items():
        try:
            parse_probe(probe, text, {option: value})
        except ConfigError as error:
            warnings.append(_ignored(f"{PROBE_PREFIX}{probe}.{option}", value, error))
        else:
            good[option] = value
    return good


def _read_value(name: str, text: str) -> Any:
    field_name = name.removeprefix(PREFIX)
    if field_name not in FIELD_NAMES:
        raise ConfigError(name, f"there is no such label; the fields are {', '.join(FIELD_NAMES)}")
    return parse_value(field_name, text)


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
