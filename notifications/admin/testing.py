"""Sending a test through a channel at once, also with settings that are not saved."""

from __future__ import annotations

import threading
import uuid
from dataclasses import dataclass, replace
from datetime import datetime

from notifications import messaging
from notifications.channels import secret_fields_of
from notifications.core.alert import Message
from notifications.core.errors import ChannelError, ConfigError
from notifications.core.masking import mask, secrets_of
from notifications.core.ports import Sender, Sent
from notifications.messages import sample_message
from notifications.messages.words import plain
from notifications.models import Channel

SECONDS = 15.0
_MARK = {"en": "[Test]", "zh-hans": "[测试]"}
_SHOWN = 500


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a test: the service's answer, or why nothing was sent."""

    text: str
    is_sent: bool


class _Sending(threading.Thread):
    """One send; a service that hangs is left behind."""

    def __init__(self, port: Sender, message: Message) -> None:
        super().__init__(name="test-channel", daemon=True)
        self._port, self._message = port, message
        self.answer = Answer(f"No answer within {SECONDS:g} s.", False)

    def run(self) -> None:
        try:
            sent = self._port.send(self._message)
        except ChannelError as error:
            self.answer = Answer(str(error), False)
        except Exception as error:
            self.answer = Answer(f"The channel itself broke: {type(error).__name__}: {error}", False)
        else:
            self.answer = Answer(sent.answer if isinstance(sent, Sent) else sent, True)


def send_test(channel: Channel, now: datetime) -> Answer:
    """Send a made-up message, marked as a test, through a channel, saved or not. Takes some seconds at the most and raises
    nothing; no secret of the channel is in the answer.
    """
    try:
        port = channel.build()
    except ConfigError as error:
        return Answer(str(error), False)
    sending = _Sending(port, marked_sample(channel, now))
    sending.start()
    sending.join(SECONDS)
    answer = sending.answer
    return Answer(plain(mask(" ".join(answer.text.split()), _secrets(channel)))[:_SHOWN], answer.is_sent)


def marked_sample(channel: Channel, now: datetime) -> Message:
    """The made-up message in the channel's words. Its id and its thread are new, so that no receiver takes it for a repeat."""
    language = channel.template.language if channel.template else channel.language
    mark = _MARK.get(language, _MARK["en"])
    message = messaging.in_words(replace(sample_message(language), links=()), channel)
    lead = replace(message.alert, title=f"{mark} {message.alert.title}")
    own = uuid.uuid4()
    return replace(
        message,
        id=str(own),
        created_at=now,
        thread=f"selfheal-test-{own}",
        reason="",
        alert=lead,
        alerts=tuple(
            replace(told, alert=lead) if told.alert is message.alert else told for told in message.alerts
        ),
        text=replace(message.text, title=f"{mark} {message.text.title}") if message.text else None,
    )


def _secrets(channel: Channel) -> tuple[str, ...]:
    names = secret_fields_of(channel.kind)
    return secrets_of(channel.config, channel.config if names is None else names)


__all__ = ["SECONDS", "Answer", "marked_sample", "send_test"]
