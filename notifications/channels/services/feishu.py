"""Feishu and Lark: a custom bot of a group, signed."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any, ClassVar

from notifications.channels.exchange import Answer, Request
from notifications.channels.services.base import Service, coded_fault, json_request
from notifications.channels.services.signing import feishu_signature
from notifications.channels.services.words import cut, in_json, links_within, title_of
from notifications.core.alert import Message
from notifications.core.errors import ChannelError
from notifications.core.fields import Field, secret_names

TITLE_LIMIT = 900
LINKS_LIMIT = 2500
LIMIT = 15_000
"""Bytes of the text; a request is at most 20 KB with all around it."""
_TEMPORARY = frozenset({11232, 99991400})
"""More than five messages a second or a hundred a minute."""


@dataclass(frozen=True, slots=True)
class FeishuChannel(Service):
    """`url` of the bot, and its `secret` where signature verification is on."""

    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field(
            "url",
            "Webhook address",
            "Of the bot: https://open.feishu.cn/open-apis/bot/v2/hook/…, or of Lark",
            "url",
            secret=True,
            required=True,
        ),
        Field("secret", "Signing secret", "Empty where signature verification is off", "secret", secret=True),
    )
    SECRET_FIELDS: ClassVar[frozenset[str]] = secret_names(FIELDS)

    url: str = field(default="", repr=False)
    secret: str = field(default="", repr=False)

    def request(self, message: Message) -> Request:
        """A post: unlike in a text, nothing in it mentions anybody."""
        title = cut(title_of(message), TITLE_LIMIT, in_json)
        content: list[list[dict[str, str]]] = [
            [{"tag": "text", "text": cut(message.body.strip() or title, LIMIT, in_json)}]
        ]
        content += [
            [{"tag": "a", "text": link.label, "href": link.url}]
            for link in links_within(message, LINKS_LIMIT, in_json)
        ]
        post = {"zh_cn": {"title": title, "content": content}}
        payload: dict[str, Any] = {"msg_type": "post", "content": {"post": post}}
        if self.secret:
            now = int(time.time())
            payload |= {"timestamp": str(now), "sign": feishu_signature(now, self.secret)}
        return json_request(self.url, payload)

    def fault(self, answer: Answer) -> ChannelError | None:
        return coded_fault(answer, ("code", "StatusCode"), _TEMPORARY)
