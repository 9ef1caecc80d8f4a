"""The database as a judge: how old its verdicts are, and which statements were made."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

import psycopg2

from tests.testbed.paths import postgres_program

JUDGE = "judge"
TOP = 15
_CONTROL = ("BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE", "SET", "START TRANSACTION")
_STATEMENTS = """
    SELECT query, calls, total_exec_time, rows FROM pg_stat_statements
    JOIN pg_database ON pg_database.oid = dbid JOIN pg_roles ON pg_roles.oid = userid
    WHERE datname = current_database() AND rolname <> %s ORDER BY calls DESC
"""
# A container was looked at by its host's last sweep, or later by itself.
_LOOKED = "{most}(coalesce(h.last_check_time, s.checked_at), coalesce(s.checked_at, h.last_check_time))"
_OLDEST = f"SELECT min({_LOOKED}) FROM healing_healthstatus h {{join}}"
_OLDEST_SHARD = "SELECT min(checked_at) FROM healing_checkshard"
_LATE = f"SELECT h.container_id FROM healing_healthstatus h {{join}} AND {_LOOKED} < {{mark}}"
_METERS = """
    SELECT pg_current_wal_insert_lsn() - '0/0', tup_inserted + tup_updated + tup_deleted, xact_commit,
    pg_database_size(datname) FROM pg_stat_database WHERE datname = current_database()
"""
_JOIN = (
    "JOIN healing_container c ON c.id = h.container_id LEFT JOIN healing_checkshard s ON s.host_id = c.host_id"
    " WHERE c.monitored"
)


@dataclass(frozen=True, slots=True)
class Statement:
    """One kind of statement: how often, milliseconds in all, rows in all."""

    text: str
    calls: int
    milliseconds: float
    rows: int


@dataclass(frozen=True, slots=True)
class Statements:
    """What was asked of the database; `control` are those that begin and end transactions, not among `calls`.

    `wal` in bytes, `rows` written, `commits`: meanwhile. `size` of the database in bytes, at the end.
    """

    calls: int
    control: int
    milliseconds: float
    top: Sequence[Statement]
    wal: int = 0
    rows: int = 0
    commits: int = 0
    size: int = 0


@dataclass(slots=True)
class Ages:
    """What the tables say about lateness: seconds since the oldest look and the oldest sweep, the most seen of each."""

    verdict: float = 0.0
    sweep: float = 0.0
    late: set[int] | None = None

    def take(self, verdict: float, sweep: float, late: set[int]) -> None:
        self.verdict, self.sweep = max(self.verdict, verdict), max(self.sweep, sweep)
        self.late = (self.late or set()) | late


class Judge(Protocol):
    """Looks at the database from outside."""

    def look(self, ages: Ages, interval: float) -> None:
        """Add what the tables say at this moment."""

    def begin(self) -> None:
        """Count statements from now on."""

    def statements(self) -> Statements | None:
        """Those since `begin`; None where they are not counted."""

    def close(self) -> None: ...


class PostgresJudge:
    """Asks as a user of its own, so that its questions are not counted."""

    def __init__(self, url: str, counted: bool) -> None:
        with closing(psycopg2.connect(url)) as db, db, db.cursor() as cursor:
            cursor.execute(f"CREATE ROLE {JUDGE} SUPERUSER LOGIN")
            if counted:
                cursor.execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
        self._counted = counted
        self._db = psycopg2.connect(url, user=JUDGE)
        self._db.autocommit = True
        self._meters: tuple[int, ...] = ()

    def look(self, ages: Ages, interval: float) -> None:
        now = datetime.now(UTC)
        oldest = self._rows(_OLDEST.format(join=_JOIN, most="greatest"))[0][0]
        shard = self._rows(_OLDEST_SHARD)[0][0]
        late = self._rows(
            _LATE.format(join=_JOIN, most="greatest", mark="%s"), now - timedelta(seconds=2 * interval)
        )
        ages.take(_age(oldest, now), _age(shard, now), {pk for (pk,) in late})

    def begin(self) -> None:
        if self._counted:
            self._rows("SELECT pg_stat_statements_reset()")
        self._meters = self._read_meters()

    def statements(self) -> Statements | None:
        if not self._counted:
            return None
        wal, rows, commits, size = self._read_meters()
        found = summed([Statement(*row) for row in self._rows(_STATEMENTS, JUDGE)])
        wal, rows, commits = (
            after - before for after, before in zip((wal, rows, commits), self._meters, strict=False)
        )
        return replace(found, wal=wal, rows=rows, commits=commits, size=size)

    def _read_meters(self) -> tuple[int, ...]:
        return tuple(int(value) for value in self._rows(_METERS)[0])

    def close(self) -> None:
        self._db.close()

    def _rows(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        with self._db.cursor() as cursor:
            cursor.execute(sql, values)
            return list(cursor.fetchall())


class SQLiteJudge:
    """The same of a file; nobody counts its statements."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def look(self, ages: Ages, interval: float) -> None:
        now = datetime.now(UTC)
        mark = (now - timedelta(seconds=2 * interval)).replace(tzinfo=None).isoformat(" ")
        with closing(sqlite3.connect(f"file:{self._path}?mode=ro", uri=True, timeout=20)) as db:
            oldest = db.execute(_OLDEST.format(join=_JOIN, most="max")).fetchone()[0]
            shard = db.execute(_OLDEST_SHARD).fetchone()[0]
            late = db.execute(_LATE.format(join=_JOIN, most="max", mark="?"), (mark,)).fetchall()
        ages.take(_age(_time(oldest), now), _age(_time(shard), now), {pk for (pk,) in late})

    def begin(self) -> None:
        return None

    def statements(self) -> Statements | None:
        return None

    def close(self) -> None:
        return None


def counting_options() -> Sequence[str]:
    """The server's options that have statements counted; none where its module is not installed."""
    server = postgres_program("postgres")
    library = Path(server).parent.parent / "lib" / "pg_stat_statements.so" if server else Path()
    if not library.is_file():
        return ()
    return ("-c", "shared_preload_libraries=pg_stat_statements", "-c", "pg_stat_statements.max=10000")


def summed(found: Sequence[Statement]) -> Statements:
    """The sum, and the TOP most frequent."""
    plain = [one for one in found if not one.text.upper().startswith(_CONTROL)]
    return Statements(
        calls=sum(one.calls for one in plain),
        control=sum(one.calls for one in found) - sum(one.calls for one in plain),
        milliseconds=sum(one.milliseconds for one in found),
        top=sorted(plain, key=lambda one: -one.calls)[:TOP],
    )


def as_rows(found: Statements | None) -> Mapping[str, Any] | None:
    """For JSON, the texts shortened."""
    if found is None:
        return None
    top = [[one.calls, round(one.milliseconds, 1), one.rows, one.text[:200]] for one in found.top]
    return {**asdict(found), "top": top}


def _age(at: datetime | None, now: datetime) -> float:
    return (now - at).total_seconds() if at is not None else 0.0


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text).replace(tzinfo=UTC) if text else None
