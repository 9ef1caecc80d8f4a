"""A whole Selfheal as a user runs it, in either mode, asked through its database and judged by the engine's events."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sqlite3
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg2
import psycopg2.extras

from tests.testbed.paths import new_folder
from tests.testbed.process import Child, free_port
from tests.testbed.services import fresh_database, redis_server
from tests.testbed.shared import shared_postgres
from tests.testbed.wait import until

ROOT = Path(__file__).resolve().parent.parent.parent
MODES = ("embedded", "production")


@dataclass
class Stack:
    """`manage.py up` on a state folder of its own. Times in seconds."""

    mode: str
    docker_host: str
    home: Path
    environ: dict[str, str] = field(default_factory=dict)
    child: Child | None = None
    port: int = 0
    flower_port: int = 0

    def start(self) -> None:
        """Start, or start again on the same state; returns when the web answers and the events are watched."""
        self.port, self.flower_port = free_port(), free_port()
        env = {k: v for k, v in os.environ.items() if not k.startswith(("SELFHEAL_", "DJANGO_", "CELERY_"))}
        env |= {
            "SELFHEAL_HOME": str(self.home),
            "DOCKER_HOST": self.docker_host,
            "PORT": str(self.port),
            "SELFHEAL_FLOWER_PORT": str(self.flower_port),
            **self.environ,
        }
        log = self.home / f"selfheal-{time.monotonic_ns()}.log"
        self.child = Child([sys.executable, "manage.py", "up"], log, env=env, cwd=ROOT)
        self.child.wait_ready(self._is_up, timeout=90)

    def _is_up(self) -> bool:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/healthz", timeout=2) as answer:
            if answer.status != 200:
                return False
        fresh = time.time() - 6
        beats = {
            row["name"]
            for row in self.rows("SELECT name, at FROM healing_heartbeat")
            if _epoch(row["at"]) > fresh
        }
        return "beat" in beats and any(name.startswith("watch:") for name in beats)

    def stop(self) -> None:
        if self.child is not None:
            self.child.stop(timeout=25)

    def kill(self) -> None:
        if self.child is not None:
            self.child.kill()

    def log(self) -> str:
        return "\n".join(path.read_text() for path in sorted(self.home.glob("selfheal-*.log")))

    def forget_alerts(self) -> None:
        """Delete what was told so far; nothing may be failing meanwhile."""
        told = (
            "messageitem",
            "delivery",
            "groupmessage",
            "groupmember",
            "logentry",
            "alertgroup",
            "activealert",
        )
        for table in (*told, "notification"):
            self.rows(f"DELETE FROM notifications_{table}")

    def rows(self, sql: str, *values: Any) -> list[dict[str, Any]]:
        """The rows of a query; placeholders are `?`."""
        url = self.environ.get("DATABASE_URL", "")
        if url:
            with (
                contextlib.closing(psycopg2.connect(url)) as db,
                db,
                db.cursor(cursor_factory=psycopg2.extras.RealDictCursor) as cursor,
            ):
                cursor.execute(sql.replace("?", "%s"), values)
                return [dict(row) for row in cursor.fetchall()] if cursor.description else []
        with contextlib.closing(sqlite3.connect(self.home / "selfheal.sqlite3", timeout=20)) as lite, lite:
            lite.row_factory = sqlite3.Row
            return [dict(row) for row in lite.execute(sql, values).fetchall()]

    def status(self, name: str) -> dict[str, Any]:
        """The health status of a container by its full name; empty where it is not registered."""
        found = self.rows(
            "SELECT h.*, c.engine_id, c.id AS pk, e.last_seen AS swept_at FROM healing_healthstatus h"
            " JOIN healing_container c ON c.id = h.container_id JOIN healing_host e ON e.id = c.host_id"
            " WHERE c.name = ?",
            name,
        )
        return found[0] if found else {}

    def lifecycle(self, name: str) -> str:
        return str(self.status(name).get("lifecycle", ""))

    def failures(self, name: str) -> list[dict[str, Any]]:
        """All records of a container, oldest first."""
        return self.rows("SELECT * FROM healing_failurerecord WHERE container_name = ? ORDER BY id", name)

    def records(self, name: str) -> list[str]:
        """The records as "type / action / result", oldest first."""
        return [f"{r['failure_type']} / {r['action']} / {r['action_result']}" for r in self.failures(name)]

    def found(self, name: str) -> dict[str, Any]:
        """The newest found failure of a container; empty where there is none."""
        found = [row for row in self.failures(name) if row["is_found"]]
        return found[-1] if found else {}

    def attempts(self, name: str) -> list[dict[str, Any]]:
        return self.rows(
            "SELECT a.* FROM healing_attempt a JOIN healing_container c ON c.id = a.container_id"
            " WHERE c.name = ? ORDER BY a.id",
            name,
        )

    def alerts(self, name: str) -> list[str]:
        """Levels of the alerts about a container, in their order."""
        rows = self.rows(
            "SELECT level FROM notifications_notification WHERE container = ? ORDER BY created_at", name
        )
        return [row["level"] for row in rows]

    def host_alerts(self) -> list[str]:
        rows = self.rows(
            "SELECT level FROM notifications_notification WHERE container = '' ORDER BY created_at"
        )
        return [row["level"] for row in rows]

    def wait_known(self, name: str, lifecycle: str = "running", timeout: float = 15) -> None:
        """Until the container is registered and has been looked at."""
        until(
            lambda: self.lifecycle(name) == lifecycle, timeout, f"{name} is {lifecycle}: {self.status(name)}"
        )

    def wait_records(self, name: str, expected: list[str], timeout: float = 30) -> None:
        """Until exactly these records are there; and the alerts of the last change with them."""
        until(
            lambda: self.records(name) == expected,
            timeout,
            _Now(lambda: f"{name}: {expected}, not {self._all(name)}"),
        )

    def wait_alerts(self, name: str, expected: list[str], timeout: float = 10) -> None:
        until(
            lambda: self.alerts(name) == expected,
            timeout,
            _Now(lambda: f"{name}: {expected}, not {self._all(name)}"),
        )

    def _all(self, name: str) -> dict[str, Any]:
        return {
            "records": self.records(name),
            "alerts": self.alerts(name),
            "status": self.status(name),
            "attempts": self.attempts(name),
            "found": self.found(name),
        }

    def wait_checks(self, name: str, number: int = 2, timeout: float = 30) -> None:
        """Until the container has been checked `number` times more."""
        for _ in range(number):
            before = self.last_check(name)
            until(lambda before=before: self.last_check(name) != before, timeout, f"{name} is checked")

    def last_check(self, name: str) -> object:
        """When it was looked at by itself, or, where each sweep of its host looks at it, when that was."""
        status = self.status(name)
        return status.get("swept_at" if status.get("next_check_at") is None else "last_check_time")

    def nothing_happened(self, name: str, checks: int = 2) -> bool:
        """True where after some more checks there is no record, no attempt and no alert; what there is fails."""
        self.wait_checks(name, checks)
        assert self._traces(name) == ([], [], []), self._all(name)
        return True

    def _traces(self, name: str) -> tuple[list[Any], list[Any], list[Any]]:
        return self.failures(name), self.attempts(name), self.alerts(name)


class _Now:
    """A message that is made when it is shown."""

    def __init__(self, text: Any) -> None:
        self._text = text

    def __str__(self) -> str:
        return str(self._text())


def _epoch(value: Any) -> float:
    from datetime import UTC, datetime

    if isinstance(value, str):
        value = datetime.fromisoformat(value)
    return float((value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp())


def engine_events(client: Any, container: str, *kinds: str) -> list[tuple[str, float]]:
    """What the engine itself says it did to a container: (action, time), oldest first. The judge of restarts."""
    events = client.events(
        since=0,
        until=int(time.time()) + 1,
        decode=True,
        filters={"container": container, "type": "container"},
    )
    found = [(event["Action"], event["timeNano"] / 1e9) for event in events]
    return [event for event in found if not kinds or event[0] in kinds]


@contextmanager
def running(mode: str, docker_host: str, **environ: str) -> Iterator[Stack]:
    """A started stack: SQLite and one process, or PostgreSQL, Redis and a process for each part."""
    with ExitStack() as services:
        home = new_folder("scenario")
        if mode == "production":
            environ["DATABASE_URL"] = services.enter_context(
                fresh_database(services.enter_context(shared_postgres()))
            )
            environ["CELERY_BROKER_URL"] = services.enter_context(redis_server()).url
        stack = Stack(mode, docker_host, home, environ)
        try:
            stack.start()
            yield stack
        finally:
            services.callback(shutil.rmtree, home, ignore_errors=True)
            if stack.child is not None and stack.child.running():
                stack.child.send(signal.SIGCONT)
            stack.stop()
