"""What a service answers, and what a container says, may be meant to do harm."""

from __future__ import annotations

import contextlib
import gzip
import socket
import traceback
import tracemalloc
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from notifications.channels import registry, stores
from notifications.channels.exchange import BODY_LIMIT, Request, exchange
from notifications.channels.guard import Policy, RefusedAddress, guarded
from notifications.channels.registry import build
from notifications.core.alert import Link, Message, Text
from notifications.core.errors import ChannelError, PermanentError, TemporaryError
from tests.contract.channels.receiver import Receiver
from tests.contract.channels.samples import config_of as own_config
from tests.contract.channels.service_samples import MESSAGE, config_of
from tests.contract.channels.sink import Sink

HOSTILE = "x @everyone <@&1> <!here> @**all** [click](https://evil.example)"


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 60_000,
        b'{"retry_after": NaN}',
        b'{"retry_after": 1e999}',
        b'{"retry_after": -5}',
        b'{"retry_after": ' + b"9" * 400 + b"}",
        b'{"parameters": {"retry_after": ' + b"9" * 400 + b"}}",
    ],
)
@pytest.mark.parametrize("kind", ["discord", "telegram", "slack", "dingtalk"])
def test_no_answer_breaks_a_channel(kind: str, body: bytes, sink: Sink) -> None:
    """Protects all other channels: what is no number of seconds would otherwise end the round of sending."""
    sink.status, sink.body = 429, body
    with pytest.raises(TemporaryError) as busy:
        build(kind, config_of(kind, sink)).send(MESSAGE)
    pause = busy.value.retry_after
    assert pause is None or 0 <= pause <= 86_400
    sink.status = 200
    try:
        build(kind, config_of(kind, sink)).send(MESSAGE)
    except ChannelError:
        return


def test_a_pause_is_a_number_of_seconds() -> None:
    """Protects the times that are computed with it, whichever channel or plug-in says it."""
    assert [TemporaryError("x", pause).retry_after for pause in (float("nan"), float("inf"), -1.0, 5.0)] == [
        None, None, None, 5.0,
    ]  # fmt: skip


def test_deeply_nested_json_is_no_answer_of_aliyun(receiver: Receiver) -> None:
    """Protects the same for the channels that read JSON by themselves."""
    config = own_config("aliyun_sms", receiver)
    receiver.body = b"[" * 60_000
    with pytest.raises(TemporaryError):
        build("aliyun_sms", config).send(MESSAGE)


@pytest.mark.parametrize("layers", [1, 2])
def test_a_compressed_answer_stays_small(layers: int, sink: Sink) -> None:
    """Protects the worker's memory from a small answer that is an enormous one compressed."""
    body = b"\0" * (1 << 25)
    for _ in range(layers):
        body = gzip.compress(body, 9)
    sink.body, sink.headers = body, {"Content-Encoding": ", ".join(["gzip"] * layers)}
    tracemalloc.start()
    try:
        answer = exchange(Request(f"{sink.url}/", b""))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(answer.body) <= BODY_LIMIT and peak < 8 << 20


def test_a_compressed_answer_is_read(sink: Sink) -> None:
    """Protects the services that compress although nothing asks for more than gzip."""
    sink.body, sink.headers = gzip.compress(b'{"errcode": 0}'), {"Content-Encoding": "gzip"}
    assert exchange(Request(f"{sink.url}/", b"")).body == b'{"errcode": 0}'


def test_answers_that_are_not_decompressed_are_asked_for_plain(receiver: Receiver) -> None:
    """Protects the answers that people read of webhooks from being shown as compressed bytes."""
    build("webhook", {"url": receiver.url}).send(MESSAGE)
    assert receiver.received[0].headers["Accept-Encoding"] == "identity"


@pytest.mark.parametrize("where", [0, 3, 6])
def test_a_secret_that_an_answer_is_cut_in_is_masked(where: int, receiver: Receiver) -> None:
    """Protects a token that the end of what is shown falls into."""
    token = "t0kenABCDEFGHIJKLMNOPQRSTUVWXYZ"
    pad = "." * (500 - len("bad ") - 20 + where)
    receiver.status, receiver.body = 403, f"bad {pad}{token}".encode()
    config = {"url": receiver.url, "headers": {"Authorization": f"Bearer {token}"}}
    with pytest.raises(ChannelError) as refused:
        build("webhook", config).send(MESSAGE)
    assert token[:8] not in str(refused.value)


def test_a_store_on_loopback_is_refused_by_other_addresses_of_this_machine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Protects a broker that listens on all addresses, where the machine's name does not lead to the one called."""
    own = "127.0.0.2"  # where the machine has no address but loopback
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe, contextlib.suppress(OSError):
        probe.connect(("192.0.2.1", 9))
        own = probe.getsockname()[0]
    monkeypatch.setattr(stores, "_addresses", lambda host: [host] if host[0].isdigit() else [])
    with socket.create_server(("", 0)) as server:
        port = server.getsockname()[1]
        policy = Policy(allow_private=True, refused=(("127.0.0.1", port),))
        with pytest.raises(RefusedAddress, match="own stores"), guarded(policy):
            socket.create_connection((own, port), timeout=2).close()


def apprise_body(url: str, sink: Sink) -> str:
    title, body = f"web {HOSTILE}", f"log: {HOSTILE}"
    build("apprise", {"url": url.format(host=sink.host)}).send(replace(MESSAGE, text=Text(title, body)))
    return sink.got[-1].body.decode()


@pytest.mark.parametrize(
    "url", ["mmost://{host}/" + "a" * 26, "ntfy://{host}/topic", "gotify://{host}/t0ken-0123456789"]
)
def test_nobody_is_called_by_what_a_container_says(url: str, sink: Sink) -> None:
    """Protects the sleep of a whole channel from a log line with a mention, in chats that Apprise speaks to."""
    said = apprise_body(url, sink)
    assert "everyone" in said
    assert not any(word in said for word in ("@everyone", "<@&", "<!here", "@**all"))


def test_receivers_that_are_programs_get_the_text_as_it_is(sink: Sink) -> None:
    """Protects what programs read from being changed for the sake of chats."""
    assert "@everyone" in apprise_body("json://{host}/", sink)


def test_no_title_is_mark_up(sink: Sink) -> None:
    """Protects readers of Teams and Discord from links that a label or a container's name puts into a title."""
    hostile = replace(MESSAGE, text=Text("web [click](https://evil.example) **x**", "body"))
    build("teams", config_of("teams", sink)).send(hostile)
    card: Any = sink.got[-1].json["attachments"][0]["content"]
    assert {block["type"] for block in card["body"]} == {"RichTextBlock"}
    build("discord", config_of("discord", sink)).send(hostile)
    assert "[click]" not in sink.got[-1].json["embeds"][0]["title"]


@pytest.mark.parametrize("status", [200, 400, 500])
def test_no_answer_gives_away_the_rights_of_links(status: int, sink: Sink) -> None:
    """Protects approvals from who may only look at deliveries: services quote messages with the links in them."""
    token = "5iGnAtuReOfTheLink-0123456789.approve.0b6bd04e.1700000000"
    url = f"https://selfheal.example/alerts/?t={token}"
    sink.status, sink.body = status, f'{{"actions": ["{url}"], "cut": "{token[:20]}'.encode()
    channel = build("ntfy", config_of("ntfy", sink), policy=Policy(allow_private=True))
    try:
        said = str(channel.send(replace(MESSAGE, links=(Link("approve", "Approve", url),))))
    except ChannelError as error:
        said = str(error)
    assert str(status) in said and "***" in said and token[:12] not in said


class _LeakyChannel:
    """A plug-in that says what it should not, when it fails and when it works."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        self.config = config

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> _LeakyChannel:
        return cls(config)

    def send(self, message: Message) -> str:
        text = f"tried {self.config['token']}"
        if self.config["how"] == "broken":
            try:
                raise KeyError(text)
            except KeyError as error:
                raise ValueError("it broke") from error
        raise (TemporaryError(text, 7.0) if self.config["how"] == "now" else PermanentError(text))


@pytest.mark.parametrize("how", ["now", "ever", "broken"])
def test_no_error_of_a_plug_in_tells_its_secrets(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Protects logs and deliveries from plug-ins that quote their settings, tracebacks and their causes too."""
    monkeypatch.setattr(registry, "_plugins", lambda: {"leaky": _LeakyChannel})
    config = {"token": "t0ken-0123456789", "how": how}
    with pytest.raises(Exception, match=r"\*\*\*") as failed:
        build("leaky", config, policy=Policy()).send(MESSAGE)
    assert "t0ken" not in "".join(traceback.format_exception(failed.value))
    if how == "now":
        assert isinstance(failed.value, TemporaryError) and failed.value.retry_after == 7.0


def test_a_header_with_a_space_too_many_is_sent_and_not_told(receiver: Receiver) -> None:
    """Protects a token that was pasted with a space: HTTP would refuse it, and quote it."""
    build("webhook", {"url": receiver.url, "headers": {"Authorization": " Bearer t0ken "}}).send(MESSAGE)
    assert receiver.received[0].headers["Authorization"] == "Bearer t0ken"
