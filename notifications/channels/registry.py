"""Which module makes a channel of which kind."""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any, cast

from notifications.channels.guard import Policy, guarded
from notifications.core.alert import Message
from notifications.core.errors import ConfigError, PermanentError, TemporaryError
from notifications.core.fields import Field, secret_names
from notifications.core.masking import mask, secrets_of
from notifications.core.ports import Channel, Sender, Sent

ENTRY_POINTS = "selfheal.channels"
BUILT_IN: Mapping[str, str] = {
    "log": "notifications.channels.log.LogChannel",
    "webhook": "notifications.channels.webhook.WebhookChannel",
    "alertmanager": "notifications.channels.alertmanager.AlertmanagerChannel",
    "syslog": "notifications.channels.syslog.SyslogChannel",
    "command": "notifications.channels.command.CommandChannel",
    "aliyun_sms": "notifications.channels.aliyun_sms.AliyunSmsChannel",
    "apprise": "notifications.channels.apprise_channel.AppriseChannel",
    "email": "notifications.channels.services.mail.EmailChannel",
    "slack": "notifications.channels.services.slack.SlackChannel",
    "telegram": "notifications.channels.services.telegram.TelegramChannel",
    "discord": "notifications.channels.services.discord.DiscordChannel",
    "teams": "notifications.channels.services.teams.TeamsChannel",
    "dingtalk": "notifications.channels.services.dingtalk.DingtalkChannel",
    "wecom": "notifications.channels.services.wecom.WecomChannel",
    "feishu": "notifications.channels.services.feishu.FeishuChannel",
    "pagerduty": "notifications.channels.services.pagerduty.PagerdutyChannel",
    "opsgenie": "notifications.channels.services.opsgenie.OpsgenieChannel",
    "twilio_sms": "notifications.channels.services.twilio.TwilioSmsChannel",
    "twilio_voice": "notifications.channels.services.twilio.TwilioVoiceChannel",
    "ntfy": "notifications.channels.services.ntfy.NtfyChannel",
    "fake": "notifications.channels.fake.FakeChannel",
}


@dataclass(frozen=True, slots=True)
class GuardedSender:
    """A channel whose connections are held to a policy, whatever library makes them, and from which no text comes back
    with a secret of its settings, or with a right that a link in the message gives.
    """

    channel: Sender
    policy: Policy
    secrets: tuple[str, ...] = field(default=(), repr=False)

    def send(self, message: Message) -> str | Sent:
        rights = [token for link in message.links if (token := link.url.partition("?t=")[2])]
        hidden = (*self.secrets, *rights)
        try:
            with guarded(self.policy):
                sent = self.channel.send(message)
        except Exception as error:
            masked = _masked(error, hidden)
            if masked is error:
                raise
            raise masked from None
        if isinstance(sent, Sent):
            return Sent(mask(sent.answer, hidden), sent.thread_ref)
        return mask(sent, hidden)


def _masked(error: Exception, hidden: tuple[str, ...]) -> Exception:
    """The same error where neither it, nor what led to it, says anything that is hidden."""
    if not isinstance(error, PermanentError | TemporaryError):
        told = "".join(traceback.format_exception(error))
        shown = mask(told, hidden)
        return error if shown == told else RuntimeError(f"{type(error).__name__}\n{shown}")
    shown = mask(str(error), hidden)
    if shown == str(error):
        return error
    return (
        TemporaryError(shown, error.retry_after)
        if isinstance(error, TemporaryError)
        else PermanentError(shown)
    )


def kinds() -> tuple[str, ...]:
    """Every kind of channel that can be built here, built-in kinds first."""
    return (*BUILT_IN, *sorted(_plugins()))


def build(kind: str, config: Mapping[str, Any], *, policy: Policy | None = None) -> Sender:
    """Make a channel. Raise ConfigError at `kind`, or at the field of the configuration that cannot be used.

    With a `policy` it connects only where that allows, and raises RefusedAddress otherwise.
    """
    channel_class = class_of(kind)
    if not isinstance(config, Mapping):
        raise ConfigError("config", "must be a JSON object, such as {}")
    channel = channel_class.from_config(config)
    if policy is None:
        return channel
    names = secret_fields_of(kind)
    return GuardedSender(channel, policy, secrets_of(config, config if names is None else names))


def fields_of(kind: str) -> tuple[Field, ...] | None:
    """What a form asks for; None for a plug-in that does not say."""
    fields: tuple[Field, ...] | None = getattr(class_of(kind), "FIELDS", None)
    return fields


def secret_fields_of(kind: str) -> frozenset[str] | None:
    """The names of the settings that are never shown; None for a plug-in that does not say: then all are."""
    channel_class = class_of(kind)
    names: frozenset[str] | None = getattr(channel_class, "SECRET_FIELDS", None)
    fields = fields_of(kind)
    return secret_names(fields) if names is None and fields is not None else names


def class_of(kind: str) -> type[Channel]:
    """Raise ConfigError at `kind` where there is none."""
    if kind in BUILT_IN:
        module, _, name = BUILT_IN[kind].rpartition(".")
        return cast(type[Channel], getattr(import_module(module), name))
    plugins = _plugins()
    if kind not in plugins:
        raise ConfigError("kind", f"no installed channel is of kind {kind!r}; there are {', '.join(kinds())}")
    return plugins[kind]


@cache
def _plugins() -> Mapping[str, type[Channel]]:
    found = entry_points(group=ENTRY_POINTS)
    return {point.name: point.load() for point in found if point.name not in BUILT_IN}
