"""The webhook channel: one POST of plain JSON. The same alert keeps its id over all repeats."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Self, TypeVar
from urllib.parse import urlsplit

import httpx

from notifications.core.alert import Message
from notifications.core.config import read_bool, read_headers, read_url, refuse_unknown
from notifications.core.errors import PermanentError, TemporaryError
from notifications.core.retry import parse_retry_after

TIMEOUT = 10.0
ANSWER_LIMIT = 500

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class WebhookChannel:
    """`url`, and optionally `headers` (an object) and `tls_verify`. 2xx is success; redirects are not followed."""

    url: str = field(repr=False)
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    tls_verify: bool = True
    timeout: float = TIMEOUT

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        refuse_unknown(config, ("url", "headers", "tls_verify"))
        return cls(
            url=read_url(config, "url"),
            headers=read_headers(config, "headers"),
            tls_verify=read_bool(config, "tls_verify", default=True),
        )

    def send(self, message: Message) -> str:
        """The whole exchange is done within the timeout, even with a peer that says a byte now and then."""
        where = urlsplit(self.url).hostname
        try:
            status, text, retry_after = _run(self._post(message))
        except TimeoutError:
            raise TemporaryError(f"{where} did not answer within {self.timeout:.3g} s") from None
        except (httpx.InvalidURL, httpx.UnsupportedProtocol):
            raise PermanentError("the address of the webhook cannot be used; correct it") from None
        except httpx.HTTPError as error:
            raise TemporaryError(f"{where} could not be reached: {error or type(error).__name__}") from None
        return _judge(status, text, retry_after)

    async def _post(self, message: Message) -> tuple[int, str, str | None]:
        headers = {"User-Agent": "selfheal", "Idempotency-Key": message.id, **dict(self.headers)}
        async with (
            asyncio.timeout(self.timeout),
            httpx.AsyncClient(verify=self.tls_verify, timeout=self.timeout, follow_redirects=False) as client,
            client.stream("POST", self.url, json=message.payload(), headers=headers) as response,
        ):
            return response.status_code, await _beginning(response), response.headers.get("Retry-After")


async def _beginning(response: httpx.Response) -> str:
    """The first characters of the answer; more is not read."""
    read = b""
    async for piece in response.aiter_raw(ANSWER_LIMIT):
        read += piece
        if len(read) >= ANSWER_LIMIT:
            break
    text = read[:ANSWER_LIMIT].decode("utf-8", "replace")
    return " ".join("".join(c if c.isprintable() or c.isspace() else "?" for c in text).split())


def _judge(status: int, text: str, retry_after: str | None) -> str:
    answer = f"{status} {text}".strip()
    if 200 <= status < 300:
        return answer
    if status in (408, 425, 429) or status >= 500:
        raise TemporaryError(f"answered {answer}", parse_retry_after(retry_after, datetime.now(UTC)))
    if 300 <= status < 400:
        raise PermanentError(f"answered {status}: redirects are not followed; configure the final address")
    raise PermanentError(f"answered {answer}")


def _run(work: Coroutine[Any, Any, T]) -> T:
    """`asyncio.run`, except that it does not wait for a resolver that hangs in the loop's thread."""
    loop = asyncio.new_event_loop()
    try:
        return loop.run_until_complete(work)
    finally:
        loop.close()
