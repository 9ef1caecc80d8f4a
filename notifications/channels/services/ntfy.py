"""ntfy: a topic on ntfy.sh or on a server of your own."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from notifications.channels.exchange import Request
from notifications.channels.services.base import Service, json_request
from notifications.channels.services.reading import require_token
from notifications.channels.services.words import cut, in_bytes, title_of
from notifications.core.alert import AlertKind, AlertLevel, Message
from notifications.core.errors import ConfigError
from notifications.core.fields import Field, secret_names

LIMIT = 4096
"""Bytes; what is longer becomes an attachment."""
TITLE_LIMIT = 250
VIEW = "view"
"""The kind of button that opens an address."""
BUTTONS = 3
_PRIORITIES: Mapping[AlertLevel, int] = {
    AlertLevel.INFO: 2,
    AlertLevel.WARNING: 3,
    AlertLevel.ERROR: 4,
    AlertLevel.CRITICAL: 5,
}
_TAGS: Mapping[AlertLevel, str] = {
    AlertLevel.INFO: "information_source",
    AlertLevel.WARNING: "warning",
    AlertLevel.ERROR: "x",
    AlertLevel.CRITICAL: "rotating_light",
}


@dataclass(frozen=True, slots=True)
class NtfyChannel(Service):
    """`topic`, optionally `server` and `token`, or `user` and `password`."""

    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field(
            "topic",
            "Topic",
            "Who knows its name can read it, where the server asks for no login",
            secret=True,
            required=True,
        ),
        Field("server", "Server", "Empty for https://ntfy.sh", "url"),
        Field(
            "token", "Access token", "Begins with tk_; instead of user and password", "secret", secret=True
        ),
        Field("user", "User"),
        Field("password", "Password", "", "secret", secret=True),
    )
    SECRET_FIELDS: ClassVar[frozenset[str]] = secret_names(FIELDS)

    topic: str = field(default="", repr=False)
    server: str = "https://ntfy.sh"
    token: str = field(default="", repr=False)
    user: str = ""
    password: str = field(default="", repr=False)

    @classmethod
    def check(cls, values: Mapping[str, Any]) -> None:
        require_token(values, "topic", "token")
        if "/" in values["topic"]:
            raise ConfigError(
                "topic", "is the topic's name only; the server's address goes into its own field"
            )
        if "token" in values and "user" in values:
            raise ConfigError(
                "token", "leave it empty where user and password are given, or the other way round"
            )
        if ("user" in values) != ("password" in values):
            raise ConfigError("password", "user and password belong together")

    def request(self, message: Message) -> Request:
        resolved = message.status is AlertKind.RESOLVED
        level = message.alert.level
        payload: dict[str, Any] = {
            "topic": self.topic,
            "title": cut(title_of(message), TITLE_LIMIT),
            "message": cut(message.body.strip() or title_of(message), LIMIT, in_bytes),
            "priority": _PRIORITIES[AlertLevel.WARNING if resolved else level],
            "tags": ["white_check_mark" if resolved else _TAGS[level]],
            "actions": [
                {"action": VIEW, "label": link.label, "url": link.url} for link in message.links[:BUTTONS]
            ],
        }
        return json_request(self.server, payload, self._authorization())

    def _authorization(self) -> dict[str, str]:
        if self.token:
            return {"Authorization": f"Bearer {self.token}"}
        if self.user:
            login = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
            return {"Authorization": f"Basic {login}"}
        return {}
