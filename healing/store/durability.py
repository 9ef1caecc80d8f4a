"""Which commits wait for the database's disk.

Where PostgreSQL crashes, it loses the newest of the transactions that did not wait, within a second, whole and in
order, and none that was committed before one that did. What a worker finds out, claims and concludes can be found
again: the engine is asked anew. So the workers' commits do not wait, but for the one before an engine call; with it
everything that led to that call is on the disk. People's own changes always wait.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

_is_relaxed = False


def relax_this_process() -> None:
    """From now on the commits of this process do not wait, but those of `settles_now`."""
    global _is_relaxed
    _is_relaxed = True
    connection_created.connect(_relax, dispatch_uid="healing.store.durability")


def _relax(connection: BaseDatabaseWrapper, **_: Any) -> None:
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SET synchronous_commit TO OFF")


@contextmanager
def settles_later() -> Iterator[None]:
    """A transaction whose commit does not wait; others see it at once, as always."""
    with transaction.atomic():
        if not _is_relaxed:
            _commit_waits("OFF")
        yield


@contextmanager
def settles_now() -> Iterator[None]:
    """A transaction whose commit waits until it, and all before it, is on the disk."""
    with transaction.atomic():
        if _is_relaxed:
            _commit_waits("ON")
        yield


def _commit_waits(value: str) -> None:
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(f"SET LOCAL synchronous_commit TO {value}")
