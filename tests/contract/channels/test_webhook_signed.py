"""The signature of the webhook channel, checked as the Standard Webhooks specification tells receivers to."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from dataclasses import replace
from typing import Any

import pytest

from notifications.channels import build
from notifications.channels.webhook import WebhookChannel, body_of, signed
from notifications.core.errors import ConfigError
from tests.contract.channels.receiver import Received, Receiver
from tests.contract.channels.samples import MESSAGE
from tests.contract.channels.test_http_channels import group

NEW = "whsec_" + base64.b64encode(b"n" * 32).decode()
OLD = "whsec_" + base64.b64encode(b"o" * 24).decode()


def verify(secret: str, received: Received, tolerance: float = 300.0) -> bool:
    """A receiver's part: the raw body, one of the signatures, a time near its own."""
    headers = {name.lower(): value for name, value in received.headers.items()}
    timestamp = headers["webhook-timestamp"]
    content = f"{headers['webhook-id']}.{timestamp}.".encode() + received.body
    key = base64.b64decode(secret.removeprefix("whsec_"))
    expected = "v1," + base64.b64encode(hmac.digest(key, content, hashlib.sha256)).decode()
    return abs(time.time() - int(timestamp)) < tolerance and any(
        hmac.compare_digest(expected, given) for given in headers["webhook-signature"].split(" ")
    )


def test_known_signature() -> None:
    """Protects the scheme: the example that the specification's own libraries are tested with."""
    secret = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    headers = signed((secret,), "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert headers == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


def test_receiver_verifies_what_it_got(receiver: Receiver) -> None:
    """Protects receivers from whoever knows their address; the id stays the same over repeats."""
    channel = build("webhook", {"url": receiver.url, "secret": NEW})
    channel.send(MESSAGE)
    channel.send(MESSAGE)
    assert all(verify(NEW, received) for received in receiver.received)
    assert {received.headers["webhook-id"] for received in receiver.received} == {MESSAGE.id}
    assert not verify(OLD, receiver.received[0])
    changed = replace(receiver.received[0], body=receiver.received[0].body + b" ")
    assert not verify(NEW, changed)


def test_both_secrets_sign_during_a_rotation(receiver: Receiver) -> None:
    """Protects receivers that do not learn a new secret at the same moment."""
    build("webhook", {"url": receiver.url, "secret": NEW, "old_secret": OLD}).send(MESSAGE)
    assert verify(NEW, receiver.received[0])
    assert verify(OLD, receiver.received[0])
    assert len(receiver.received[0].headers["webhook-signature"].split(" ")) == 2


def test_own_headers_do_not_replace_the_signature(receiver: Receiver) -> None:
    """Protects the signature from a header that was configured by mistake."""
    config = {"url": receiver.url, "secret": NEW, "headers": {"Webhook-Signature": "v1,x", "webhook-id": "y"}}
    build("webhook", config).send(MESSAGE)
    names = [name.lower() for name in receiver.received[0].headers]
    assert names.count("webhook-signature") == names.count("webhook-id") == 1
    assert verify(NEW, receiver.received[0])


def test_without_a_secret_nothing_is_signed(receiver: Receiver) -> None:
    """Protects the receivers that there are: they go on without a secret."""
    build("webhook", {"url": receiver.url}).send(MESSAGE)
    assert "webhook-signature" not in receiver.received[0].headers
    assert receiver.received[0].headers["webhook-id"] == MESSAGE.id


@pytest.mark.parametrize(
    ("config", "field"),
    [
        ({"secret": "short"}, "secret"),
        ({"secret": "whsec_"}, "secret"),
        ({"secret": "whsec_" + base64.b64encode(b"x" * 23).decode()}, "secret"),
        ({"secret": "whsec_" + base64.b64encode(b"x" * 65).decode()}, "secret"),
        ({"secret": NEW.removeprefix("whsec_")}, "secret"),
        ({"secret": NEW + "!"}, "secret"),
        ({"secret": 5}, "secret"),
        ({"old_secret": OLD}, "old_secret"),
        ({"secret": NEW, "old_secret": "x"}, "old_secret"),
    ],
)
def test_unusable_secret_is_refused(config: dict[str, Any], field: str) -> None:
    """Protects from a signature that no receiver could verify; the error does not repeat the secret."""
    with pytest.raises(ConfigError) as refusal:
        build("webhook", {"url": "http://h/", **config})
    assert refusal.value.field == field
    assert NEW.removeprefix("whsec_") not in str(refusal.value)


def test_secrets_are_named_and_hidden(receiver: Receiver) -> None:
    """Protects secrets in forms, tracebacks, and answers that echo them."""
    assert {"url", "secret", "old_secret", "headers"} == WebhookChannel.SECRET_FIELDS
    config = {"url": f"{receiver.url}/T0KEN12", "secret": NEW, "headers": {"Authorization": "Bearer abcdef"}}
    channel = build("webhook", config)
    receiver.body = b"you called /hook/T0KEN12 with Bearer abcdef"
    answer = channel.send(MESSAGE)
    assert answer == "200 you called /*** with ***"
    assert "nnnn" not in repr(channel)


def test_body_is_limited_and_says_what_is_missing() -> None:
    """Protects receivers from a body that they refuse as too large, and people from missing something unawares."""
    message = group(200)
    assert "truncated_alerts" not in json.loads(body_of(message))
    body = body_of(message, limit=20_000)
    payload = json.loads(body)
    assert len(body) <= 20_000
    assert 0 < len(payload["alerts"]) < 200
    assert payload["truncated_alerts"] == 200 - len(payload["alerts"])
