"""Which stores are our own, from the settings."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from django.conf import settings

from notifications.channels.stores import own_stores, stores_of


def stores(
    broker: str = "", databases: dict[str, Any] | None = None, caches: dict[str, Any] | None = None
) -> set[tuple[str, int]]:
    source = SimpleNamespace(CELERY_BROKER_URL=broker, DATABASES=databases or {}, CACHES=caches or {})
    return set(stores_of(source))


def postgres(**fields: Any) -> dict[str, Any]:
    return {"default": {"ENGINE": "django.db.backends.postgresql", "NAME": "x", **fields}}


@pytest.mark.parametrize(
    ("broker", "found"),
    [
        ("selfheal-memory://localhost", set()),
        ("redis://:pw@10.0.0.5/0", {("10.0.0.5", 6379)}),
        ("rediss://10.0.0.5:6380/0", {("10.0.0.5", 6380)}),
        ("amqp://u:p@10.0.0.5//", {("10.0.0.5", 5672)}),
        ("amqps://u:p@10.0.0.5;amqps://u:p@10.0.0.6:1", {("10.0.0.5", 5671), ("10.0.0.6", 1)}),
        ("sentinel://10.0.0.1;sentinel://10.0.0.2:1/0", {("10.0.0.1", 26379), ("10.0.0.2", 1)}),
        ("redis+socket:///run/redis.sock", {("/run/redis.sock", 0)}),
        ("redis://[fd00::1]:1", {("fd00::1", 1)}),
    ],
)
def test_broker(broker: str, found: set[tuple[str, int]]) -> None:
    """Protects the broker in every form that it can be given."""
    assert stores(broker) == found


@pytest.mark.parametrize(
    ("databases", "found"),
    [
        (postgres(HOST="10.0.0.7", PORT=""), {("10.0.0.7", 5432)}),
        (postgres(HOST="10.0.0.7", PORT="1234"), {("10.0.0.7", 1234)}),
        (postgres(HOST="10.0.0.7,10.0.0.8", PORT="1,2"), {("10.0.0.7", 1), ("10.0.0.8", 2)}),
        (postgres(HOST="", OPTIONS={"hostaddr": "10.0.0.9"}), {("10.0.0.9", 5432)}),
    ],
)
def test_database(databases: dict[str, Any], found: set[tuple[str, int]]) -> None:
    """Protects PostgreSQL, with several hosts too."""
    assert stores(databases=databases) == found


def test_database_in_a_file_is_none_to_call() -> None:
    """Protects the embedded mode, which has no stores to call."""
    assert stores(databases={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "x"}}) == set()


def test_database_by_a_unix_socket() -> None:
    """Protects a server on this machine by both of its ways in."""
    ways = {("/run/pg/.s.PGSQL.5432", 0), ("127.0.0.1", 5432)}
    assert ways <= stores(databases=postgres(HOST="/run/pg", PORT=""))


def test_names_stand_resolved_and_as_they_are() -> None:
    """Protects a store from its address, and from a name that cannot be resolved just now."""
    unknown = "a" * 64
    found = stores("redis://LocalHost:7000/1", postgres(HOST=unknown))
    assert {("localhost", 7000), ("127.0.0.1", 7000), (unknown, 5432)} <= found


def test_caches_are_stores_too() -> None:
    """Protects a Redis that only caches."""
    caches = {
        "default": {"LOCATION": ["redis://10.0.0.1", "redis://10.0.0.2:1"]},
        "other": {"LOCATION": "snow"},
    }
    assert stores(caches=caches) == {("10.0.0.1", 6379), ("10.0.0.2", 1)}


def test_settings_of_this_installation_can_be_read() -> None:
    """Protects from an error with the settings as they come."""
    assert settings.CELERY_BROKER_URL
    assert all(isinstance(port, int) for _, port in own_stores())
