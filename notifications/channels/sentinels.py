"""The Redis servers that a broker under Sentinels consists of, by the word of the Sentinels."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

Place = tuple[str, int]

PORT = 26379
HOLDS = 30.0
"""Seconds for which their word is taken as it is."""
_lock = threading.Lock()
_said: dict[tuple[str, str], tuple[float, tuple[Place, ...]]] = {}


def places_of(broker_url: str) -> list[Place]:
    """The Sentinels of `sentinel://a:26379;sentinel://b:26379/0`."""
    parts = [urlsplit(each) for each in broker_url.split(";")]
    return [(each.hostname or "127.0.0.1", each.port or PORT) for each in parts]


def servers(broker_url: str, options: Mapping[str, Any]) -> tuple[Place, ...]:
    """The master and the replicas that the Sentinels name; what they have said before, where none answers.

    `options` are the transport's: `master_name` and `sentinel_kwargs`. Empty for other brokers.
    """
    name = str(options.get("master_name") or "")
    if not broker_url.startswith("sentinel:") or not name:
        return ()
    key = (broker_url, name)
    with _lock:
        until, said = _said.get(key, (0.0, ()))
    if until < time.monotonic():
        kwargs = options.get("sentinel_kwargs") or {}
        said = tuple(dict.fromkeys(_ask(places_of(broker_url), name, kwargs))) or said
        with _lock:
            _said[key] = (time.monotonic() + HOLDS, said)
    return said


def _ask(places: Sequence[Place], name: str, kwargs: Mapping[str, Any]) -> Iterator[Place]:
    """By all that answer: one that was cut off may know an older master. Redis' client takes long to load, so only here."""
    from redis.exceptions import RedisError
    from redis.sentinel import Sentinel

    clients: list[Any] = Sentinel(places, sentinel_kwargs=dict(kwargs)).sentinels
    for client in clients:
        try:
            master = client.sentinel_masters()[name]
            replicas = client.sentinel_slaves(name)
        except (RedisError, OSError, KeyError):
            continue
        finally:
            client.close()
        yield from ((str(row["ip"]), int(row["port"])) for row in (master, *replicas))
