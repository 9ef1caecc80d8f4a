"""What every channel promises, whatever its kind, against real receivers."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from notifications.channels import build, fake, kinds
from notifications.channels.registry import class_of
from notifications.core.alert import Alert, AlertKind, AlertLevel, Told
from notifications.core.errors import ConfigError, PermanentError, TemporaryError
from tests.contract.channels.receiver import Receiver
from tests.contract.channels.samples import KINDS, MESSAGE, config_of


def test_every_built_in_kind_is_covered() -> None:
    """Protects the suite: a new built-in kind has to join it; the services of others are in `test_services`."""
    services = {kind for kind in kinds() if kind == "apprise" or ".services." in class_of(kind).__module__}
    assert set(KINDS) == set(kinds()) - services


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("level", list(AlertLevel))
@pytest.mark.parametrize("firing", list(AlertKind))
def test_message_of_any_level_is_sent(
    kind: str, level: AlertLevel, firing: AlertKind, receiver: Receiver
) -> None:
    """Protects the telling itself; the answer is short text for the delivery log."""
    message = replace(MESSAGE, alert=replace(MESSAGE.alert, level=level, kind=firing))
    answer = build(kind, config_of(kind, receiver)).send(message)
    assert answer
    assert len(answer) < 1000


@pytest.mark.parametrize("kind", KINDS)
def test_odd_text_is_sent(kind: str, receiver: Receiver) -> None:
    """Protects alerts that quote what a container printed."""
    odd = Alert(level=AlertLevel.INFO, title="\x1b[31m容器\ud800\0", body="a\r\nb" * 9_000)
    assert build(kind, config_of(kind, receiver)).send(replace(MESSAGE, alert=odd))


@pytest.mark.parametrize("kind", KINDS)
def test_unknown_field_is_refused(kind: str, receiver: Receiver) -> None:
    """Protects people from settings that have no effect."""
    with pytest.raises(ConfigError) as refusal:
        build(kind, {**config_of(kind, receiver), "colour": "red"})
    assert refusal.value.field == "colour"
    assert "no such field" in refusal.value.reason


@pytest.mark.parametrize("kind", KINDS)
def test_config_that_is_no_object_is_refused(kind: str) -> None:
    """Protects from JSON of the wrong shape."""
    with pytest.raises(ConfigError, match="JSON object"):
        build(kind, ["url"])  # type: ignore[arg-type]


def test_unknown_kind_is_refused_with_the_known_ones() -> None:
    """Protects a configuration whose plug-in was removed."""
    with pytest.raises(ConfigError, match="there are log, webhook"):
        build("pigeon", {})


def test_log_record_carries_level_and_ids(caplog: pytest.LogCaptureFixture) -> None:
    """Protects log pipelines: one line, the alert's level, a stable action, the ids."""
    with caplog.at_level(logging.DEBUG, "selfheal.alerts"):
        build("log", {}).send(MESSAGE)
    (record,) = caplog.records
    assert record.levelno == logging.CRITICAL
    assert record.getMessage() == "web is down: exit code 137 out of memory"
    assert record.__dict__["action"] == "alert"
    assert record.__dict__["notification"] == MESSAGE.id
    assert record.__dict__["container"] == "shop-web-1"
    assert record.__dict__["failure"] == 8


def test_log_has_a_record_for_each_alert_of_a_group(caplog: pytest.LogCaptureFixture) -> None:
    """Protects log pipelines from missing what was grouped."""
    told = tuple(Told(f"id-{number}", MESSAGE.created_at, MESSAGE.alert) for number in range(3))
    with caplog.at_level(logging.DEBUG, "selfheal.alerts"):
        assert build("log", {}).send(replace(MESSAGE, alerts=told)) == "3 logged"
    assert [record.__dict__["notification"] for record in caplog.records] == ["id-0", "id-1", "id-2"]


def test_fake_keeps_what_was_sent() -> None:
    """Protects the tests that rest on the fake."""
    fake.clear()
    build("fake", {}).send(MESSAGE)
    assert fake.sent() == [MESSAGE]
    fake.clear()
    assert fake.sent() == []


@pytest.mark.parametrize(("fail", "error"), [("temporary", TemporaryError), ("permanent", PermanentError)])
def test_fake_fails_as_configured(fail: str, error: type[Exception]) -> None:
    """Protects tests of retries."""
    with pytest.raises(error):
        build("fake", {"fail": fail}).send(MESSAGE)
    with pytest.raises(ConfigError, match="must be one of"):
        build("fake", {"fail": "sometimes"})


def test_webhook_posts_json_with_the_stable_id(receiver: Receiver) -> None:
    """Protects receivers: documented fields, the id in body and header, own headers added."""
    channel = build("webhook", {"url": receiver.url, "headers": {"Authorization": "Bearer x"}})
    assert channel.send(MESSAGE) == "200 thanks"
    assert channel.send(MESSAGE) == "200 thanks"
    headers, payload = receiver.requests[0]
    assert receiver.ids == [MESSAGE.id, MESSAGE.id]
    assert headers["Idempotency-Key"] == MESSAGE.id
    assert headers["Content-Type"] == "application/json"
    assert headers["Authorization"] == "Bearer x"
    assert payload == json.loads(json.dumps(MESSAGE.payload()))
    documented = {
        "version": 1,
        "id": MESSAGE.id,
        "created_at": "2026-01-02T03:04:05+00:00",
        "level": "critical",
        "kind": "firing",
        "title": "web is down",
        "body": "exit code 137\nout of memory",
        "host": "local",
        "project": "shop",
        "service": "web",
        "container": "shop-web-1",
        "container_id": 7,
        "failure_id": 8,
        "alert_key": "container:7",
        "tenant_id": None,
    }
    assert {name: payload[name] for name in documented} == documented


def test_webhook_honours_retry_after(receiver: Receiver) -> None:
    """Protects receivers that say when to come back, in seconds or as a date."""
    receiver.status, receiver.headers = 429, {"Retry-After": "120"}
    with pytest.raises(TemporaryError) as fault:
        build("webhook", {"url": receiver.url}).send(MESSAGE)
    assert fault.value.retry_after == 120
    receiver.headers = {"Retry-After": format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)}
    with pytest.raises(TemporaryError) as fault:
        build("webhook", {"url": receiver.url}).send(MESSAGE)
    assert fault.value.retry_after is not None
    assert 3000 < fault.value.retry_after <= 3600


def test_webhook_that_cannot_be_reached_is_temporary(receiver: Receiver) -> None:
    """Protects alerts while the receiver is being restarted; the error does not repeat the address's secrets."""
    with pytest.raises(TemporaryError) as fault:
        build("webhook", {"url": "http://127.0.0.1:1/hook?token=secret"}).send(MESSAGE)
    assert "127.0.0.1" in str(fault.value)
    assert "secret" not in str(fault.value)


def test_webhook_answer_is_cut(receiver: Receiver) -> None:
    """Protects the delivery log from a receiver that answers a whole page."""
    receiver.body = b"x" * 200_000
    assert len(build("webhook", {"url": receiver.url}).send(MESSAGE)) < 600


def test_webhook_hides_its_secrets() -> None:
    """Protects tokens in the address and the headers from logs and tracebacks."""
    channel = build("webhook", {"url": "https://h/t0ken", "headers": {"Authorization": "s3cret"}})
    assert "t0ken" not in repr(channel)
    assert "s3cret" not in repr(channel)


@pytest.mark.parametrize(
    ("config", "field"),
    [
        ({}, "url"),
        ({"url": ""}, "url"),
        ({"url": 5}, "url"),
        ({"url": "ftp://h/"}, "url"),
        ({"url": "http://"}, "url"),
        ({"url": "http://h:x/"}, "url"),
        ({"url": "http://[::1/"}, "url"),
        ({"url": "http://h/a b"}, "url"),
        ({"url": "http://h/", "headers": []}, "headers"),
        ({"url": "http://h/", "headers": {"A b": "x"}}, "headers"),
        ({"url": "http://h/", "headers": {"A": "x\r\nB: y"}}, "headers"),
        ({"url": "http://h/", "headers": {"A": 1}}, "headers"),
        ({"url": "http://h/", "tls_verify": "no"}, "tls_verify"),
    ],
)
def test_webhook_config_is_refused_at_its_field(config: dict[str, Any], field: str) -> None:
    """Protects the form, which shows the error beside the field."""
    with pytest.raises(ConfigError) as refusal:
        build("webhook", config)
    assert refusal.value.field == field


def test_payload_is_plain_json() -> None:
    """Protects receivers in other languages: no Python types leak out."""
    assert json.loads(json.dumps(MESSAGE.payload()))["level"] == "critical"
