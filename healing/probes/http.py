"""The http probe: one GET over a connection of its own; status and body decide. Redirects are answers, not followed."""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache

import h11

from healing.core.errors import ConfigError
from healing.core.ports import Engine
from healing.core.probespec import HttpSettings, ProbeSpec
from healing.core.types import ProbeResult, ProbeTarget, ProbeVerdict
from healing.probes.connect import ConnectFailedError, judge_os_error, open_socket, show_address
from healing.probes.text import one_line

BODY_LIMIT = 64 * 1024
_CHUNK = 16 * 1024


@dataclass
class _Progress:
    """How far a check has come, so that a timeout can say what the peer did."""

    where: str = ""
    heard: bool = False


class HttpProbe:
    """Passed when the status is in range and the body matches. The whole of it must be done within the timeout."""

    def __init__(self, spec: ProbeSpec, engine: Engine | None) -> None:
        if not isinstance(spec.settings, HttpSettings):
            raise ConfigError(f"probe.{spec.name}", f"{spec.text!r} is not an http probe")
        self.name = spec.name
        self._settings = spec.settings

    async def check(self, target: ProbeTarget, timeout: float) -> ProbeResult:
        started = time.monotonic()
        progress = _Progress()
        hung = False
        try:
            verdict, message = await self._look(target, timeout, progress)
        except TimeoutError:
            verdict, message = _judge_timeout(progress, timeout)
            hung = not progress.heard
        return ProbeResult(self.name, verdict, message, time.monotonic() - started, hung)

    async def _look(
        self, target: ProbeTarget, timeout: float, progress: _Progress
    ) -> tuple[ProbeVerdict, str]:
        """Raise TimeoutError only after the peer has accepted; before that `open_socket` judges."""
        settings = self._settings
        end = asyncio.get_running_loop().time() + timeout
        try:
            connection = await open_socket(settings.host, target.addresses, settings.port, timeout)
        except ConnectFailedError as problem:
            return problem.verdict, problem.message
        progress.where = show_address(str(connection.getpeername()[0]), settings.port)
        async with asyncio.timeout_at(end):
            return await self._ask(connection, progress)

    async def _ask(self, connection: socket.socket, progress: _Progress) -> tuple[ProbeVerdict, str]:
        try:
            async with _streams(connection, self._settings) as (reader, writer):
                writer.write(self._request(progress.where))
                status, body = await _read_answer(reader, progress)
        except ssl.SSLError as error:
            return ProbeVerdict.FAILED, f"{progress.where}: {_tls_reason(error)}"
        except h11.ProtocolError as error:
            return ProbeVerdict.FAILED, f"{progress.where} did not answer in HTTP: {one_line(str(error))}"
        except OSError as error:
            return judge_os_error(error), f"{progress.where} broke the connection: {error}"
        return self._judge(progress.where, status, body)

    def _request(self, where: str) -> bytes:
        settings = self._settings
        host = show_address(settings.host, settings.port) if settings.host else where
        return (
            f"GET {settings.path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: selfheal-probe\r\n"
            "Accept: */*\r\nConnection: close\r\n\r\n"
        ).encode("ascii")

    def _judge(self, where: str, status: int, body: bytes) -> tuple[ProbeVerdict, str]:
        settings = self._settings
        text = body.decode("utf-8", "replace")
        answered = f"GET {settings.path} at {where} answered {status}"
        if not settings.accepts(status):
            said = one_line(text)
            return ProbeVerdict.FAILED, answered + (f": {said}" if said else "")
        if settings.body_match is not None and not settings.body_match.found_in(text):
            return (
                ProbeVerdict.FAILED,
                f"{answered}, but the body does not match {settings.body_match.pattern!r}",
            )
        return ProbeVerdict.PASSED, answered


@asynccontextmanager
async def _streams(
    connection: socket.socket, settings: HttpSettings
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Streams over a connected socket, with TLS where asked; closed hard, because a peer may never say goodbye."""
    try:
        host = settings.host or str(connection.getpeername()[0])
        reader, writer = await asyncio.open_connection(sock=connection)
    except BaseException:
        connection.close()
        raise
    try:
        if settings.tls:
            await writer.start_tls(_tls_context(settings.tls_verify), server_hostname=host)
        yield reader, writer
    finally:
        writer.transport.abort()


async def _read_answer(reader: asyncio.StreamReader, progress: _Progress) -> tuple[int, bytes]:
    """Status and body, of which at most BODY_LIMIT bytes are read. Raise h11.RemoteProtocolError, OSError."""
    parser = h11.Connection(h11.CLIENT)
    parser.send(h11.Request(method="GET", target="/", headers=[("Host", "selfheal")]))
    parser.send(h11.EndOfMessage())
    status = 0
    body = bytearray()
    while True:
        event = parser.next_event()
        if event is h11.NEED_DATA:
            data = await reader.read(_CHUNK)
            progress.heard = progress.heard or bool(data)
            parser.receive_data(data)
        elif isinstance(event, h11.Response):
            status = event.status_code
        elif isinstance(event, h11.Data):
            body += event.data
        if isinstance(event, h11.EndOfMessage) or len(body) >= BODY_LIMIT:
            return status, bytes(body[:BODY_LIMIT])
        if isinstance(event, h11.ConnectionClosed) or event is h11.PAUSED:
            raise h11.RemoteProtocolError("the connection was closed before an answer")


@cache
def _tls_context(verify: bool) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _tls_reason(error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"TLS: the certificate is not valid: {error.verify_message}; tls_verify: false accepts it"
    return f"TLS: {error.reason or error}"


def _judge_timeout(progress: _Progress, timeout: float) -> tuple[ProbeVerdict, str]:
    if not progress.heard:
        return ProbeVerdict.FAILED, f"{progress.where} accepted and said nothing for {timeout:.3g} s"
    return ProbeVerdict.FAILED, f"{progress.where} did not finish its answer within {timeout:.3g} s"
