"""The syslog channel: RFC 5424 over UDP, TCP or TLS (octet-counted, RFC 6587 and 5425), or this machine's own socket."""

from __future__ import annotations

import os
import socket
import ssl
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar, Self
from urllib.parse import urlsplit

from notifications.core.alert import Alert, AlertLevel, Message, Told
from notifications.core.config import read_bool, read_choice, read_text, refuse_unknown, shortened
from notifications.core.errors import ConfigError, TemporaryError
from notifications.core.fields import Field

TIMEOUT = 10.0
UDP_LIMIT = 2048
"""Bytes of a record that every receiver should take (RFC 5424, 6.1); more is cut off on the way in."""
STREAM_LIMIT = 8192
MOST = 500
"""Records of one message; a group that is larger is told by its first ones and their number."""
PORTS = {"udp": 514, "tcp": 601, "tls": 6514}
SOCKETS = ("/dev/log", "/run/systemd/journal/syslog", "/var/run/syslog", "/run/systemd/journal/dev-log")
FACILITIES = (
    "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7", "daemon", "user",
)  # fmt: skip
_CODES = {"user": 1, "daemon": 3, **{f"local{number}": 16 + number for number in range(8)}}
_SEVERITIES = {AlertLevel.INFO: 6, AlertLevel.WARNING: 4, AlertLevel.ERROR: 3, AlertLevel.CRITICAL: 2}
_ENTERPRISE = "selfheal@32473"
"""32473 is the number that IANA keeps for examples and for those without one of their own."""


@dataclass(frozen=True, slots=True)
class SyslogChannel:
    """`address`: udp://host:514, tcp://host:601, tls://host:6514, or the path of one of this machine's log sockets."""

    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field(
            "address",
            "Address",
            "udp://host:514, tcp://host:601, tls://host:6514 or /dev/log.",
            required=True,
        ),
        Field(
            "facility",
            "Facility",
            "Where the receiver files it.",
            "choice",
            choices=tuple((name, name) for name in FACILITIES),
        ),
        Field("tls_verify", "Verify TLS", "Off only for a certificate that nobody has signed.", "boolean"),
    )
    SECRET_FIELDS: ClassVar[frozenset[str]] = frozenset()

    scheme: str
    host: str
    port: int = 0
    facility: str = "local0"
    tls_verify: bool = True
    timeout: float = TIMEOUT

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        refuse_unknown(config, tuple(each.name for each in cls.FIELDS))
        scheme, host, port = _read_address(config)
        facility = read_choice(config, "facility", FACILITIES)
        return cls(scheme, host, port, facility, read_bool(config, "tls_verify", default=True))

    def send(self, message: Message) -> str:
        records = [_record(told, _CODES[self.facility], self._limit) for told in message.all[:MOST]]
        if len(message.all) > MOST:
            records.append(_rest(message, _CODES[self.facility]))
        try:
            self._send(records)
        except ssl.SSLError as error:
            raise TemporaryError(f"{self.host} failed in TLS: {error.reason or error}") from None
        except TimeoutError:
            raise TemporaryError(f"{self.host} did not take it within {self.timeout:.3g} s") from None
        except (OSError, UnicodeError) as error:
            raise TemporaryError(f"{self.host} could not be reached: {error}") from None
        return f"{len(records)} written to {self.scheme} {self.host}"

    @property
    def _limit(self) -> int:
        return UDP_LIMIT if self.scheme in ("udp", "unix") else STREAM_LIMIT

    def _send(self, records: list[bytes]) -> None:
        end = time.monotonic() + self.timeout
        with _open(self, end) as (connection, is_stream):
            for record in records:
                connection.settimeout(_left(end))
                connection.sendall(b"%d %b" % (len(record), record) if is_stream else record)


@contextmanager
def _open(channel: SyslogChannel, end: float) -> Iterator[tuple[socket.socket, bool]]:
    """A connected socket, and whether records are counted out on it."""
    if channel.scheme == "unix":
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as local:
            local.settimeout(_left(end))
            local.connect(channel.host)
            yield local, False
    elif channel.scheme == "udp":
        with _udp(channel.host, channel.port) as datagrams:
            yield datagrams, False
    else:
        with socket.create_connection((channel.host, channel.port), timeout=_left(end)) as plain:
            if channel.scheme == "tcp":
                yield plain, True
                _say_goodbye(plain, end)
            else:
                plain.settimeout(_left(end))
                with _context(channel.tls_verify).wrap_socket(plain, server_hostname=channel.host) as safe:
                    yield safe, True


def _udp(host: str, port: int) -> socket.socket:
    """Connected, so that a port where nobody listens is noticed by the second datagram."""
    fault: OSError = OSError("the name has no address")
    for family, kind, protocol, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM):
        datagrams = socket.socket(family, kind, protocol)
        try:
            datagrams.connect(address)
        except BaseException as error:
            datagrams.close()
            if not isinstance(error, OSError):
                raise
            fault = error
        else:
            return datagrams
    raise fault


def _say_goodbye(plain: socket.socket, end: float) -> None:
    """A receiver that has gone away in the meantime answers our end with a reset: then it may have read nothing."""
    plain.settimeout(min(_left(end), 0.05))
    plain.shutdown(socket.SHUT_WR)
    try:
        plain.recv(1)
    except TimeoutError:
        return


def _context(verify: bool) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _left(end: float) -> float:
    left = end - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _record(told: Told, facility: int, limit: int) -> bytes:
    """One alert as RFC 5424 has it: priority, version, time, host, program, process, id, structured data, text."""
    alert = told.alert
    text = _one_line((f"{alert.title}: {alert.body}" if alert.body else alert.title)[:limit])
    head = " ".join(
        (
            f"<{facility * 8 + _SEVERITIES[alert.level]}>1",
            told.created_at.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            _token(socket.gethostname(), 255),
            "selfheal",
            str(os.getpid()),
            _token(alert.alertname or alert.kind.value, 32),
            _structured(told),
        )
    )
    return _cut(f"{head} ".encode(), b"\xef\xbb\xbf" + text.encode("utf-8", "replace"), limit)


def _rest(message: Message, facility: int) -> bytes:
    number = len(message.all) - MOST
    alert = Alert(
        level=message.alert.level, title=f"{number} further alerts of this group are not written here"
    )
    return _record(Told(message.id, message.created_at, alert), facility, UDP_LIMIT)


def _structured(told: Told) -> str:
    alert = told.alert
    values = {
        "id": told.id,
        "level": alert.level.value,
        "kind": alert.kind.value,
        "host": alert.host,
        "project": alert.project,
        "service": alert.service,
        "container": alert.container,
        "key": alert.alert_key,
        "failure": str(alert.failure_id or ""),
    }
    pairs = (f' {name}="{_escaped(shortened(value, 100))}"' for name, value in values.items() if value)
    return f"[{_ENTERPRISE}{''.join(pairs)}]"


def _escaped(value: str) -> str:
    line = _one_line(value)
    return line.replace("\\", "\\\\").replace('"', '\\"').replace("]", "\\]")


def _token(text: str, limit: int) -> str:
    """Printable ASCII without spaces; `-` for nothing."""
    return "".join(c for c in text if "!" <= c <= "~")[:limit] or "-"


def _one_line(text: str) -> str:
    return " ".join("".join(c if c.isprintable() or c.isspace() else "?" for c in text).split())


def _cut(head: bytes, text: bytes, limit: int) -> bytes:
    """At most `limit` bytes, never within a character."""
    return head + text[: max(limit - len(head), 0)].decode("utf-8", "ignore").encode()


def _read_address(config: Mapping[str, Any]) -> tuple[str, str, int]:
    text = read_text(config, "address", required=True)
    path = text.removeprefix("unix://")
    if path.startswith("/"):
        if path not in SOCKETS:
            raise ConfigError("address", f"must be one of {', '.join(SOCKETS)} where it is a path")
        return "unix", path, 0
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        host, port = "", 0
    if (
        not host
        or port == 0
        or parts.scheme not in PORTS
        or parts.username
        or parts.path.strip("/")
        or parts.query
    ):
        raise ConfigError("address", "must be udp://host:514, tcp://host:601, tls://host:6514 or /dev/log")
    return parts.scheme, host, port or PORTS[parts.scheme]
