"""The webhook channel: one POST of plain JSON, signed as the Standard Webhooks specification says.

The same alert keeps its id over all repeats.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

import httpx

from notifications.channels.http import TIMEOUT, judge, post
from notifications.core.alert import Message
from notifications.core.config import read_bool, read_headers, read_text, read_url, refuse_unknown
from notifications.core.errors import ConfigError
from notifications.core.fields import Field, secret_names

PREFIX = "whsec_"
SHORTEST_SECRET, LONGEST_SECRET = 24, 64
"""Bytes of a secret, as the specification has them."""
BODY_LIMIT = 1024 * 1024
"""Bytes of a body; many receivers refuse larger ones."""


@dataclass(frozen=True, slots=True)
class WebhookChannel:
    """2xx is success; redirects are not followed. Without `secrets` it is not signed."""

    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field(
            "url", "Address", "Where the POST goes; often a secret itself.", "url", secret=True, required=True
        ),
        Field(
            "secret",
            "Signing secret",
            "whsec_ and 24 to 64 bytes in base64. Empty: not signed.",
            "secret",
            True,
        ),
        Field(
            "old_secret", "Former secret", "Signs too, until all receivers know the new one.", "secret", True
        ),
        Field(
            "headers",
            "Headers",
            'Further headers, such as {"Authorization": "Bearer …"}.',
            "json",
            secret=True,
        ),
        Field("tls_verify", "Verify TLS", "Off only for a certificate that nobody has signed.", "boolean"),
    )
    SECRET_FIELDS: ClassVar[frozenset[str]] = secret_names(FIELDS)

    url: str = field(repr=False)
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    tls_verify: bool = True
    secrets: tuple[bytes, ...] = field(default=(), repr=False)
    timeout: float = TIMEOUT

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        refuse_unknown(config, tuple(each.name for each in cls.FIELDS))
        secrets = [read_secret(config, name) for name in ("secret", "old_secret")]
        if secrets[1] and not secrets[0]:
            raise ConfigError("old_secret", "is of use only beside a secret; write it there")
        return cls(
            url=read_url(config, "url"),
            headers=read_headers(config, "headers"),
            tls_verify=read_bool(config, "tls_verify", default=True),
            secrets=tuple(secret for secret in secrets if secret),
        )

    def send(self, message: Message) -> str:
        body = body_of(message)
        headers = httpx.Headers({"Content-Type": "application/json", "User-Agent": "selfheal"})
        headers["Idempotency-Key"] = message.id
        headers.update(dict(self.headers))
        headers.update(signed(self.secrets, message.id, int(time.time()), body))
        answer = post(self.url, body, headers, tls_verify=self.tls_verify, timeout=self.timeout)
        return judge(answer, [self.url, *dict(self.headers).values()])


def body_of(message: Message, limit: int = BODY_LIMIT) -> bytes:
    """The payload as JSON. Where it is larger than `limit` bytes, only the first of its alerts are in it, and
    `truncated_alerts` says how many are not.
    """
    payload = message.payload()
    body = _encoded(payload)
    alerts, kept = payload["alerts"], len(payload["alerts"])
    while len(body) > limit and kept > 0:
        kept = min(kept - 1, kept * limit // len(body))
        body = _encoded(payload | {"alerts": alerts[:kept], "truncated_alerts": len(alerts) - kept})
    return body


def _encoded(payload: Mapping[str, Any]) -> bytes:
    return json.dumps(payload, ensure_ascii=False).encode("utf-8", "replace")


def signed(secrets: tuple[bytes, ...], message_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The headers of the Standard Webhooks specification; those without signature where there is no secret."""
    headers = {"webhook-id": message_id, "webhook-timestamp": str(timestamp)}
    if secrets:
        content = f"{message_id}.{timestamp}.".encode() + body
        digests = [hmac.new(secret, content, hashlib.sha256).digest() for secret in secrets]
        headers["webhook-signature"] = " ".join(f"v1,{base64.b64encode(each).decode()}" for each in digests)
    return headers


def read_secret(config: Mapping[str, Any], name: str) -> bytes:
    """The bytes of a `whsec_…`, empty where none is given."""
    text = read_text(config, name)
    if not text:
        return b""
    try:
        secret = base64.b64decode(text.removeprefix(PREFIX), validate=True)
    except ValueError:
        secret = b""
    if not text.startswith(PREFIX) or not SHORTEST_SECRET <= len(secret) <= LONGEST_SECRET:
        raise ConfigError(
            name, f"must be {PREFIX} followed by {SHORTEST_SECRET} to {LONGEST_SECRET} bytes in base64"
        )
    return secret
