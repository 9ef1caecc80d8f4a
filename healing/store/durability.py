"""Transactions that need not wait for the disk."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection, transaction


@contextmanager
def settles_later() -> Iterator[None]:
    """A transaction whose commit does not wait for PostgreSQL's disk; others see it at once, as always.

    For what is found out or claimed again where the database crashes within the second: it loses the newest of such
    transactions, whole and in order, and none that was committed before one that did wait. So an attempt's intent is
    on the disk when the commit that precedes the engine call is, and a heal costs one wait before that call, not five.
    """
    with transaction.atomic():
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute("SET LOCAL synchronous_commit TO OFF")
        yield
