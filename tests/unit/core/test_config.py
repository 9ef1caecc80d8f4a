"""The healing config: what may be written, and which layer wins."""

from __future__ import annotations

from typing import Any

import pytest

from healing.core.config import (
    FIELD_NAMES,
    Ceiling,
    Config,
    EngineVerdicts,
    FoundStopped,
    Layer,
    Priority,
    parse_value,
    parse_values,
    resolve,
)
from healing.core.errors import ConfigError

DEFAULTS = {
    "check_interval": 30, "check_timeout": 10, "failure_threshold": 3, "max_restarts": 5, "restart_window": 300,
    "auto_restart": True, "send_alert": True, "start_period": 0, "success_threshold": 1, "stop_timeout": None,
    "backoff_initial": 10, "backoff_max": 300, "verify_timeout": 120, "quarantine_release": 3600,
    "always_running": False, "found_stopped": "judge", "engine_verdicts": "immediate", "priority": "default",
}  # fmt: skip


def test_the_documented_defaults() -> None:
    """Field names and defaults are what people's scripts and labels rely on."""
    assert {name: getattr(Config(), name) for name in FIELD_NAMES} == DEFAULTS


@pytest.mark.parametrize(
    ("field", "raw", "value"),
    [
        ("check_interval", "1", 1.0),
        ("check_interval", 0.5, 0.5),
        ("check_interval", " 2.5 ", 2.5),
        ("failure_threshold", "3", 3),
        ("failure_threshold", 3.0, 3),
        ("start_period", 0, 0.0),
        ("stop_timeout", "0", 0.0),
        ("quarantine_release", "0", 0.0),
        ("auto_restart", "TRUE", True),
        ("auto_restart", False, False),
        ("send_alert", "off", False),
        ("always_running", "yes", True),
        ("found_stopped", "Heal", FoundStopped.HEAL),
        ("engine_verdicts", "counted", EngineVerdicts.COUNTED),
        ("priority", "non_critical", Priority.NON_CRITICAL),
    ],
)
def test_written_values(field: str, raw: Any, value: Any) -> None:
    """Values from text, JSON and YAML are read, fractions of seconds included."""
    parsed = parse_value(field, raw)
    assert (parsed, type(parsed)) == (value, type(value))


@pytest.mark.parametrize(
    ("field", "raw", "words"),
    [
        ("check_interval", 0, "out of range"),
        ("check_interval", "-1", "out of range"),
        ("check_interval", "30s", "is not a number"),
        ("check_interval", "nan", "out of range"),
        ("check_interval", "inf", "out of range"),
        ("check_interval", True, "is not a number"),
        ("check_interval", None, "is not a number"),
        ("failure_threshold", -3, "out of range"),
        ("failure_threshold", 0, "out of range"),
        ("failure_threshold", 2.5, "is not a whole number"),
        ("max_restarts", "", "is not a number"),
        ("auto_restart", "maybe", "write true or false"),
        ("found_stopped", "always", "write one of judge, heal, leave"),
        ("engine_verdicts", "", "immediate, counted"),
        ("chek_interval", 1, "the fields are check_interval"),
    ],
)
def test_bad_values(field: str, raw: Any, words: str) -> None:
    """A bad value is refused with the field, what is wrong, and what to write instead."""
    with pytest.raises(ConfigError) as caught:
        parse_value(field, raw)
    assert caught.value.field == field
    assert words in caught.value.reason


def test_several_values_are_all_or_nothing() -> None:
    """One bad field of several refuses them."""
    assert parse_values({"max_restarts": "2", "auto_restart": "no"}) == {
        "max_restarts": 2,
        "auto_restart": False,
    }
    with pytest.raises(ConfigError):
        parse_values({"max_restarts": "2", "verify_timeout": 0})


def test_the_nearest_layer_wins() -> None:
    """Later layers are nearer; what a layer leaves empty comes from the one before, and each origin is told."""
    layers = [
        Layer("host a", {"check_interval": 10.0, "max_restarts": 2}),
        Layer("project shop", {"check_interval": 5.0, "max_restarts": None}),
        Layer("label selfheal.check_interval", {"check_interval": 1.0}),
    ]
    effective = resolve(layers)
    assert (effective.config.check_interval, effective.config.max_restarts) == (1.0, 2)
    assert effective.origins["check_interval"] == "label selfheal.check_interval"
    assert effective.origins["max_restarts"] == "host a"
    assert effective.origins["verify_timeout"] == "built-in default"
    assert set(effective.origins) == set(FIELD_NAMES)


def test_a_false_value_is_a_value() -> None:
    """`auto_restart: false` and 0 seconds outrank what lies farther away."""
    far = Layer("host", {"auto_restart": True, "start_period": 60.0})
    config = resolve([far, Layer("container", {"auto_restart": False, "start_period": 0.0})]).config
    assert (config.auto_restart, config.start_period) == (False, 0.0)


@pytest.mark.parametrize(
    ("field", "written", "ceiling", "value"),
    [
        ("max_restarts", 100, Ceiling("max_restarts", maximum=10.0), 10),
        ("check_interval", 0.1, Ceiling("check_interval", minimum=5.0), 5.0),
        ("check_interval", 7.0, Ceiling("check_interval", 5.0, 10.0), 7.0),
        ("max_restarts", None, Ceiling("max_restarts", maximum=3.0), 3),
        ("stop_timeout", None, Ceiling("stop_timeout", maximum=3.0), None),
    ],
)
def test_ceilings_outrank_every_layer(field: str, written: Any, ceiling: Ceiling, value: Any) -> None:
    """A ceiling limits labels and defaults alike, keeps the type, and is told with what was wanted."""
    effective = resolve([Layer("label", {field: written})], [ceiling], ["earlier warning"])
    limited = getattr(effective.config, field)
    assert (limited, type(limited)) == (value, type(value))
    is_limited = value not in (written, None)
    assert ("ceiling" in effective.origins[field]) is is_limited
    assert len(effective.warnings) == 1 + is_limited
