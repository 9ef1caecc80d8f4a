"""Kombu's Redis transport, but for what lies in a queue and is no message: that is kept aside and does not end the worker."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from queue import Empty
from typing import Any

from kombu.transport import redis

from selfheal_project.messages import set_aside


def fault_of(envelope: object) -> str:
    """Why this cannot be what Kombu has sent, or empty."""
    if not isinstance(envelope, Mapping):
        return "it is no object"
    properties = envelope.get("properties")
    info = properties.get("delivery_info") if isinstance(properties, Mapping) else None
    if not isinstance(properties, Mapping) or not isinstance(info, Mapping):
        return "it has no properties"
    wanted = (properties.get("delivery_tag"), info.get("exchange"), info.get("routing_key"))
    if not all(isinstance(text, str) for text in wanted):
        return "it does not say where it goes"
    if not isinstance(envelope.get("headers") or {}, Mapping):
        return "its headers are no object"
    return _fault_of_body(envelope.get("body"), properties.get("body_encoding"))


def _fault_of_body(body: object, encoding: object) -> str:
    if body is not None and not isinstance(body, str):
        return "its body is no text"
    if encoding not in (None, "base64"):
        return f"its body is encoded as {encoding!r}"
    try:
        base64.b64decode(body or "") if encoding else None
    except (binascii.Error, ValueError) as error:
        return f"its body cannot be decoded: {error}"
    return ""


class _Reading:
    """For a channel: what is no JSON at all is gone from the queue once it is read, and so lost with the worker."""

    def _brpop_read(self, **options: Any) -> Any:
        try:
            return super()._brpop_read(**options)  # type: ignore[misc]
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            content = getattr(error, "doc", None) or getattr(error, "object", "")
            queues = ",".join(sorted(self.active_queues))  # type: ignore[attr-defined]
            set_aside(queues, f"it is no JSON: {type(error).__name__}: {error}", content)
            raise Empty from None


class _Delivering:
    """For a transport: looks at envelopes before Kombu opens them."""

    def _deliver(self, message: Any, queue: str) -> None:
        if fault := fault_of(message):
            set_aside(queue, f"it is no message: {fault}", message)
            return
        super()._deliver(message, queue)  # type: ignore[misc]


class Channel(_Reading, redis.Channel):
    pass


class Transport(_Delivering, redis.Transport):  # type: ignore[misc]
    Channel = Channel


class SentinelChannel(_Reading, redis.SentinelChannel):
    pass


class SentinelTransport(_Delivering, redis.SentinelTransport):  # type: ignore[misc]
    Channel = SentinelChannel
