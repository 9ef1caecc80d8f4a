"""DingTalk: a custom robot of a group, signed."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import ClassVar
from urllib.parse import urlencode

from notifications.channels.exchange import Answer, Request
from notifications.channels.services.base import Service, coded_fault, json_request
from notifications.channels.services.signing import dingtalk_signature
from notifications.channels.services.words import in_json, whole
from notifications.core.alert import Message
from notifications.core.errors import ChannelError
from notifications.core.fields import Field, secret_names

LIMIT = 18_000
"""Bytes of the text; a message is at most 20,000 with all around it."""
_TEMPORARY = frozenset({-1, 130101, 410100})
"""The system is busy; more than 20 messages a minute."""


@dataclass(frozen=True, slots=True)
class DingtalkChannel(Service):
    """`url` of the robot, and its `secret` where its security setting is a signature."""

    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field(
            "url",
            "Webhook address",
            "Of the robot, with its access_token: https://oapi.dingtalk.com/robot/send?access_token=…",
            "url",
            secret=True,
            required=True,
        ),
        Field(
            "secret",
            "Signing secret",
            "Begins with SEC; empty where the robot has no signature",
            "secret",
            secret=True,
        ),
    )
    SECRET_FIELDS: ClassVar[frozenset[str]] = secret_names(FIELDS)

    url: str = field(default="", repr=False)
    secret: str = field(default="", repr=False)

    def request(self, message: Message) -> Request:
        text = whole(message, LIMIT, in_json)
        return json_request(self._signed(), {"msgtype": "text", "text": {"content": text}})

    def fault(self, answer: Answer) -> ChannelError | None:
        return coded_fault(answer, ("errcode",), _TEMPORARY)

    def _signed(self) -> str:
        if not self.secret:
            return self.url
        now = time.time_ns() // 1_000_000
        signature = urlencode({"timestamp": now, "sign": dingtalk_signature(now, self.secret)})
        return f"{self.url}{'&' if '?' in self.url else '?'}{signature}"
