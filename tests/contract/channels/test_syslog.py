"""Syslog records as a receiver gets them, over each transport, read by the grammar of RFC 5424."""

from __future__ import annotations

import re
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from notifications.channels import build
from notifications.channels.syslog import MOST, SOCKETS, STREAM_LIMIT, UDP_LIMIT, SyslogChannel
from notifications.core.alert import AlertLevel, Message
from notifications.core.errors import ConfigError, TemporaryError
from tests.contract.channels.receiver import Receiver
from tests.contract.channels.samples import MESSAGE, config_of
from tests.contract.channels.test_http_channels import group
from tests.testbed.certificates import make_pair

RECORD = re.compile(
    r"<(?P<priority>\d{1,3})>1 (?P<time>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z) (?P<host>[!-~]{1,255}) "
    r"(?P<program>[!-~]{1,48}) (?P<process>[!-~]{1,128}) (?P<kind>[!-~]{1,32}) "
    r'(?P<data>\[[!-<>-\\^-~]{1,32}(?: [!-<>-\\^-~]{1,32}="(?:[^"\\\]]|\\["\\\]])*")*\]) \ufeff(?P<text>.*)'
)


@dataclass
class Stream:
    """A TCP receiver: everything that came until the sender's end."""

    port: int
    came: bytes = b""
    ended: threading.Event = field(default_factory=threading.Event)

    @property
    def records(self) -> list[str]:
        """Counted out, as RFC 6587 has it."""
        assert self.ended.wait(10)
        rest, found = self.came, []
        while rest:
            length, _, rest = rest.partition(b" ")
            found.append(rest[: int(length)].decode())
            rest = rest[int(length) :]
        return found


@contextmanager
def streaming(wrap: Callable[[socket.socket], socket.socket] = lambda plain: plain) -> Iterator[Stream]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(10)
        stream = Stream(server.getsockname()[1])

        def take() -> None:
            try:
                with wrap(server.accept()[0]) as connection:
                    connection.settimeout(10)
                    while piece := connection.recv(65_536):
                        stream.came += piece
            except OSError:
                return
            finally:
                stream.ended.set()

        thread = threading.Thread(target=take, daemon=True)
        thread.start()
        yield stream
        thread.join(10)


def parsed(record: str) -> dict[str, str]:
    found = RECORD.fullmatch(record)
    assert found is not None, record
    return found.groupdict()


@pytest.mark.parametrize(
    ("level", "priority"),
    [
        (AlertLevel.INFO, "134"),
        (AlertLevel.WARNING, "132"),
        (AlertLevel.ERROR, "131"),
        (AlertLevel.CRITICAL, "130"),
    ],
)
def test_datagram_is_a_record(level: AlertLevel, priority: str, receiver: Receiver) -> None:
    """Protects log servers, which sort by priority and read the structured data."""
    message = replace(MESSAGE, alert=replace(MESSAGE.alert, level=level, alertname="container_failed"))
    build("syslog", config_of("syslog", receiver)).send(message)
    record = parsed(receiver.datagrams.recv(65_536).decode())
    assert (record["priority"], record["kind"], record["program"]) == (
        priority,
        "container_failed",
        "selfheal",
    )
    assert record["time"] == "2026-01-02T03:04:05.000000Z"
    assert f'id="{MESSAGE.id}"' in record["data"]
    assert 'container="shop-web-1"' in record["data"]
    assert record["text"] == "web is down: exit code 137 out of memory"


def test_hostile_text_stays_one_record(receiver: Receiver) -> None:
    """Protects the log from records that a container has made up, and the grammar from its quotes."""
    alert = replace(
        MESSAGE.alert, container='a"]\\\n<0>1', title="x\n<0>1 - - - - - - forged", body="容器\0\x1b"
    )
    build("syslog", config_of("syslog", receiver)).send(replace(MESSAGE, alert=alert))
    record = parsed(receiver.datagrams.recv(65_536).decode())
    assert 'container="a\\"\\]\\\\ <0>1"' in record["data"]
    assert record["text"].startswith("x <0>1 - - - - - - forged: 容器")


@pytest.mark.parametrize(("scheme", "limit"), [("udp", UDP_LIMIT), ("tcp", STREAM_LIMIT)])
def test_long_text_is_cut_at_the_limit(scheme: str, limit: int, receiver: Receiver) -> None:
    """Protects from records that a receiver drops; no character is cut in two."""
    message = replace(MESSAGE, alert=replace(MESSAGE.alert, body="容" * 16_000))
    with streaming() as stream:
        if scheme == "udp":
            build("syslog", config_of("syslog", receiver)).send(message)
            record = receiver.datagrams.recv(65_536)
            socket.create_connection(("127.0.0.1", stream.port)).close()
        else:
            build("syslog", {"address": f"tcp://127.0.0.1:{stream.port}"}).send(message)
            record = stream.records[0].encode()
    assert limit - 3 < len(record) <= limit
    assert parsed(record.decode())["text"].endswith("容容")


def test_group_is_counted_out_over_tcp() -> None:
    """Protects receivers from two records run together."""
    with streaming() as stream:
        answer = build("syslog", {"address": f"tcp://127.0.0.1:{stream.port}", "facility": "daemon"}).send(
            group(3)
        )
        records = [parsed(record) for record in stream.records]
    assert answer == "3 written to tcp 127.0.0.1"
    assert [record["priority"] for record in records] == ["26"] * 3
    assert 'container="web-2"' in records[2]["data"]


def test_large_group_says_what_is_missing(receiver: Receiver) -> None:
    """Protects the log from a storm, and people from missing something unawares."""
    with streaming() as stream:
        build("syslog", {"address": f"tcp://127.0.0.1:{stream.port}"}).send(group(MOST + 5))
        records = stream.records
    assert len(records) == MOST + 1
    assert parsed(records[-1])["text"] == "5 further alerts of this group are not written here"


@pytest.mark.parametrize("verify", [True, False])
def test_tls(verify: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Protects records on their way; a certificate that nobody knows is refused unless that was asked for."""
    pair = make_pair(tmp_path, "server")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(pair.cert_file, pair.key_file)

    def wrap(plain: socket.socket) -> socket.socket:
        return context.wrap_socket(plain, server_side=True)

    with streaming(wrap) as stream:
        channel = build("syslog", {"address": f"tls://127.0.0.1:{stream.port}", "tls_verify": verify})
        if verify:
            with pytest.raises(TemporaryError, match="failed in TLS"):
                channel.send(MESSAGE)
        else:
            channel.send(MESSAGE)
            assert parsed(stream.records[0])["text"].startswith("web is down")


def test_socket_of_this_machine(tmp_path: Path) -> None:
    """Protects the local log: a datagram for each record."""
    path = str(tmp_path / "log")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as local:
        local.bind(path)
        local.settimeout(10)
        SyslogChannel("unix", path).send(MESSAGE)
        assert parsed(local.recv(65_536).decode())["priority"] == "130"


def test_nobody_there_is_temporary(tmp_path: Path) -> None:
    """Protects records while the log server is being restarted."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(TemporaryError, match="could not be reached"):
        build("syslog", {"address": f"tcp://127.0.0.1:{port}"}).send(MESSAGE)
    with pytest.raises(TemporaryError, match="could not be reached"):
        SyslogChannel("unix", str(tmp_path / "absent")).send(MESSAGE)


def test_receiver_that_takes_nothing_is_given_up() -> None:
    """Protects the worker from a log server that accepts and reads nothing."""
    message: Message = group(490)
    large = [replace(told, alert=replace(told.alert, body="x" * 8_300)) for told in message.all]
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        channel = SyslogChannel("tcp", "127.0.0.1", server.getsockname()[1], timeout=0.3)
        with pytest.raises(TemporaryError, match=r"did not take it within 0\.3 s"):
            channel.send(replace(message, alerts=tuple(large)))


@pytest.mark.parametrize(
    ("address", "scheme", "host", "port"),
    [
        ("udp://log", "udp", "log", 514),
        ("tcp://log", "tcp", "log", 601),
        ("tls://log", "tls", "log", 6514),
        ("udp://[::1]:1514", "udp", "::1", 1514),
        ("/dev/log", "unix", "/dev/log", 0),
        ("unix:///dev/log", "unix", "/dev/log", 0),
    ],
)
def test_addresses(address: str, scheme: str, host: str, port: int) -> None:
    """Protects the forms that people write."""
    channel = SyslogChannel.from_config({"address": address})
    assert (channel.scheme, channel.host, channel.port) == (scheme, host, port)


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"address": 5},
        {"address": "log"},
        {"address": "http://log"},
        {"address": "udp://"},
        {"address": "udp://log:0"},
        {"address": "udp://log:x"},
        {"address": "udp://log/path"},
        {"address": "/var/run/docker.sock"},
        {"address": "unix:///var/run/docker.sock"},
    ],
)
def test_unusable_address_is_refused(config: dict[str, Any]) -> None:
    """Protects from typing errors, and an engine's socket from being written to."""
    with pytest.raises(ConfigError) as refusal:
        build("syslog", config)
    assert refusal.value.field == "address"
    assert "/dev/log" in SOCKETS
