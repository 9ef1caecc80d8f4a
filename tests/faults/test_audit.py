"""The judge of I8 can see: a write by one whose claim is over is noted, and one by its holder is not."""

from __future__ import annotations

from contextlib import closing

import psycopg2

from tests.faults import audit
from tests.testbed.services import execute, postgres_server

_TABLES = """
CREATE TABLE healing_failurerecord (
    id bigint PRIMARY KEY, fence bigint, lease_until timestamptz, stage text, action_result text, reason text,
    resolved_at timestamptz, alert_level text, is_found boolean
);
CREATE TABLE healing_attempt (id bigserial PRIMARY KEY, failure_id bigint, number int, state text);
INSERT INTO healing_failurerecord VALUES (1, 0, NULL, 'diagnose', 'pending', '', NULL, '', true);
"""
_CLAIM = "UPDATE healing_failurerecord SET fence = fence + 1, lease_until = now() WHERE id = 1"
_WRITES = (
    "UPDATE healing_failurerecord SET stage = 'restart' WHERE id = 1",
    "INSERT INTO healing_attempt (failure_id, number, state) VALUES (1, 1, 'intended')",
    "UPDATE healing_attempt SET state = 'called' WHERE failure_id = 1",
)


def test_a_stale_write_is_seen() -> None:
    """Two claim in turn: what the second writes is right, and each kind of write by the first is one too many."""
    with postgres_server() as server:
        execute(server.url, _TABLES)
        audit.install(server.url)
        with closing(psycopg2.connect(server.url)) as first, closing(psycopg2.connect(server.url)) as second:
            _run(first, _CLAIM)
            _run(second, _CLAIM, *_WRITES)
            assert audit.stale_writes(server.url, 0) == []
            _run(first, *(write.replace("restart", "verify") for write in _WRITES))
        assert audit.claims(server.url, 0) == 2
        stale = {write.what.partition(" with ")[0] for write in audit.stale_writes(server.url, 0)}
    assert stale == {"restart to verify", "attempt 1 intended", "attempt 1 called"}


def _run(connection: psycopg2.extensions.connection, *statements: str) -> None:
    connection.autocommit = True
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
