"""Private Redis and PostgreSQL servers, each on a free port with a data folder of its own."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg2
import redis

from tests.testbed.paths import needed, new_folder, postgres_program
from tests.testbed.process import Child, free_port

_PORT_TRIES = 5
_REDIS_DATABASES = 2048
_UNSAFE_AND_FAST = (
    "-F",
    "-c",
    "synchronous_commit=off",
    "-c",
    "full_page_writes=off",
    "-c",
    "max_connections=400",
)


class RedisServer:
    """One Redis without persistence; `pause` makes it accept and say nothing, `kill` loses all its data."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder, self.options, self.port = folder, options, free_port()
        self.child: Child | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def database_url(self, number: int) -> str:
        return f"redis://127.0.0.1:{self.port}/{number}"

    def start(self) -> None:
        """Start, or start again on the same port; returns when it answers."""
        command = [needed("redis-server", "redis-server"), "--port", str(self.port), "--bind", "127.0.0.1"]
        command += ["--save", "", "--appendonly", "no", "--databases", str(_REDIS_DATABASES)]
        command += ["--dir", str(self.folder), *self.options]
        self.child = Child(command, self.folder / "redis.log")
        with redis.Redis(port=self.port, socket_timeout=2) as client:
            self.child.wait_ready(client.ping, timeout=10)

    def stop(self) -> None:
        if self.child:
            self.child.stop()

    def kill(self) -> None:
        if self.child:
            self.child.kill()

    def pause(self) -> None:
        if self.child:
            self.child.send(signal.SIGSTOP)

    def resume(self) -> None:
        if self.child:
            self.child.send(signal.SIGCONT)


@contextmanager
def redis_server(*options: str) -> Iterator[RedisServer]:
    """A private Redis (ready in about 0.1 s), stopped at the end. `options` go to redis-server."""
    folder = new_folder("redis")
    server = RedisServer(folder, *options)
    try:
        _start_on_a_free_port(server)
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


class PostgresServer:
    """One PostgreSQL cluster; user `selfheal` is its superuser and needs no password. fsync is off unless `durable`."""

    def __init__(self, folder: Path, durable: bool = False, options: Sequence[str] = ()) -> None:
        self.folder, self.port, self.durable, self.options = folder, free_port(), durable, options
        self.child: Child | None = None

    @property
    def url(self) -> str:
        return f"postgres://selfheal@127.0.0.1:{self.port}/postgres"

    def initialise(self) -> None:
        """Make the data folder, owned by the user that the server runs as (it refuses to run as root)."""
        initdb = needed("initdb", "postgresql", postgres_program("initdb"))
        data = self.folder / "data"
        data.mkdir()
        if user := _unprivileged():
            shutil.chown(data, user["user"], user["group"])
        command = [initdb, "-D", str(data), "-U", "selfheal", "-A", "trust", "-E", "UTF8", "--locale=C", "-N"]
        done = subprocess.run(command, capture_output=True, text=True, cwd="/", check=False, **user)
        if done.returncode:
            raise ChildProcessError(f"initdb failed: {done.stdout[-500:]}{done.stderr[-1000:]}")

    def start(self) -> None:
        command = [
            needed("postgres", "postgresql", postgres_program("postgres")),
            "-D",
            str(self.folder / "data"),
        ]
        command += [
            "-p",
            str(self.port),
            "-c",
            "listen_addresses=127.0.0.1",
            "-c",
            "unix_socket_directories=",
        ]
        command += () if self.durable else _UNSAFE_AND_FAST
        command += self.options
        self.child = Child(command, self.folder / "postgres.log", signal.SIGINT, cwd="/", **_unprivileged())
        self.child.wait_ready(lambda: execute(self.url, "SELECT 1"), timeout=30)

    def stop(self) -> None:
        if self.child:
            self.resume()
            self.child.stop()

    def stop_at_once(self) -> None:
        """The immediate shutdown: no checkpoint, all connections broken, and recovery at the next start."""
        if self.child:
            self.child.send(signal.SIGQUIT)
            self.child.process.wait(20)

    def pause(self) -> None:
        """SIGSTOP to the server and to all its backends: connections stay, and nothing answers."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: int) -> None:
        """The server first, so that it starts no backend meanwhile."""
        if self.child and self.child.running():
            children = Path(f"/proc/{self.child.pid}/task/{self.child.pid}/children")
            self.child.send(number)
            for pid in children.read_text().split():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(pid), number)


@contextmanager
def postgres_server(durable: bool = False, options: Sequence[str] = ()) -> Iterator[PostgresServer]:
    """A private PostgreSQL, stopped at the end; with `durable` as it comes, commits on the disk and all.

    `options` go to the server.
    """
    folder = new_folder("postgres")
    server = PostgresServer(folder, durable, options)
    try:
        server.initialise()
        _start_on_a_free_port(server)
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def fresh_database(server_url: str) -> Iterator[str]:
    """The URL of a new, empty database on the server at `server_url`; dropped at the end."""
    name = f"t_{uuid.uuid4().hex[:16]}"
    execute(server_url, f'CREATE DATABASE "{name}" TEMPLATE template0')
    try:
        yield urlunsplit(urlsplit(server_url)._replace(path=f"/{name}"))
    finally:
        with contextlib.suppress(psycopg2.Error):
            execute(server_url, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


def execute(url: str, statement: str) -> list[tuple[Any, ...]]:
    """Run one SQL statement outside a transaction; its rows, if it has any."""
    connection = psycopg2.connect(url, connect_timeout=5)
    try:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchall() if cursor.description else []
    finally:
        connection.close()


def _unprivileged() -> dict[str, Any]:
    """Options for subprocess to leave root; none where we are not root."""
    if os.geteuid() != 0:
        return {}
    name = "postgres" if any(entry.pw_name == "postgres" for entry in pwd.getpwall()) else "nobody"
    return {"user": name, "group": pwd.getpwnam(name).pw_gid, "extra_groups": []}


def _start_on_a_free_port(server: RedisServer | PostgresServer) -> None:
    """Start; on another port when someone took the one that was free a moment ago."""
    start: Callable[[], None] = server.start
    for _ in range(_PORT_TRIES - 1):
        try:
            return start()
        except ChildProcessError:
            server.port = free_port()
    return start()
