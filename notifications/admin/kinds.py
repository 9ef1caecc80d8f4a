"""The kinds of channels as people choose among them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from notifications.channels import kinds

_OTHERS = "Installed plug-ins"
_MADE_FOR_TESTS = "fake"
FOR_SUPERUSERS = frozenset({"command"})
"""Kinds by which who sets them up may do on the worker's machine whatever Selfheal may."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind: its name in the configuration, what people call it, and what it does."""

    name: str
    title: str
    about: str
    icon: str = "extension"


_GROUPS: tuple[tuple[str, tuple[Kind, ...]], ...] = (
    (
        "Chat",
        (
            Kind("slack", "Slack", "By an incoming webhook, or as a bot with one thread for each group.", "tag"),
            Kind("teams", "Microsoft Teams", "By a workflow's address.", "groups"),
            Kind("discord", "Discord", "By a webhook of a channel.", "forum"),
            Kind("telegram", "Telegram", "As a bot, to a chat, a group or a topic.", "send"),
            Kind("dingtalk", "DingTalk 钉钉", "By a group robot, signed.", "chat"),
            Kind("wecom", "WeCom 企业微信", "By a group robot.", "chat"),
            Kind("feishu", "Feishu 飞书, Lark", "By a group robot, signed.", "chat"),
        ),
    ),
    (
        "Mail and telephone",
        (
            Kind("email", "E-mail", "By an SMTP server, as text and HTML.", "mail"),
            Kind("twilio_sms", "SMS by Twilio", "The title and a link, to one telephone.", "sms"),
            Kind("twilio_voice", "Call by Twilio", "The title read out twice, to one telephone.", "call"),
            Kind("aliyun_sms", "SMS by Aliyun 阿里云短信", "By a template of yours, to one or more telephones.", "sms"),
            Kind("ntfy", "ntfy", "To a topic that telephones subscribe to.", "phone_iphone"),
        ),
    ),
    (
        "On-call services",
        (
            Kind("pagerduty", "PagerDuty", "Events API: opens and resolves incidents.", "crisis_alert"),
            Kind("opsgenie", "Opsgenie", "Opens and closes alerts.", "crisis_alert"),
            Kind("alertmanager", "Alertmanager", "Hands the alerts to a Prometheus Alertmanager.", "hub"),
        ),
    ),
    (
        "Everything else",
        (
            Kind("apprise", "Apprise", "Any of Apprise's services, by its address.", "apps"),
            Kind("webhook", "Webhook", "A POST of JSON to your own address, signed.", "webhook"),
            Kind("command", "Command", "Runs a program on the machine of the worker.", "terminal"),
            Kind("syslog", "Syslog", "Records by UDP, TCP or TLS, or to this machine's own log.", "receipt_long"),
            Kind("log", "Log", "Records in Selfheal's own log.", "article"),
        ),
    ),
)  # fmt: skip
_KNOWN = {kind.name: kind for _, group in _GROUPS for kind in group}


def offered(is_superuser: bool = True) -> tuple[str, ...]:
    """The kinds that a person may choose."""
    kept_back = frozenset() if is_superuser else FOR_SUPERUSERS
    return tuple(name for name in kinds() if name != _MADE_FOR_TESTS and name not in kept_back)


def groups(is_superuser: bool = True) -> Iterator[tuple[str, list[Kind]]]:
    """What is offered, under headings; plug-ins come last."""
    left = set(offered(is_superuser))
    for title, group in _GROUPS:
        found = [kind for kind in group if kind.name in left]
        if found:
            yield title, found
    others = [kind_of(name) for name in offered() if name not in _KNOWN]
    if others:
        yield _OTHERS, others


def kind_of(name: str) -> Kind:
    return _KNOWN.get(name) or Kind(name, name, "An installed plug-in.")
