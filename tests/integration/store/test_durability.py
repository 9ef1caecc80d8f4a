"""Which commits wait for the disk."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.db import connection
from django.db.backends.signals import connection_created

from healing.store import durability
from healing.store.durability import relax_this_process, settles_later, settles_now

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def relaxed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As in a worker's process; everything is as before afterwards."""
    monkeypatch.setattr(durability, "_is_relaxed", False)
    relax_this_process()
    connection.close()
    connection.ensure_connection()
    yield
    connection_created.disconnect(dispatch_uid="healing.store.durability")
    connection.close()


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


@pytest.mark.usefixtures("relaxed")
def test_a_worker_waits_for_the_disk_before_an_engine_call() -> None:
    """What a worker finds out need not wait; the intent of a call, and all before it, must be on the disk."""
    with settles_later():
        assert connection.vendor != "postgresql" or _setting() == "off"
    with settles_now():
        assert connection.vendor != "postgresql" or _setting() == "on"
    assert connection.vendor != "postgresql" or _setting() == "off"


def _setting() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SHOW synchronous_commit")
        return str(cursor.fetchone()[0])
