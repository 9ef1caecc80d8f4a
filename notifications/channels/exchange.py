"""One HTTP exchange of a service: any method, any status; its answer decoded and judged by who knows the service."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import urlsplit

import httpx

from notifications.channels.http import TIMEOUT, GuardedTransport, run
from notifications.core.errors import ChannelError, PermanentError, TemporaryError
from notifications.core.retry import parse_retry_after

BODY_LIMIT = 64 * 1024
SHOWN_LIMIT = 300


@dataclass(frozen=True, slots=True)
class Request:
    """What is sent. The address may hold a secret, the headers too."""

    url: str = field(repr=False)
    content: bytes = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    method: str = "POST"


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: `body` is its first 64 KiB, decompressed."""

    status: int
    headers: httpx.Headers
    body: bytes
    reason: str = ""

    @property
    def shown(self) -> str:
        """Status and the beginning of the body, on one line."""
        text = self.body[: SHOWN_LIMIT * 4].decode("utf-8", "replace")
        line = " ".join("".join(c if c.isprintable() or c.isspace() else "?" for c in text).split())
        return f"{self.status} {line[:SHOWN_LIMIT]}".strip()

    @property
    def retry_after(self) -> float | None:
        return parse_retry_after(self.headers.get("Retry-After"), datetime.now(UTC))


def exchange(request: Request, at_most: float = TIMEOUT, tls_verify: bool = True) -> Answer:
    """Send, and return the answer whatever its status. Raise TemporaryError where none came, PermanentError for an
    address that cannot be used. What is raised names the host and nothing else of the address.
    """
    where = _host_of(request.url)
    timeout = min(at_most, TIMEOUT)
    try:
        return run(_exchange(request, timeout, tls_verify))
    except (TimeoutError, httpx.TimeoutException):
        raise TemporaryError(f"{where} did not answer within {timeout:.3g} s") from None
    except (httpx.InvalidURL, httpx.UnsupportedProtocol, httpx.LocalProtocolError, UnicodeError):
        raise PermanentError("the address or a header cannot be sent as configured; correct it") from None
    except httpx.HTTPError as error:
        raise TemporaryError(f"{where} could not be reached: {error or type(error).__name__}") from None


def fault_of(answer: Answer, retry_after: float | None = None) -> ChannelError | None:
    """What an answer's status means; None for success. 408, 425, 429 and 5xx are for now, all else is for good."""
    if 200 <= answer.status < 300:
        return None
    if 300 <= answer.status < 400:
        advice = "redirects are not followed; configure the final address"
        return PermanentError(f"answered {answer.status}: {advice}")
    if answer.status in (408, 425, 429) or answer.status >= 500:
        pause = retry_after if retry_after is not None else answer.retry_after
        return TemporaryError(f"answered {answer.shown}", pause)
    return PermanentError(f"answered {answer.shown}")


async def _exchange(request: Request, timeout: float, tls_verify: bool) -> Answer:
    headers = {"User-Agent": "selfheal", "Accept-Encoding": "gzip", **request.headers}
    async with (
        asyncio.timeout(timeout),
        httpx.AsyncClient(
            transport=GuardedTransport(tls_verify), timeout=timeout, follow_redirects=False, trust_env=False
        ) as client,
        client.stream(request.method, request.url, content=request.content, headers=headers) as response,
    ):
        body = await _beginning(response)
        return Answer(response.status_code, response.headers, body, response.reason_phrase)


async def _beginning(response: httpx.Response) -> bytes:
    """Decompressed here, because a small answer may be a large one compressed, several times over too."""
    read = b""
    async for piece in response.aiter_raw(8192):
        read += piece
        if len(read) >= BODY_LIMIT:
            break
    if response.headers.get("Content-Encoding", "").strip().lower() in ("gzip", "x-gzip", "deflate"):
        try:
            return zlib.decompressobj(zlib.MAX_WBITS | 32).decompress(read, BODY_LIMIT)
        except zlib.error:
            return read[:BODY_LIMIT]
    return read[:BODY_LIMIT]


def _host_of(url: str) -> str:
    try:
        return urlsplit(url).hostname or "the service"
    except ValueError:
        return "the service"
