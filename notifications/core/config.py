"""Strict readers for the configuration of a channel. Each raises ConfigError at the field."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from notifications.core.errors import ConfigError


def refuse_unknown(config: Mapping[str, Any], known: tuple[str, ...]) -> None:
    for name in sorted(config):
        if name not in known:
            fields = ", ".join(known) or "none"
            raise ConfigError(str(name), f"this channel has no such field; it has {fields}")


def read_url(config: Mapping[str, Any], name: str) -> str:
    """An http or https address with a host, as it is written."""
    value = config.get(name)
    if not isinstance(value, str) or not value.strip():
        raise ConfigError(name, "must be an address such as https://example.org/hook")
    url = value.strip()
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or any(character <= " " for character in url):
        raise ConfigError(name, "is no usable address; write it as in https://example.org/hook")
    return url


def read_bool(config: Mapping[str, Any], name: str, default: bool) -> bool:
    value = config.get(name, default)
    if not isinstance(value, bool):
        raise ConfigError(name, "must be true or false")
    return value


def read_headers(config: Mapping[str, Any], name: str) -> tuple[tuple[str, str], ...]:
    """A JSON object of header names and values; names are tokens, values printable ASCII."""
    value = config.get(name, {})
    if not isinstance(value, Mapping):
        raise ConfigError(name, 'must be an object, such as {"Authorization": "Bearer …"}')
    for key, text in value.items():
        if (
            not isinstance(key, str)
            or not key.replace("-", "").replace("_", "").isalnum()
            or not key.isascii()
        ):
            raise ConfigError(name, f"{key!r} is no name of a header")
        if not isinstance(text, str) or not text.isascii() or not text.isprintable():
            raise ConfigError(name, f"the value of {key} must be printable ASCII text")
    return tuple((key, text.strip()) for key, text in value.items())


def read_choice(config: Mapping[str, Any], name: str, choices: tuple[str, ...]) -> str:
    """One of `choices`; the first where nothing is given."""
    value = config.get(name, choices[0])
    if value not in choices:
        raise ConfigError(name, f"must be one of {', '.join(repr(choice) for choice in choices)}")
    return str(value)


def read_text(
    config: Mapping[str, Any], name: str, default: str = "", *, required: bool = False, limit: int = 1000
) -> str:
    """One line of text without the spaces around it."""
    value = config.get(name, default)
    if not isinstance(value, str):
        raise ConfigError(name, "must be text")
    text = value.strip()
    if required and not text:
        raise ConfigError(name, "must not be empty")
    if len(text) > limit or not text.isprintable():
        raise ConfigError(name, f"must be one line of at most {limit} characters")
    return text


def read_integer(config: Mapping[str, Any], name: str, default: int, low: int, high: int) -> int:
    value = config.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise ConfigError(name, f"must be a whole number from {low} to {high}")
    return value


def read_lines(
    config: Mapping[str, Any], name: str, *, required: bool = False, most: int = 100
) -> tuple[str, ...]:
    """A list of texts, none of them empty or with a NUL in it."""
    value = config.get(name, [])
    if not isinstance(value, list | tuple) or not all(isinstance(each, str) for each in value):
        raise ConfigError(name, 'must be a list of texts, such as ["one", "two"]')
    if required and not value:
        raise ConfigError(name, "must have at least one entry")
    if len(value) > most or any(not each.strip() or "\0" in each for each in value):
        raise ConfigError(name, f"must have at most {most} entries, none of them empty")
    return tuple(value)


def read_urls(config: Mapping[str, Any], name: str) -> tuple[str, ...]:
    """A list of at least one http or https address."""
    return tuple(read_url({name: each}, name) for each in read_lines(config, name, required=True))


def shortened(text: str, limit: int) -> str:
    """At most `limit` characters; what is cut ends in an ellipsis."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def read_environment(config: Mapping[str, Any], name: str) -> tuple[tuple[str, str], ...]:
    """A JSON object of environment variables and their texts."""
    value = config.get(name, {})
    if not isinstance(value, Mapping):
        raise ConfigError(name, 'must be an object, such as {"TOKEN": "…"}')
    for key, text in value.items():
        if not isinstance(key, str) or not key.isidentifier() or not key.isascii():
            raise ConfigError(name, f"{key!r} is no name of a variable")
        if not isinstance(text, str) or "\0" in text:
            raise ConfigError(name, f"the value of {key} must be text")
    return tuple(value.items())
