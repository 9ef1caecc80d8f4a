"""Discord: the webhook of a channel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from notifications.channels.exchange import Answer, Request, fault_of
from notifications.channels.services.base import Service, json_request, read_json, seconds_of
from notifications.channels.services.words import body_and_links, cut, title_of
from notifications.core.alert import AlertKind, AlertLevel, Link, Message
from notifications.core.errors import ChannelError
from notifications.core.fields import Field, secret_names

LIMIT = 4096
TITLE_LIMIT = 256
_RESOLVED = 0x2EB67D
_COLOURS: Mapping[AlertLevel, int] = {
    AlertLevel.INFO: 0x439FE0,
    AlertLevel.WARNING: 0xECB22E,
    AlertLevel.ERROR: 0xE8590C,
    AlertLevel.CRITICAL: 0xE01E5A,
}


@dataclass(frozen=True, slots=True)
class DiscordChannel(Service):
    """`url` of the webhook. Nobody is mentioned, whatever a container says."""

    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field(
            "url",
            "Webhook address",
            "From the channel's settings, Integrations: https://discord.com/api/webhooks/…",
            "url",
            secret=True,
            required=True,
        ),
    )
    SECRET_FIELDS: ClassVar[frozenset[str]] = secret_names(FIELDS)

    url: str = field(default="", repr=False)

    def request(self, message: Message) -> Request:
        resolved = message.status is AlertKind.RESOLVED
        embed = {
            "title": cut(_escape(title_of(message)), TITLE_LIMIT),
            "description": body_and_links(message, LIMIT, show=_link, clean=_escape),
            "color": _RESOLVED if resolved else _COLOURS[message.alert.level],
            "timestamp": message.created_at.isoformat(),
        }
        return json_request(self.url, {"embeds": [embed], "allowed_mentions": {"parse": []}})

    def fault(self, answer: Answer) -> ChannelError | None:
        """The body's `retry_after` is exact, the header is not always there."""
        wait = read_json(answer).get("retry_after")
        return fault_of(answer, retry_after=seconds_of(wait))


def _link(link: Link) -> str:
    return f"[{_escape(link.label)}]({link.url})"


def _escape(text: str) -> str:
    """Log lines keep their stars and underscores."""
    return "".join(f"\\{c}" if c in "\\*_`~|[]" else c for c in text)
