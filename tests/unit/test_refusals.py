"""A database that answers and has no room: which errors say so, and since when it lasts."""

from __future__ import annotations

import psycopg2.errors
import pytest
from django.db import OperationalError

from healing.store.refusals import LASTS, OVER, Refusals, is_refusal

FULL = OperationalError(
    'could not extend file "base/5/16395": No space left on device\nHINT:  Check free disk space.'
)
GONE = OperationalError("server closed the connection unexpectedly")


def by_code() -> OperationalError:
    """As Django raises what the driver has met; the words are in the server's language."""
    try:
        raise OperationalError("konnte Datei nicht erweitern") from _DiskFull()
    except OperationalError as error:
        return error


class _DiskFull(psycopg2.errors.DiskFull):
    pgcode = "53100"


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (FULL, True),
        (by_code(), True),
        (OperationalError("database or disk is full"), True),
        (OperationalError("FATAL:  could not write init file"), True),
        (GONE, False),
    ],
    ids=["words", "code", "SQLite", "no new connection", "a lost connection"],
)
def test_what_is_a_refusal(error: Exception, expected: bool) -> None:
    """A lost connection is none: that is the database's silence."""
    assert is_refusal(error) is expected


def test_one_is_not_told_and_several_are_until_they_end() -> None:
    """A moment without room passes; over when none has come for a while, and then it begins anew."""
    met = Refusals()
    met.note(FULL, 100.0)
    assert met.lasting(100.0) == ""
    met.note(GONE, 100.0 + LASTS)
    assert met.lasting(100.0 + LASTS) == ""
    met.note(FULL, 100.0 + LASTS)
    assert met.lasting(100.0 + LASTS).endswith("No space left on device")
    over = 100.1 + LASTS + OVER
    assert met.lasting(over) == ""
    met.note(FULL, over)
    assert met.lasting(over) == ""
