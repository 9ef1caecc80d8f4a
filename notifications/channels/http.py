"""One HTTP request of a channel: guarded, without redirects or proxies, done as a whole within a time limit."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Coroutine, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from ipaddress import ip_address
from typing import Any, TypeVar

import httpx

from notifications.channels.guard import Watch, current
from notifications.core.errors import PermanentError, TemporaryError
from notifications.core.masking import mask
from notifications.core.retry import parse_retry_after

TIMEOUT = 10.0
ANSWER_LIMIT = 500
JSON_LIMIT = 64 * 1024

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back; `text` is one line of at most 500 characters, `body` the beginning as it was sent."""

    status: int
    body: bytes
    retry_after: float | None = None

    @property
    def text(self) -> str:
        text = self.body[:ANSWER_LIMIT].decode("utf-8", "replace")
        return " ".join("".join(c if c.isprintable() or c.isspace() else "?" for c in text).split())

    def json(self) -> Any:
        """The body as JSON, None where it is none."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            return None


class GuardedTransport(httpx.AsyncBaseTransport):
    """Resolves the name, has every address of it judged by the policy in force, and connects to one of those addresses.

    TLS is still spoken with the name, and the header Host still names it.
    """

    def __init__(self, tls_verify: bool) -> None:
        self._inner = httpx.AsyncHTTPTransport(verify=_tls(tls_verify), trust_env=False)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        watch = current()
        if watch is None:
            return await self._inner.handle_async_request(request)
        host = request.url.host
        addresses = await _judged(watch, host, request.url.port or _default_port(request.url))
        fault: httpx.TransportError = httpx.ConnectError("its name has no address")
        for address in addresses:
            try:
                return await self._inner.handle_async_request(_to(request, host, address, len(addresses)))
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                fault = error
        raise fault

    async def aclose(self) -> None:
        await self._inner.aclose()


@cache
def _tls(verify: bool) -> ssl.SSLContext:
    """Made once, since it reads all authorities; SSL_CERT_FILE and SSL_CERT_DIR are respected."""
    return httpx.create_ssl_context(verify=verify)


def _to(request: httpx.Request, host: str, address: str, among: int) -> httpx.Request:
    """The request to one address of its host, with its share of the time for connecting."""
    timeouts = dict(request.extensions.get("timeout", {}))
    if timeouts.get("connect"):
        timeouts["connect"] /= among
    request.url = request.url.copy_with(host=address)
    request.extensions = {**request.extensions, "timeout": timeouts}
    if address != host:
        request.extensions["sni_hostname"] = host
    return request


async def _judged(watch: Watch, host: str, port: int) -> list[str]:
    """The addresses of a name. One that is refused refuses the name, whatever its other ones are."""
    try:
        addresses = [str(ip_address(host))]
    except ValueError:
        try:
            found = await asyncio.get_running_loop().getaddrinfo(host, port)
        except (OSError, UnicodeError) as error:
            raise httpx.ConnectError(f"its name could not be resolved ({error})") from None
        addresses = list(dict.fromkeys(str(info[4][0]) for info in found))
    for address in addresses:
        watch.check(host, address, port)
    return addresses


def _default_port(url: httpx.URL) -> int:
    return 443 if url.scheme == "https" else 80


def post(
    url: str,
    content: bytes,
    headers: Mapping[str, str],
    *,
    tls_verify: bool = True,
    timeout: float = TIMEOUT,
    answer_limit: int = ANSWER_LIMIT,
) -> Answer:
    """POST once. Raise TemporaryError where no answer came, PermanentError for an address that cannot be used.

    The whole exchange is done within the timeout, even with a peer that says a byte now and then. What is raised names
    the host and nothing else of the address.
    """
    try:
        where = httpx.URL(url).host
        return run(_post(url, content, headers, tls_verify, timeout, answer_limit))
    except TimeoutError:
        raise TemporaryError(f"{where} did not answer within {timeout:.3g} s") from None
    except (httpx.InvalidURL, httpx.UnsupportedProtocol):
        raise PermanentError("the address of the channel cannot be used; correct it") from None
    except httpx.LocalProtocolError:
        raise PermanentError("a header cannot be sent as configured; correct it") from None
    except httpx.HTTPError as error:
        reason = mask(str(error) or type(error).__name__, [url])
        raise TemporaryError(f"{where} could not be reached: {reason}") from None


async def _post(
    url: str, content: bytes, headers: Mapping[str, str], tls_verify: bool, timeout: float, limit: int
) -> Answer:
    async with (
        asyncio.timeout(timeout),
        httpx.AsyncClient(
            transport=GuardedTransport(tls_verify), timeout=timeout, follow_redirects=False, trust_env=False
        ) as client,
        client.stream("POST", url, content=content, headers=_plainly(headers)) as response,
    ):
        pause = parse_retry_after(response.headers.get("Retry-After"), datetime.now(UTC))
        return Answer(response.status_code, await _beginning(response, limit), pause)


def _plainly(headers: Mapping[str, str]) -> httpx.Headers:
    """Answers are read as they come, so none is asked for that is compressed."""
    asked = httpx.Headers({"Accept-Encoding": "identity"})
    asked.update(httpx.Headers(headers))
    return asked


async def _beginning(response: httpx.Response, limit: int) -> bytes:
    """The first bytes of the answer; more is not read."""
    read = b""
    async for piece in response.aiter_raw(min(limit, ANSWER_LIMIT)):
        read += piece
        if len(read) >= limit:
            break
    return read[:limit]


def judge(answer: Answer, secrets: Iterable[str] = ()) -> str:
    """The answer in short where it is a success (2xx); otherwise raise. `secrets` are masked."""
    text = mask(f"{answer.status} {answer.text}".strip(), secrets)
    if 200 <= answer.status < 300:
        return text
    if answer.status in (408, 425, 429) or answer.status >= 500:
        raise TemporaryError(f"answered {text}", answer.retry_after)
    if 300 <= answer.status < 400:
        raise PermanentError(
            f"answered {answer.status}: redirects are not followed; configure the final address"
        )
    raise PermanentError(f"answered {text}")


def run(work: Coroutine[Any, Any, T]) -> T:
    """`asyncio.run`, except that it does not wait for a resolver that hangs in the loop's thread.

    Always asyncio's own loop: it connects through `socket.socket`, which the guard watches.
    """
    loop = asyncio.SelectorEventLoop()
    try:
        return loop.run_until_complete(work)
    finally:
        loop.close()
