"""The healing config: its fields, how a written value is read, and how layers are merged, the nearest one winning."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Any

from healing.core.errors import ConfigError


class FoundStopped(StrEnum):
    """What to do with a container found stopped when nobody saw it stop."""

    JUDGE = "judge"
    HEAL = "heal"
    LEAVE = "leave"


class EngineVerdicts(StrEnum):
    """Whether the engine's own verdict is believed at once or counted to the threshold."""

    IMMEDIATE = "immediate"
    COUNTED = "counted"


class Priority(StrEnum):
    """What goes first when not everything can be done in time."""

    CRITICAL = "critical"
    DEFAULT = "default"
    NON_CRITICAL = "non-critical"


@dataclass(frozen=True, slots=True)
class Config:
    """How one container is checked and healed. Durations are seconds and may be fractions."""

    check_interval: float = 30.0
    check_timeout: float = 10.0
    failure_threshold: int = 3
    max_restarts: int = 5
    restart_window: float = 300.0
    auto_restart: bool = True
    send_alert: bool = True
    start_period: float = 0.0
    success_threshold: int = 1
    stop_timeout: float | None = None
    """None: the container's own stop timeout where it has one, else 10 s."""
    backoff_initial: float = 10.0
    backoff_max: float = 300.0
    verify_timeout: float = 120.0
    quarantine_release: float = 3600.0
    """Seconds until a quarantined container gets one silent trial; 0 means never."""
    always_running: bool = False
    """True: exit code 0 is a failure too."""
    found_stopped: FoundStopped = FoundStopped.JUDGE
    engine_verdicts: EngineVerdicts = EngineVerdicts.IMMEDIATE
    priority: Priority = Priority.DEFAULT


FIELD_NAMES: tuple[str, ...] = tuple(f.name for f in fields(Config))

DEFAULT_STOP_TIMEOUT = 10.0

# field -> (lowest, highest) that is accepted
_RANGES: dict[str, tuple[float, float]] = {
    "check_interval": (0.1, 86_400),
    "check_timeout": (0.05, 3_600),
    "failure_threshold": (1, 1_000),
    "max_restarts": (1, 1_000),
    "restart_window": (1, 604_800),
    "start_period": (0, 86_400),
    "success_threshold": (1, 1_000),
    "stop_timeout": (0, 3_600),
    "backoff_initial": (0, 86_400),
    "backoff_max": (0, 86_400),
    "verify_timeout": (1, 86_400),
    "quarantine_release": (0, 2_592_000),
}
_WHOLE = frozenset({"failure_threshold", "max_restarts", "success_threshold"})
_BOOLEAN = frozenset({"auto_restart", "send_alert", "always_running"})
_CHOICES: dict[str, type[StrEnum]] = {
    "found_stopped": FoundStopped,
    "engine_verdicts": EngineVerdicts,
    "priority": Priority,
}
_TRUE = frozenset({"true", "1", "yes", "on"})
_FALSE = frozenset({"false", "0", "no", "off"})


def parse_value(field: str, raw: object) -> Any:
    """The value of one config field from text, JSON or YAML. Raise ConfigError that says what to write instead."""
    if field in _BOOLEAN:
        return _parse_bool(field, raw)
    if field in _CHOICES:
        return _parse_choice(field, raw)
    if field in _RANGES:
        return _parse_number(field, raw)
    raise ConfigError(field, f"is not a field of the healing config; the fields are {', '.join(FIELD_NAMES)}")


def parse_values(raw: Mapping[str, object]) -> dict[str, Any]:
    """Several fields at once; the first bad one raises."""
    return {name: parse_value(name, value) for name, value in raw.items()}


def _parse_bool(field: str, raw: object) -> bool:
    if isinstance(raw, bool):
        return raw
    text = str(raw).strip().lower()
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise ConfigError(field, f"{raw!r} is neither true nor false; write true or false")


def _parse_choice(field: str, raw: object) -> StrEnum:
    choice = _CHOICES[field]
    try:
        return choice(
            str(raw).strip().lower().replace("_", "-") if field == "priority" else str(raw).strip().lower()
        )
    except ValueError:
        raise ConfigError(field, f"{raw!r} is unknown; write one of {', '.join(choice)}") from None


def _parse_number(field: str, raw: object) -> float | int:
    low, high = _RANGES[field]
    unit = "" if field in _WHOLE else " seconds"
    expected = f"write a {'whole ' if field in _WHOLE else ''}number from {low:g} to {high:g}{unit}"
    if isinstance(raw, bool):
        raise ConfigError(field, f"{raw!r} is not a number; {expected}")
    try:
        number = float(str(raw).strip())
    except ValueError:
        raise ConfigError(field, f"{raw!r} is not a number; {expected}") from None
    if not math.isfinite(number) or not low <= number <= high:
        raise ConfigError(field, f"{raw} is out of range; {expected}")
    if field in _WHOLE:
        if number != int(number):
            raise ConfigError(field, f"{raw} is not a whole number; {expected}")
        return int(number)
    return number


@dataclass(frozen=True, slots=True)
class Layer:
    """One place that sets values. `source` is what people are shown, such as "project shop: profile critical"."""

    source: str
    values: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Ceiling:
    """A limit set by an administrator that outranks every layer; None on a side means no limit there."""

    field: str
    minimum: float | None = None
    maximum: float | None = None


@dataclass(frozen=True, slots=True)
class Effective:
    """The merged config, where each value came from, and what was wrong with what was written."""

    config: Config
    origins: Mapping[str, str]
    warnings: tuple[str, ...] = ()


def resolve(
    layers: Iterable[Layer], ceilings: Sequence[Ceiling] = (), warnings: Sequence[str] = ()
) -> Effective:
    """Merge layers given from the farthest to the nearest; values of None are left to the layers before."""
    values: dict[str, Any] = {}
    origins: dict[str, str] = dict.fromkeys(FIELD_NAMES, "built-in default")
    for layer in layers:
        for name, value in layer.values.items():
            if value is not None:
                values[name] = value
                origins[name] = layer.source
    notes = list(warnings)
    for ceiling in ceilings:
        _apply_ceiling(ceiling, values, origins, notes)
    config = Config(**values)
    return Effective(config, origins, tuple(notes))


def _apply_ceiling(
    ceiling: Ceiling, values: dict[str, Any], origins: dict[str, str], notes: list[str]
) -> None:
    current = values.get(ceiling.field, getattr(Config(), ceiling.field))
    if current is None:
        return
    limited = current
    if ceiling.maximum is not None and limited > ceiling.maximum:
        limited = ceiling.maximum
    if ceiling.minimum is not None and limited < ceiling.minimum:
        limited = ceiling.minimum
    if limited != current:
        values[ceiling.field] = type(current)(limited)
        notes.append(f"{ceiling.field}: {current:g} from {origins[ceiling.field]} was limited to {limited:g}")
        origins[ceiling.field] = f"ceiling (wanted {current:g} by {origins[ceiling.field]})"
