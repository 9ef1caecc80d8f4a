"""Telegram: a bot writes to a chat; what follows answers the first message of the alert."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar
from urllib.parse import quote

from notifications.channels.exchange import Answer, Request, fault_of
from notifications.channels.services.base import Service, json_request, read_json, seconds_of
from notifications.channels.services.reading import require_token
from notifications.channels.services.words import in_utf16, whole
from notifications.core.alert import AlertLevel, Message
from notifications.core.errors import ChannelError, ConfigError
from notifications.core.fields import Field, secret_names
from notifications.core.masking import mask
from notifications.core.ports import Sent

LIMIT = 4096
_JOINER = "\N{WORD JOINER}"


@dataclass(frozen=True, slots=True)
class TelegramChannel(Service):
    """`bot_token` and `chat_id`, optionally `topic_id`. Plain text, so that nothing in it is taken for mark-up."""

    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field(
            "bot_token",
            "Bot token",
            "As @BotFather gave it: 123456:ABC…",
            "secret",
            secret=True,
            required=True,
        ),
        Field(
            "chat_id",
            "Chat",
            "Number of the chat (groups: negative), or @name of a public channel",
            required=True,
        ),
        Field("topic_id", "Topic", "Number of a topic in a group with topics", "integer"),
    )
    SECRET_FIELDS: ClassVar[frozenset[str]] = secret_names(FIELDS)
    HIDDEN: ClassVar[tuple[str, ...]] = ("api_base",)

    bot_token: str = field(default="", repr=False)
    chat_id: str = ""
    topic_id: int = 0
    api_base: str = "https://api.telegram.org"

    @classmethod
    def check(cls, values: Mapping[str, Any]) -> None:
        require_token(values, "bot_token")
        number, _, rest = values["bot_token"].partition(":")
        if not number.isdecimal() or not rest:
            raise ConfigError("bot_token", "is no bot's token; it is a number, a colon and some 35 letters")

    def request(self, message: Message) -> Request:
        payload: dict[str, Any] = {
            "chat_id": self.chat_id,
            "text": _without_mentions(whole(message, LIMIT, _size)),
            "link_preview_options": {"is_disabled": True},
            "disable_notification": message.alert.level is AlertLevel.INFO,
        }
        if self.topic_id:
            payload["message_thread_id"] = self.topic_id
        if message.thread_ref.isdecimal():
            payload["reply_parameters"] = {
                "message_id": int(message.thread_ref),
                "allow_sending_without_reply": True,
            }
        return json_request(f"{self.api_base}/bot{quote(self.bot_token, safe=':')}/sendMessage", payload)

    def fault(self, answer: Answer) -> ChannelError | None:
        """Telegram says in the body how long to wait."""
        parameters = read_json(answer).get("parameters")
        wait = parameters.get("retry_after") if isinstance(parameters, Mapping) else None
        return fault_of(answer, retry_after=seconds_of(wait))

    def sent(self, answer: Answer, message: Message) -> str | Sent:
        result = read_json(answer).get("result")
        number = result.get("message_id", "") if isinstance(result, Mapping) else ""
        return Sent(f"{answer.status} message {number}".strip(), message.thread_ref or str(number))

    def mask(self, text: str) -> str:
        """The token's second half is the secret one, and is quoted alone at times."""
        return mask(text, [self.bot_token, self.bot_token.partition(":")[2]])


def _without_mentions(text: str) -> str:
    """Telegram takes @name for a person to call; after an invisible character it is text."""
    return text.replace("@", f"@{_JOINER}")


def _size(text: str) -> int:
    return in_utf16(_without_mentions(text))
