"""Where Selfheal keeps its own data, and what it has power over: addresses that no channel may ever call."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from ipaddress import ip_address
from typing import Any
from urllib.parse import unquote, urlsplit

from django.conf import settings

from notifications.channels import sentinels

HOLDS = 30.0
"""Seconds for which resolved addresses are taken as they are."""
_PORTS = {
    "redis": 6379,
    "rediss": 6379,
    "sentinel": sentinels.PORT,
    "amqp": 5672,
    "amqps": 5671,
    "pyamqp": 5672,
}
_POSTGRES_PORT = 5432
_POSTGRES_FOLDER = "/var/run/postgresql"

Place = tuple[str, int]
"""A host and a port, or the path of a Unix socket and 0."""

_sources: list[Callable[[], Iterable[Place]]] = []
_asked: dict[Callable[[], Iterable[Place]], tuple[Place, ...]] = {}
"""What each of them said last."""
_lock = threading.Lock()
_resolved: dict[tuple[tuple[str, int], ...], tuple[float, tuple[tuple[str, int], ...]]] = {}


def own_stores() -> tuple[tuple[str, int], ...]:
    """Hosts and ports of what Django's settings name, as `stores_of` has them."""
    return stores_of(settings)


def register(source: Callable[[], Iterable[Place]]) -> None:
    """Have `never_called` hold what `source` says."""
    if source not in _sources:
        _sources.append(source)


def never_called() -> tuple[Place, ...]:
    """Our own stores, and what was registered: as configured, and resolved."""
    for source in _sources:
        _asked[source] = tuple(source())
    return last_known()


def last_known() -> tuple[Place, ...]:
    """As `never_called` has had it last, and without asking: what is registered may read a database that is away."""
    named = tuple(dict.fromkeys(place for source in _sources for place in _asked.get(source, ())))
    return (*own_stores(), *_all_of(named))


def stores_of(source: Any) -> tuple[tuple[str, int], ...]:
    """Hosts and ports of the broker, the result backend, the caches and the databases: as configured, and resolved.

    Redis servers under Sentinels are those that the Sentinels name.
    `source` has the settings as its attributes. A Unix socket stands there as its path with port 0. A name that cannot
    be resolved now stands there as a name.
    """
    return _all_of(tuple(dict.fromkeys(_configured(source))))


def _all_of(named: tuple[Place, ...]) -> tuple[Place, ...]:
    """Those places by all of their addresses, from half a minute ago at most."""
    with _lock:
        until, addresses = _resolved.get(named, (0.0, ()))
    if until < time.monotonic():
        addresses = tuple(dict.fromkeys(one for host, port in named for one in _resolve(host, port)))
        with _lock:
            _resolved[named] = (time.monotonic() + HOLDS, addresses)
    return addresses


def _configured(source: Any) -> Iterator[tuple[str, int]]:
    for name in ("CELERY_BROKER_URL", "CELERY_RESULT_BACKEND"):
        yield from _of_urls(getattr(source, name, None))
    options = getattr(source, "CELERY_BROKER_TRANSPORT_OPTIONS", {})
    yield from sentinels.servers(str(getattr(source, "CELERY_BROKER_URL", "")), options)
    for cache in getattr(source, "CACHES", {}).values():
        yield from _of_urls(cache.get("LOCATION"))
    for database in getattr(source, "DATABASES", {}).values():
        yield from _of_database(database)


def _of_urls(urls: Any) -> Iterator[tuple[str, int]]:
    """Of one URL, of several with semicolons between them, or of a list of such."""
    texts = urls if isinstance(urls, list | tuple) else [urls]
    for url in (each for text in texts if isinstance(text, str) for each in text.split(";")):
        parts = urlsplit(url)
        scheme = parts.scheme.partition("+")[0]
        if scheme in ("unix", "redis") and parts.path and not parts.hostname:
            yield unquote(parts.path), 0
        elif scheme in _PORTS:
            yield (parts.hostname or "127.0.0.1").lower(), parts.port or _PORTS[scheme]


def _of_database(database: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    """Of PostgreSQL: several hosts may stand there with commas between them, and a folder means a Unix socket."""
    if "postgres" not in str(database.get("ENGINE", "")):
        return
    options = database.get("OPTIONS") or {}
    hosts = [str(database.get("HOST") or ""), str(options.get("host", "")), str(options.get("hostaddr", ""))]
    names = [name.strip() for text in hosts if text for name in text.split(",")] or [_POSTGRES_FOLDER]
    ports = str(database.get("PORT") or options.get("port") or _POSTGRES_PORT).split(",")
    for number, name in enumerate(names):
        port = int(ports[number] if number < len(ports) else ports[-1])
        if name.startswith("/"):
            yield f"{name}/.s.PGSQL.{port}", 0
            name = "127.0.0.1"
        yield name.lower(), port


def _resolve(host: str, port: int) -> Iterator[tuple[str, int]]:
    """A store on loopback is reached by this machine's other addresses too, where it listens on all of them."""
    yield host, port
    if port == 0:
        return
    addresses = _addresses(host)
    yield from ((address, port) for address in addresses)
    if any(ip_address(address).is_loopback for address in addresses):
        yield from ((address, port) for address in _addresses(socket.gethostname()))


def _addresses(host: str) -> list[str]:
    try:
        return sorted({str(info[4][0]).partition("%")[0] for info in socket.getaddrinfo(host, None)})
    except (OSError, UnicodeError):
        return []
