"""WeCom: the robot of a group."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from notifications.channels.exchange import Answer, Request
from notifications.channels.services.base import Service, coded_fault, json_request
from notifications.channels.services.words import body_and_links, cut, in_bytes, title_of
from notifications.core.alert import Link, Message
from notifications.core.errors import ChannelError
from notifications.core.fields import Field, secret_names

LIMIT = 4096
_TEMPORARY = frozenset({-1, 45009, 45033})
"""The system is busy; more than 20 messages a minute."""


@dataclass(frozen=True, slots=True)
class WecomChannel(Service):
    """`url` of the robot. Markdown, which may be twice as long as WeCom's plain text."""

    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field(
            "url",
            "Webhook address",
            "Of the robot: https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=…",
            "url",
            secret=True,
            required=True,
        ),
    )
    SECRET_FIELDS: ClassVar[frozenset[str]] = secret_names(FIELDS)

    url: str = field(default="", repr=False)

    def request(self, message: Message) -> Request:
        title = f"**{_plain(cut(title_of(message), 600, in_bytes))}**"
        room = LIMIT - in_bytes(title) - 1
        text = f"{title}\n{body_and_links(message, room, in_bytes, _link, _plain)}"
        return json_request(self.url, {"msgtype": "markdown", "markdown": {"content": text.strip()}})

    def fault(self, answer: Answer) -> ChannelError | None:
        return coded_fault(answer, ("errcode",), _TEMPORARY)


def _link(link: Link) -> str:
    return f"[{_plain(link.label)}]({link.url})"


def _plain(text: str) -> str:
    """Without what WeCom takes for a mention, a colour or a link."""
    return text.replace("<", "＜").replace("[", "［")
