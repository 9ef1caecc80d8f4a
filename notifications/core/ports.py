"""The one small interface of a channel."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, Self

from notifications.core.alert import Message


class Channel(Protocol):
    """A way to reach people."""

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Raise ConfigError at the field that cannot be used."""

    def send(self, message: Message) -> str:
        """Send once and return the receiver's answer, short. Raise PermanentError or TemporaryError; never retry."""
