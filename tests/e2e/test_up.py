"""`manage.py up` as a user meets it: starts, says what it found, refuses in one sentence, stops cleanly."""

from __future__ import annotations

import base64
import contextlib
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.testbed.paths import PROJECT
from tests.testbed.process import Child, free_port
from tests.testbed.wait import until

UP = [sys.executable, "manage.py", "up"]
_REMOVED = ("DATABASE_URL", "CELERY_BROKER_URL", "SELFHEAL_ADMIN_PASSWORD", "SELFHEAL_FLOWER_PASSWORD")


class Installation:
    """A state folder, a port and an environment; what is started on them is ended with the test."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home = folder / "home"
        self.port = free_port()
        self.environ = {name: value for name, value in os.environ.items() if name not in _REMOVED}
        self.environ |= {
            "SELFHEAL_HOME": str(self.home),
            "PORT": str(self.port),
            "DOCKER_HOST": f"unix://{folder}/no-docker.sock",
        }
        self.children: list[Child] = []

    def up(self, **environ: str) -> Child:
        """Start it without waiting."""
        log = self.folder / f"up{len(self.children)}.log"
        child = Child(UP, log, cwd=PROJECT, env={**self.environ, **environ})
        self.children.append(child)
        return child

    def ready(self, **environ: str) -> Child:
        """Start it, and wait until it answers."""
        child = self.up(**environ)
        child.wait_ready(self.answers, timeout=90)
        return child

    def answers(self) -> bool:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/healthz", timeout=2) as answer:
            return bool(answer.status == 200)

    def refused(self, **environ: str) -> str:
        """Start it where it must not start; the one sentence it says."""
        result = subprocess.run(
            UP,
            cwd=PROJECT,
            env={**self.environ, **environ},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert result.returncode == 1, result.stdout + result.stderr
        lines = [line for line in result.stderr.splitlines() if line.strip()]
        assert len(lines) == 1, result.stderr
        return lines[0]

    def rows(self, query: str) -> list[tuple[object, ...]]:
        with (
            contextlib.closing(sqlite3.connect(self.home / "selfheal.sqlite3", timeout=20)) as database,
            database,
        ):
            return database.execute(query).fetchall()


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Installation]:
    made = Installation(tmp_path)
    yield made
    for child in made.children:
        child.stop()


def stopped_cleanly(child: Child, number: int) -> None:
    """The signal ends it within seconds, with status 0 and without a trace."""
    begin = time.monotonic()
    child.send(number)
    assert child.process.wait(30) == 0, child.tail()
    assert time.monotonic() - begin < 20
    assert "Traceback" not in child.log.read_text()


def test_first_and_second_start(place: Installation) -> None:
    """From nothing to an answer, with all that a user needs to know; the second start goes on where the first ended."""
    first = place.ready()
    told = first.log.read_text()
    password = (place.home / "admin_password").read_text().strip()
    assert "no Docker engine at" in told
    assert "built-in process engine" in told
    assert f"http://127.0.0.1:{place.port}/admin/" in told
    assert f"password {password}" in told
    beat = "SELECT max(at) FROM healing_heartbeat WHERE name = 'beat'"
    until(lambda: place.rows(beat)[0][0], 30, "beat has ticked, and a worker has taken the tick")
    last = place.rows(beat)
    stopped_cleanly(first, signal.SIGTERM)
    place.rows("UPDATE healing_host SET start_grace = 7")

    begin = time.monotonic()
    second = place.ready()
    assert time.monotonic() - begin < 60  # 2 s on a machine that has nothing else to do
    assert f"password {password}" in second.log.read_text()
    assert place.rows("SELECT name, start_grace FROM healing_host") == [("local-processes", 7.0)]
    until(lambda: place.rows(beat) > last, 30, "the second start ticks on")
    stopped_cleanly(second, signal.SIGINT)


def test_a_second_one_beside_a_running_one(place: Installation) -> None:
    """Two on one state folder would heal everything twice."""
    running = place.ready()
    assert f"Selfheal already runs here (pid {running.pid})" in place.refused(PORT=str(free_port()))
    assert running.running()
    assert place.answers()


def test_a_crash_leaves_no_lock(place: Installation) -> None:
    """After a SIGKILL the next start is not refused."""
    first = place.ready()
    first.kill()
    second = place.ready()
    assert second.running()
    stopped_cleanly(second, signal.SIGTERM)


def test_what_is_wrong_gets_one_sentence(place: Installation) -> None:
    """A taken port, a misspelt or malformed variable, a folder that cannot be: said, with what to do."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", place.port))
        taken.listen(1)
        assert f"Port {place.port} on 127.0.0.1 is taken" in place.refused()
    assert "SELFHEAL_HOEM is unknown" in place.refused(SELFHEAL_HOEM="/tmp/x")
    assert "PORT='eighty' is not a number from 1 to 65535" in place.refused(PORT="eighty")
    (place.folder / "file").write_text("")
    home = str(place.folder / "file" / "home")
    assert f"The state folder {home} cannot be used" in place.refused(SELFHEAL_HOME=home)
    assert "CELERY_BROKER_URL starts with 'reddis'" in place.refused(CELERY_BROKER_URL="reddis://x")
    database = f"postgres://u:secret@127.0.0.1:{free_port()}/d"
    sentence = place.refused(DATABASE_URL=database)
    assert "The database (PostgreSQL, d at 127.0.0.1) cannot be used" in sentence
    assert "secret" not in sentence


def test_with_postgresql(place: Installation, postgres_url: str) -> None:
    """DATABASE_URL alone moves everything to PostgreSQL, and its password is not shown."""
    running = place.ready(DATABASE_URL=postgres_url)
    told = running.log.read_text()
    assert "database  PostgreSQL, " in told
    assert postgres_url not in told
    assert not (place.home / "selfheal.sqlite3").exists()
    stopped_cleanly(running, signal.SIGTERM)


def children_of(pid: int) -> Mapping[int, str]:
    """Process id -> command line of the direct children."""
    found = {}
    for number in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        found[int(number)] = Path(f"/proc/{number}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    return found


def flower_status(port: int, password: str = "") -> int:
    request = urllib.request.Request(f"http://127.0.0.1:{port}/")
    if password:
        token = base64.b64encode(f"selfheal:{password}".encode()).decode()
        request.add_header("Authorization", f"Basic {token}")
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_with_redis_everything_runs_as_processes(place: Installation, redis_url: str) -> None:
    """Web, workers, beat, watcher, sweeper and Flower: started, one that dies started again, all stopped together."""
    flower = free_port()
    running = place.ready(CELERY_BROKER_URL=redis_url, SELFHEAL_FLOWER_PORT=str(flower))
    password = (place.home / "flower_password").read_text().strip()
    assert f"http://127.0.0.1:{flower}/" in running.log.read_text()
    until(lambda: flower_status(flower) == 401, 60, "Flower asks for its password")
    assert flower_status(flower, password) == 200
    children = children_of(running.pid)
    assert len(children) == 8
    assert password not in " ".join(children.values())
    beat = "SELECT max(at) FROM healing_heartbeat WHERE name = 'beat'"
    until(lambda: place.rows(beat)[0][0], 60, "beat has ticked, and a worker has taken the tick")

    victim = next(pid for pid, command in children.items() if " beat " in command)
    os.kill(victim, signal.SIGKILL)
    until(
        lambda: any(pid != victim and " beat " in line for pid, line in children_of(running.pid).items()),
        30,
        "beat was started again",
    )
    everybody = set(children_of(running.pid))
    stopped_cleanly(running, signal.SIGTERM)
    assert not [pid for pid in everybody if Path(f"/proc/{pid}").exists()]


def test_a_broker_that_is_away_at_the_start(place: Installation) -> None:
    """It is said, and does not keep what stands in for it, nor the pages, from starting; nobody ends for it."""
    broker = f"redis://127.0.0.1:{free_port()}/0"
    running = place.ready(CELERY_BROKER_URL=broker, SELFHEAL_FLOWER_PORT=str(free_port()))
    assert f"{broker} does not answer" in running.log.read_text()
    sweep = "SELECT count(*) FROM healing_heartbeat WHERE name LIKE 'sweep%'"
    until(lambda: place.rows(sweep)[0][0], 60, "the sweeper has given a sign of life")
    assert len(children_of(running.pid)) == 8
    assert "ended with status" not in running.log.read_text()
    running.send(signal.SIGTERM)
    assert running.process.wait(30) == 0, running.tail()


def test_processes_end_with_a_killed_keeper(place: Installation, redis_url: str) -> None:
    """A SIGKILL of `make up` leaves no workers behind that nobody knows of."""
    running = place.ready(CELERY_BROKER_URL=redis_url, SELFHEAL_FLOWER_PORT=str(free_port()))
    everybody = set(children_of(running.pid))
    assert len(everybody) == 8
    running.kill()
    until(lambda: not [p for p in everybody if Path(f"/proc/{p}").exists()], 30, "all processes have ended")
