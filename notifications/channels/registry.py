"""Which module makes a channel of which kind."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any, cast

from notifications.core.errors import ConfigError
from notifications.core.ports import Channel

ENTRY_POINTS = "selfheal.channels"
BUILT_IN: Mapping[str, str] = {
    "log": "notifications.channels.log.LogChannel",
    "webhook": "notifications.channels.webhook.WebhookChannel",
    "fake": "notifications.channels.fake.FakeChannel",
}


def kinds() -> tuple[str, ...]:
    """Every kind of channel that can be built here, built-in kinds first."""
    return (*BUILT_IN, *sorted(_plugins()))


def build(kind: str, config: Mapping[str, Any]) -> Channel:
    """Make a channel. Raise ConfigError at `kind`, or at the field of the configuration that cannot be used."""
    channel_class = _class_of(kind)
    if not isinstance(config, Mapping):
        raise ConfigError("config", "must be a JSON object, such as {}")
    return channel_class.from_config(config)


def _class_of(kind: str) -> type[Channel]:
    if kind in BUILT_IN:
        module, _, name = BUILT_IN[kind].rpartition(".")
        return cast(type[Channel], getattr(import_module(module), name))
    plugins = _plugins()
    if kind not in plugins:
        raise ConfigError("kind", f"no installed channel is of kind {kind!r}; there are {', '.join(kinds())}")
    return plugins[kind]


@cache
def _plugins() -> Mapping[str, type[Channel]]:
    found = entry_points(group=ENTRY_POINTS)
    return {point.name: point.load() for point in found if point.name not in BUILT_IN}
