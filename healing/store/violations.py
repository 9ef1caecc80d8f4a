"""Why a row was not taken: another was first, or the database is of another version than the code."""

from __future__ import annotations

from django.db import IntegrityError


def is_taken(error: IntegrityError) -> bool:
    """Whether what may be there once is there already."""
    return _is(error, "23505", "UNIQUE")  # unique_violation


def is_of_the_schema(error: BaseException) -> bool:
    """Whether a column was left empty that may not be: code that does not know it leaves it so."""
    return isinstance(error, IntegrityError) and _is(error, "23502", "NOT NULL")  # not_null_violation


def _is(error: IntegrityError, code: str, words: str) -> bool:
    """PostgreSQL's words are in the language of its server, SQLite has no codes."""
    found = getattr(error.__cause__ or error, "pgcode", None)
    return bool(found == code) if found else words in str(error)
