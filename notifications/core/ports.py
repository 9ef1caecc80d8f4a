"""The one small interface of a channel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, Self

from notifications.core.alert import Message


@dataclass(frozen=True, slots=True)
class Sent:
    """What a receiver answered, short, and its own name for the thread that this message opened, where it has threads."""

    answer: str
    thread_ref: str = ""


class Sender(Protocol):
    """What is sent through."""

    def send(self, message: Message) -> str | Sent:
        """Send once and return the receiver's answer, short (as `Sent` where a thread was opened).

        Raise PermanentError or TemporaryError; never retry.
        """


class Channel(Sender, Protocol):
    """A way to reach people. A class may also have `FIELDS`, a tuple of `notifications.core.fields.Field` for the form,
    and `SECRET_FIELDS`, the names of those fields that are never shown.
    """

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Raise ConfigError at the field that cannot be used."""
