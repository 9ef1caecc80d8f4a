"""The least of HTTP/1.1 that an engine's clients need, on an asyncio protocol: keep-alive, chunks, hijacked streams."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Protocol, cast
from urllib.parse import parse_qsl, unquote

from benchmarks.fleet.errors import Refusal

HEAD_LIMIT = 65536
PLAIN_LIMIT = 2048  # a longer body goes out in chunks, as with Go's server

JSON = "application/json"
RAW_STREAM = "application/vnd.docker.raw-stream"
LAST_CHUNK = b"0\r\n\r\n"

_COMMON = "Api-Version: 1.41\r\nDocker-Experimental: false\r\nOstype: linux\r\nServer: Docker/20.10.24+dfsg1 (linux)\r\n"


@dataclass(frozen=True, slots=True)
class Request:
    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> dict[str, Any]:
        """The body, an object. Raise Refusal."""
        try:
            body = json.loads(self.body or b"{}")
        except ValueError as error:
            raise Refusal(400, f"invalid JSON: {error}") from error
        if not isinstance(body, dict):
            raise Refusal(400, "invalid JSON: an object is expected")
        return body

    @property
    def keeps_alive(self) -> bool:
        return self.headers.get("connection", "").lower() != "close"


def answer(status: int, body: bytes = b"", content_type: str = JSON) -> bytes:
    """A whole answer, as bytes to send."""
    head = f"HTTP/1.1 {status} {_phrase(status)}\r\n{_COMMON}"
    if status in (204, 304):
        return f"{head}\r\n".encode()
    head += f"Content-Type: {content_type}\r\n"
    if len(body) <= PLAIN_LIMIT:
        return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
    return f"{head}Transfer-Encoding: chunked\r\n\r\n".encode() + chunk(body) + LAST_CHUNK


def stream_head(content_type: str = JSON) -> bytes:
    """The head of an answer whose chunks follow."""
    head = f"HTTP/1.1 200 OK\r\n{_COMMON}Content-Type: {content_type}\r\nTransfer-Encoding: chunked\r\n\r\n"
    return head.encode()


def hijacked_head(upgraded: bool) -> bytes:
    """The head after which the connection is a plain stream; only clients that ask for it hear of an upgrade."""
    if upgraded:
        return f"HTTP/1.1 101 UPGRADED\r\nContent-Type: {RAW_STREAM}\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n".encode()
    return f"HTTP/1.1 200 OK\r\nContent-Type: {RAW_STREAM}\r\n\r\n".encode()


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def frame(stream: int, data: bytes) -> bytes:
    """One frame of multiplexed output."""
    return bytes([stream, 0, 0, 0]) + len(data).to_bytes(4, "big") + data


class Server(Protocol):
    """Who answers requests."""

    connections: set[Connection]

    def serve(self, connection: Connection, request: Request) -> None:
        """Answer, now or later, with `connection.reply`, or take the connection over with `connection.send`."""


class Connection(asyncio.Protocol):
    """One client. Requests are answered one after the other, in the order in which they came."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._buffer = bytearray()
        self._busy = False
        self._keeps_alive = True
        self._transport: asyncio.Transport | None = None
        self.on_lost: Callable[[], None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._server.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._server.connections.discard(self)
        self._transport = None
        if self.on_lost is not None:
            self.on_lost()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        self._next()

    @property
    def is_open(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    def send(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)

    def reply(self, whole: bytes) -> None:
        """Send a whole answer, and go on with the next request."""
        self.send(whole)
        self.end()

    def end(self) -> None:
        """The answer is complete."""
        self.on_lost = None
        self._busy = False
        if not self._keeps_alive:
            self.close()
        elif self._buffer:
            self._next()

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def _next(self) -> None:
        if self._busy:
            return
        try:
            request = _take(self._buffer)
        except ValueError:
            self.send(answer(400, b"400 Bad Request", "text/plain; charset=utf-8"))
            self.close()
            return
        if request is not None:
            self._busy, self._keeps_alive = True, request.keeps_alive
            self._server.serve(self, request)


def _take(buffer: bytearray) -> Request | None:
    """Take the first request out of the buffer; None while it is not complete. Raise ValueError for what is none."""
    end = buffer.find(b"\r\n\r\n")
    if end < 0:
        if len(buffer) > HEAD_LIMIT:
            raise ValueError("the head is too long")
        return None
    method, target, headers = _head(bytes(buffer[:end]).decode("latin-1"))
    length = int(headers.get("content-length") or 0)
    if "transfer-encoding" in headers or length < 0:
        raise ValueError("requests in chunks are not taken")
    if len(buffer) < end + 4 + length:
        return None
    body = bytes(buffer[end + 4 : end + 4 + length])
    del buffer[: end + 4 + length]
    path, _, query = target.partition("?")
    return Request(method, unquote(path), dict(parse_qsl(query)), headers, body)


def _head(text: str) -> tuple[str, str, dict[str, str]]:
    first, *lines = text.split("\r\n")
    method, target, protocol = first.split(" ")
    if not protocol.startswith("HTTP/1."):
        raise ValueError("not HTTP/1")
    fields = (line.partition(":") for line in lines)
    return method, target, {name.strip().lower(): value.strip() for name, _, value in fields}


def _phrase(status: int) -> str:
    return HTTPStatus(status).phrase
