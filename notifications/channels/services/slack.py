"""Slack: by an incoming webhook, or as a bot, which keeps all messages of an alert in one thread."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from notifications.channels.exchange import Answer, Request, fault_of
from notifications.channels.services.base import Service, coded_fault, json_request, read_json
from notifications.channels.services.reading import require_token
from notifications.channels.services.words import body_and_links, cut, title_of
from notifications.core.alert import AlertKind, Link, Message
from notifications.core.errors import ChannelError, ConfigError
from notifications.core.fields import Field, secret_names
from notifications.core.ports import Sent

LIMIT = 3800
"""Slack recommends at most 4,000 characters."""
_TEMPORARY = frozenset(
    {"ratelimited", "rate_limited", "internal_error", "fatal_error", "service_unavailable", "request_timeout"}
)


@dataclass(frozen=True, slots=True)
class SlackChannel(Service):
    """`webhook_url`, or `bot_token` and `channel`. A resolution is shown in the thread and in the channel."""

    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field(
            "webhook_url", "Webhook address", "Of an incoming webhook; without threads", "url", secret=True
        ),
        Field(
            "bot_token",
            "Bot token",
            "Begins with xoxb-; the bot needs the scope chat:write",
            "secret",
            secret=True,
        ),
        Field("channel", "Channel", "Name or id of the channel that the bot was invited to"),
    )
    SECRET_FIELDS: ClassVar[frozenset[str]] = secret_names(FIELDS)
    HIDDEN: ClassVar[tuple[str, ...]] = ("api_base",)

    webhook_url: str = field(default="", repr=False)
    bot_token: str = field(default="", repr=False)
    channel: str = ""
    api_base: str = "https://slack.com/api"

    @classmethod
    def check(cls, values: Mapping[str, Any]) -> None:
        if "webhook_url" in values and "bot_token" in values:
            raise ConfigError(
                "webhook_url", "leave it empty where a bot token is given, or the other way round"
            )
        if "webhook_url" not in values and "bot_token" not in values:
            raise ConfigError("webhook_url", "give the webhook's address, or a bot token and a channel")
        if "bot_token" in values and "channel" not in values:
            raise ConfigError("channel", "must be given with a bot token")
        require_token(values, "bot_token")

    def request(self, message: Message) -> Request:
        payload: dict[str, Any] = {"text": _text(message), "unfurl_links": False, "unfurl_media": False}
        if self.webhook_url:
            return json_request(self.webhook_url, payload)
        payload["channel"] = self.channel
        if message.thread_ref:
            payload["thread_ts"] = message.thread_ref
            payload["reply_broadcast"] = message.status is AlertKind.RESOLVED
        return json_request(
            f"{self.api_base}/chat.postMessage", payload, {"Authorization": f"Bearer {self.bot_token}"}
        )

    def fault(self, answer: Answer) -> ChannelError | None:
        if self.webhook_url:
            return fault_of(answer)
        said = read_json(answer)
        return coded_fault(
            answer, ("ok",) if said.get("ok") is True else ("error",), _TEMPORARY, good=(True,)
        )

    def sent(self, answer: Answer, message: Message) -> str | Sent:
        if self.webhook_url:
            return self.mask(answer.shown)
        said = read_json(answer)
        return Sent(
            f"{answer.status} ok in {said.get('channel', '')}", message.thread_ref or str(said.get("ts", ""))
        )


def _text(message: Message) -> str:
    title = f"*{_escape(cut(title_of(message), 300)).replace('*', '∗')}*"
    return f"{title}\n{body_and_links(message, LIMIT - len(title), show=_link, clean=_escape)}".strip()


def _link(link: Link) -> str:
    return f"<{link.url}|{_escape(link.label).replace('|', '/')}>"


def _escape(text: str) -> str:
    """Slack's three; nothing that a container says then mentions anybody."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
