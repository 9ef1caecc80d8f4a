"""What the tests of channels send, and how each built-in kind is configured to send it to the receiver."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from notifications.core.alert import Alert, AlertLevel, Message
from tests.contract.channels.receiver import Receiver

HTTP_KINDS = ("webhook", "alertmanager", "aliyun_sms")
NETWORK_KINDS = (*HTTP_KINDS, "syslog")
KINDS = ("log", "fake", "command", *NETWORK_KINDS)
ALIYUN = {
    "access_key_id": "LTAI-test",
    "access_key_secret": "s3cret-of-the-key",
    "phone_numbers": ["+86 138 0000 0000", "+8613900000000"],
    "sign_name": "运维",
    "template_code": "SMS_1",
}
MESSAGE = Message(
    id="0b6bd04e-0000-4000-8000-000000000001",
    created_at=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
    alert=Alert(
        level=AlertLevel.CRITICAL,
        title="web is down",
        body="exit code 137\nout of memory",
        host="local",
        project="shop",
        service="web",
        container="shop-web-1",
        container_id=7,
        failure_id=8,
        alert_key="container:7",
    ),
)


def config_of(kind: str, receiver: Receiver, host: str = "127.0.0.1") -> dict[str, Any]:
    """Settings of the kind; `host` is another name or spelling for where the receiver is."""
    base = f"http://{host}:{receiver.port}"
    if kind == "webhook":
        return {"url": f"{base}/hook"}
    if kind == "alertmanager":
        return {"urls": [base]}
    if kind == "aliyun_sms":
        receiver.body = b'{"Code": "OK", "Message": "OK", "BizId": "1", "RequestId": "2"}'
        return {**ALIYUN, "endpoint": base}
    if kind == "syslog":
        return {"address": f"udp://{host}:{receiver.datagrams.getsockname()[1]}"}
    return {"command": ["/bin/cat"]} if kind == "command" else {}
