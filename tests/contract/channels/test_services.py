"""What every service of the form kinds promises, against local sinks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from notifications.channels import exchange as exchanging
from notifications.channels.guard import Policy, RefusedAddress
from notifications.channels.registry import BUILT_IN, build, class_of, fields_of, secret_fields_of
from notifications.core.alert import AlertLevel, Link, Text
from notifications.core.errors import ConfigError, PermanentError, TemporaryError
from notifications.core.ports import Sent
from tests.contract.channels.service_samples import (
    GOOD,
    KINDS,
    MESSAGE,
    OPEN,
    RESOLVED,
    SECRET,
    config_of,
    sent,
)
from tests.contract.channels.sink import NEVER, Got, Sink, sinking


@pytest.mark.parametrize("kind", KINDS)
def test_each_service_takes_a_message_and_answers(kind: str, sink: Sink) -> None:
    """Protects that every kind is one request, and that its answer is shown without the secret."""
    sink.says(200, {**GOOD.get(kind, {}), "echo": SECRET})
    answer = build(kind, config_of(kind, sink)).send(MESSAGE)
    text = answer.answer if isinstance(answer, Sent) else answer
    assert text.startswith("200") and SECRET not in text
    assert len(sink.got) == 1 and sink.got[0].method == "POST"


@pytest.mark.parametrize("kind", KINDS)
def test_every_level_and_odd_text_is_sent(kind: str, sink: Sink) -> None:
    """Protects alerts that quote what a container printed, of any level, firing or resolved, with empty text too."""
    odd = Text("\x1b[31m容器\ud800\r\n\0", "a\r\n\ud800\x07b" * 50)
    for level in AlertLevel:
        for each in (MESSAGE, RESOLVED):
            for text in (odd, Text("", "")):
                sent(kind, sink, replace(each, alert=replace(each.alert, level=level), text=text))
    assert len(sink.got) == 16


def test_every_service_is_covered() -> None:
    """Protects the suite: a new service has to join it."""
    services = {kind for kind in BUILT_IN if ".services." in BUILT_IN[kind]}
    assert services == {*KINDS, "email"}


@pytest.mark.parametrize("kind", KINDS)
def test_statuses_are_judged_and_secrets_masked(kind: str, sink: Sink) -> None:
    """Protects the retries: 429 with its pause and 5xx are for now, 301 and 4xx for good; no error quotes a secret."""
    channel = build(kind, config_of(kind, sink))
    echo = {"error": f"bad {SECRET}"}
    sink.says(429, echo, Retry_After="7")
    with pytest.raises(TemporaryError) as busy:
        channel.send(MESSAGE)
    assert busy.value.retry_after == 7
    sink.says(500, echo)
    with pytest.raises(TemporaryError, match="500"):
        channel.send(MESSAGE)
    sink.says(301, echo, Location=f"{sink.url}/elsewhere")
    with pytest.raises(PermanentError, match="redirects are not followed"):
        channel.send(MESSAGE)
    sink.says(403, echo)
    with pytest.raises(PermanentError, match="403") as refused:
        channel.send(MESSAGE)
    assert len(sink.got) == 4
    assert SECRET not in str(refused.value) + str(busy.value) + repr(channel)


def test_a_service_that_never_answers_is_for_now(sink: Sink, monkeypatch: pytest.MonkeyPatch) -> None:
    """Protects a worker from a service that hangs."""
    monkeypatch.setattr(exchanging, "TIMEOUT", 0.2)
    sink.status = NEVER
    with pytest.raises(TemporaryError, match=r"did not answer within 0\.2 s"):
        build("discord", config_of("discord", sink)).send(MESSAGE)


def test_a_closed_port_is_for_now(sink: Sink) -> None:
    """Protects the retries where the service is down."""
    config = config_of("teams", sink)
    with sinking() as gone:
        config["url"] = f"{gone.url}/{SECRET}"
    with pytest.raises(TemporaryError, match="could not be reached") as refused:
        build("teams", config).send(MESSAGE)
    assert SECRET not in str(refused.value)


@pytest.mark.parametrize("kind", KINDS)
def test_the_policy_of_addresses_holds(kind: str, sink: Sink) -> None:
    """Protects our own network: a service's address is refused where the channel may not call private ones."""
    sink.says(200, GOOD.get(kind, {}))
    with pytest.raises(RefusedAddress, match="loopback"):
        build(kind, config_of(kind, sink), policy=Policy()).send(MESSAGE)
    assert sink.got == []


@pytest.mark.parametrize("kind", [*KINDS, "email"])
def test_settings_are_described_and_read_strictly(kind: str, sink: Sink) -> None:
    """Protects the forms: each field has its help, secrets are known, wrong and unknown ones are named."""
    fields = fields_of(kind)
    assert fields and secret_fields_of(kind)
    assert all(field.label and field.name in class_of(kind).__dataclass_fields__ for field in fields)
    assert "api_base" not in {field.name for field in fields}
    with pytest.raises(ConfigError) as unknown:
        build(kind, {"nonsense": 1})
    assert unknown.value.field == "nonsense"
    if kind == "email":
        return
    good = config_of(kind, sink)
    for field in fields:
        with pytest.raises(ConfigError) as wrong:
            build(kind, {**good, field.name: {"no": "text"}})
        assert wrong.value.field == field.name
        if field.required:
            with pytest.raises(ConfigError) as missing:
                build(kind, {name: value for name, value in good.items() if name != field.name})
            assert missing.value.field == field.name


LIMITS: dict[str, tuple[Callable[[Got], str | bytes], int]] = {
    "slack": (lambda got: got.json["text"], 4000),
    "telegram": (lambda got: got.json["text"], 4096),
    "discord": (lambda got: got.json["embeds"][0]["description"], 4096),
    "teams": (lambda got: got.body, 28 * 1024),
    "dingtalk": (lambda got: got.body, 20_000),
    "wecom": (lambda got: got.json["markdown"]["content"].encode(), 4096),
    "feishu": (lambda got: got.body, 20 * 1024),
    "pagerduty": (lambda got: got.json["payload"]["custom_details"]["text"], 16_000),
    "opsgenie": (lambda got: got.json["description"], 15_000),
    "twilio_sms": (lambda got: got.form["Body"], 480),
    "ntfy": (lambda got: got.json["message"].encode(), 4096),
}


@pytest.mark.parametrize("kind", LIMITS)
@pytest.mark.parametrize("line", ["日志里的一行\n", '"quoted" <b>\n', "😀\n", "plain\n"])
def test_long_messages_are_cut_to_what_the_service_takes(kind: str, line: str, sink: Sink) -> None:
    """Protects against refusals for length, counted as the service counts; the end says how much is left out."""
    message = replace(MESSAGE, text=Text(line.strip() * 300, line * 8000))
    part, limit = LIMITS[kind]
    told = part(sent(kind, sink, message))
    units = len(told) if isinstance(told, bytes) else len(told.encode("utf-16-le")) // 2
    shown = told.decode() if isinstance(told, bytes) else told
    assert units <= limit and units > limit * (0.2 if kind == "teams" else 0.5)
    assert "more characters)" in shown or "more lines)" in shown
    if kind not in ("pagerduty", "ntfy"):
        assert OPEN.url in shown


@pytest.mark.parametrize("kind", [kind for kind in LIMITS if kind != "pagerduty"])
def test_links_leave_room_for_the_words(kind: str, sink: Sink) -> None:
    """Protects the words where links are many and long: those that find no room are left out whole."""
    links = tuple(Link("open", f"Page {n}", f"https://selfheal.example/{n}/{'x' * 700}") for n in range(30))
    part, limit = LIMITS[kind]
    told = part(sent(kind, sink, replace(MESSAGE, links=links)))
    shown = told.decode() if isinstance(told, bytes) else told
    assert len(told) <= limit and ("exit code 137" in shown or kind == "twilio_sms")
