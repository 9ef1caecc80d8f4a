"""Reads a configuration by its fields, strictly: unknown and unusable ones are refused at the field."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from notifications.core.config import read_bool, read_choice, read_url, refuse_unknown
from notifications.core.errors import ConfigError
from notifications.core.fields import Field


def read_fields(
    config: Mapping[str, Any], fields: tuple[Field, ...], hidden: tuple[str, ...] = ()
) -> dict[str, Any]:
    """The values of those fields that are filled in. `hidden` are addresses that no form shows."""
    refuse_unknown(config, (*(field.name for field in fields), *hidden))
    values: dict[str, Any] = {}
    for field in fields:
        if config.get(field.name) not in (None, "", []):
            values[field.name] = _READERS[field.kind](config, field)
        elif field.required:
            raise ConfigError(field.name, f"must be filled in: {field.help or field.label}")
    for name in hidden:
        if config.get(name):
            values[name] = read_url(config, name).rstrip("/")
    return values


def require_token(values: Mapping[str, Any], *names: str) -> None:
    """What goes into an address or a header is printable ASCII without spaces."""
    for name in names:
        value = values.get(name, "")
        if not value.isascii() or not value.isprintable() or " " in value:
            raise ConfigError(name, "holds a space or a character that no such key has; paste it once more")


def _read_text(config: Mapping[str, Any], field: Field) -> str:
    value = config[field.name]
    if not isinstance(value, str) or not value.strip().isprintable():
        raise ConfigError(field.name, "must be a text on one line")
    return value.strip()


def _read_integer(config: Mapping[str, Any], field: Field) -> int:
    value = config[field.name]
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ConfigError(field.name, "must be a whole number")
    return value


def _read_lines(config: Mapping[str, Any], field: Field) -> tuple[str, ...]:
    value = config[field.name]
    if not isinstance(value, list | tuple) or not all(isinstance(line, str) for line in value):
        raise ConfigError(field.name, "must be a list of texts, one per line")
    lines = tuple(line.strip() for line in value if line.strip())
    if not lines or not all(line.isprintable() for line in lines):
        raise ConfigError(field.name, "must hold at least one line, and each must be printable text")
    return lines


_READERS: Mapping[str, Callable[[Mapping[str, Any], Field], Any]] = {
    "text": _read_text,
    "secret": _read_text,
    "url": lambda config, field: read_url(config, field.name),
    "integer": _read_integer,
    "boolean": lambda config, field: read_bool(config, field.name, default=False),
    "lines": _read_lines,
    "choice": lambda config, field: read_choice(
        config, field.name, tuple(value for value, _ in field.choices)
    ),
}
