"""What nobody should find in a queue: no message at all, a message that says nothing sensible, or one that is far too long."""

from __future__ import annotations

import base64
import json
import uuid
from typing import Any

import redis

QUEUES = ("heal", "checks", "alerts", "default")
OVERSIZED = 8 << 20
"""Bytes of the argument of a message that is too long."""


def message(queue: str, task: str, arguments: list[Any], **changes: Any) -> bytes:
    """As Celery puts one into a Redis list, but for these changes of its envelope."""
    identity = str(uuid.uuid4())
    embed = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}
    body = base64.b64encode(json.dumps([arguments, {}, embed]).encode()).decode()
    headers = {"lang": "py", "task": task, "id": identity, "root_id": identity, "retries": 0, "eta": None}
    properties = {
        "correlation_id": identity,
        "delivery_mode": 2,
        "delivery_info": {"exchange": "", "routing_key": queue},
        "priority": 0,
        "body_encoding": "base64",
        "delivery_tag": str(uuid.uuid4()),
    }
    envelope = {
        "body": body,
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": headers,
        "properties": properties,
    }
    return json.dumps(envelope | changes).encode()


def unwanted(queue: str) -> dict[str, bytes]:
    """One of each kind, by what is wrong with it."""
    check = "healing.tasks.check_containers"
    return {
        "no JSON": b"this is no message",
        "no text": b"\xff\xfe\x00\x80",
        "nothing": b"",
        "a number": b"42",
        "an empty object": b"{}",
        "no properties": json.dumps({"body": "", "headers": {}}).encode(),
        "no body": message(queue, check, [], body=base64.b64encode(b"no JSON").decode()),
        "no encoding of ours": message(
            queue, check, [], **{"content-type": "application/x-python-serialize"}
        ),
        "no headers": message(queue, check, [], headers={}),
        "an unknown task": message(queue, "healing.tasks.drop_all_tables", []),
        "too long": message(queue, "healing.tasks.unknown_and_long", ["x" * OVERSIZED]),
    }


def sent(url: str) -> int:
    """How many messages Redis has been given since it was started."""
    with redis.Redis.from_url(url, socket_timeout=5) as client:
        return int(client.info("commandstats")["cmdstat_lpush"]["calls"])


def push_all(url: str) -> int:
    """Each kind into each queue, where the workers look first; how many."""
    with redis.Redis.from_url(url, socket_timeout=10) as client:
        pushed = [(queue, body) for queue in QUEUES for body in unwanted(queue).values()]
        for queue, body in pushed:
            client.lpush(queue, body)
    return len(pushed)
