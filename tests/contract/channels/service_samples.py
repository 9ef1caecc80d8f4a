"""What the tests of services share: a message, its resolution, and working settings of each kind."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from notifications.channels.registry import build
from notifications.core.alert import Alert, AlertKind, AlertLevel, Link, Message
from tests.contract.channels.sink import Got, Sink

OPEN = Link("open", "Open", "https://selfheal.example/failures/8?a=1&b=2")
MESSAGE = Message(
    id="0b6bd04e-0000-4000-8000-000000000001",
    created_at=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
    alert=Alert(
        level=AlertLevel.CRITICAL,
        title="web is down",
        body='exit code 137\n<!channel> "out of memory" & 内存不足',
        host="local",
        project="shop",
        service="web",
        container="shop-web-1",
        alert_key="container:7",
        alertname="container_failed",
    ),
    thread="group/7",
    links=(OPEN, Link("ack", "Acknowledge", "https://selfheal.example/l/ack")),
)
RESOLVED = replace(
    MESSAGE,
    id="0b6bd04e-0000-4000-8000-000000000002",
    alert=replace(MESSAGE.alert, kind=AlertKind.RESOLVED, title="web is up again"),
)
SECRET = "s3cr3t-t0ken-0123456789"
SLACK_OK = {"ok": True, "channel": "C1", "ts": "1700000000.000100"}


def config_of(kind: str, sink: Sink) -> dict[str, Any]:
    """Working settings of a kind, pointed at the sink."""
    hook = {"url": f"{sink.url}/hook/{SECRET}?access_token={SECRET}"}
    twilio = {
        "account_sid": "AC0123456789",
        "auth_token": SECRET,
        "from_number": "+4915112345678",
        "to_number": "+8613912345678",
        "api_base": sink.url,
    }
    return {
        "slack": {"bot_token": SECRET, "channel": "#ops", "api_base": f"{sink.url}/api"},
        "telegram": {"bot_token": f"123:{SECRET}", "chat_id": "-100", "api_base": sink.url},
        "discord": hook,
        "teams": hook,
        "dingtalk": {**hook, "secret": "SEC" + SECRET},
        "wecom": hook,
        "feishu": {**hook, "secret": SECRET},
        "pagerduty": {"integration_key": SECRET, "api_base": sink.url},
        "opsgenie": {"api_key": SECRET, "api_base": sink.url},
        "twilio_sms": twilio,
        "twilio_voice": twilio,
        "ntfy": {"server": sink.url, "topic": "ops", "token": SECRET},
    }[kind]


GOOD: dict[str, Any] = {
    "slack": SLACK_OK,
    "telegram": {"ok": True, "result": {"message_id": 42}},
    "dingtalk": {"errcode": 0, "errmsg": "ok"},
    "wecom": {"errcode": 0, "errmsg": "ok"},
    "feishu": {"code": 0, "msg": "success"},
}
KINDS = (
    "slack",
    "telegram",
    "discord",
    "teams",
    "dingtalk",
    "wecom",
    "feishu",
    "pagerduty",
    "opsgenie",
    "twilio_sms",
    "twilio_voice",
    "ntfy",
)


def sent(kind: str, sink: Sink, message: Message = MESSAGE, **config: Any) -> Got:
    """Send one message and return the request that it became."""
    sink.says(200, GOOD.get(kind, {}))
    build(kind, {**config_of(kind, sink), **config}).send(message)
    return sink.got[-1]
