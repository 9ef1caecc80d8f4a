"""Which commits wait for the disk."""

from __future__ import annotations

import pytest
from django.db import connection

from healing.store.durability import settles_later


@pytest.mark.django_db(transaction=True)
def test_only_that_transaction_settles_later() -> None:
    """The next transaction of the same connection, which may precede an engine call, waits for the disk again."""
    if connection.vendor != "postgresql":
        with settles_later():
            assert connection.in_atomic_block
        return
    with connection.cursor() as cursor:
        cursor.execute("SET synchronous_commit TO on")
        with settles_later():
            assert _setting() == "off"
        assert _setting() == "on"
        cursor.execute("RESET synchronous_commit")


def _setting() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SHOW synchronous_commit")
        return str(cursor.fetchone()[0])
