"""Selfheal's processes, each started by itself, over one database, one broker and simulated engines."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from benchmarks.fleet.control import SOCKET, Control
from tests.testbed.paths import PROJECT, new_folder
from tests.testbed.process import Child
from tests.testbed.services import execute, fresh_database
from tests.testbed.shared import shared_postgres
from tests.testbed.wait import until

LABELS = {"selfheal.enable": "true", "selfheal.failure_threshold": "1"}
_ADD_HOSTS = """
import json, sys
from healing.models import Host
for name, address, queue in json.loads(sys.stdin.read()):
    host = Host(name=name, address=address, queue=queue)
    host.full_clean()
    host.save()
"""


class Fleet:
    """A simulator as a process of its own: `engines` engines, and the log of what they were asked."""

    def __init__(self, folder: Path, engines: int, containers: int, interval: float) -> None:
        self.folder = folder
        labels = {**LABELS, "selfheal.check_interval": f"{interval:g}"}
        command = [sys.executable, "-m", "benchmarks.fleet", "--dir", str(folder)]
        command += ["--engines", str(engines), "--containers", str(containers), "--health-interval", "2"]
        for name, value in labels.items():
            command += ["--label", f"{name}={value}"]
        self.names = [f"engine-{number:02}" for number in range(1, engines + 1)]
        self.child = Child(command, folder / "fleet.log", cwd=PROJECT)
        self.child.wait_ready(lambda: "ready" in self.child.tail(), timeout=60)

    def address(self, engine: str) -> str:
        return f"unix://{self.folder / engine}.sock"

    def do(self, command: str, **fields: Any) -> Any:
        with Control(self.folder / SOCKET) as control:
            return control.do(command, **fields)

    def container(self, engine: str, number: int = 0) -> str:
        return sorted(row["name"] for row in self.do("containers", engine=engine))[number]

    def asked(self, engine: str, method: str, ending: str) -> list[float]:
        """When this engine was asked so, in seconds since 1970; `ending` of the path, without its query."""
        self.do("dump", folder=str(self.folder))
        rows = [json.loads(line) for line in (self.folder / "requests.jsonl").read_text().splitlines()]
        return [
            row["at"]
            for row in rows
            if row["engine"] == engine
            and row["method"] == method
            and row["path"].partition("?")[0].endswith(ending)
        ]

    def lists(self, engine: str) -> list[float]:
        return self.asked(engine, "GET", "/containers/json")


class Parts:
    """The processes of one installation; those that still run are stopped at the end."""

    def __init__(self, home: Path, database: str, broker: str) -> None:
        self.home, self.database = home, database
        foreign = ("SELFHEAL_", "DJANGO_", "CELERY_", "DATABASE_URL", "DOCKER_HOST")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
        self.environ = {
            **kept,
            "SELFHEAL_HOME": str(home),
            "DATABASE_URL": database,
            "CELERY_BROKER_URL": broker,
            "DOCKER_HOST": f"unix://{home}/none.sock",
        }
        self.children: dict[str, Child] = {}

    def manage(self, *arguments: str, given: str = "") -> str:
        """Run a command of manage.py to its end; what it printed."""
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=PROJECT,
            env=self.environ,
            input=given,
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def prepare(self, hosts: Sequence[tuple[str, str, str]]) -> None:
        """Make the tables, and the hosts: (name, address, queue)."""
        self.manage("migrate", "--verbosity", "0")
        self.manage("shell", "--verbosity", "0", "-c", _ADD_HOSTS, given=json.dumps(list(hosts)))

    def start(self, name: str, *command: str) -> Child:
        """Start a process; a name that ran before is started anew."""
        log = self.home / f"{name}.log"
        child = Child([sys.executable, *command], log, env=self.environ, cwd=PROJECT)
        self.children[name] = child
        return child

    def worker(self, name: str, queues: str, threads: int = 8) -> Child:
        options = ["--pool=threads", f"--concurrency={threads}", "--without-mingle", "--without-gossip"]
        celery = ["-m", "celery", "-A", "selfheal_project", "-q", "worker"]
        return self.start(name, *celery, "-n", f"{name}@%h", "-Q", queues, *options)

    def beat(self, name: str) -> Child:
        return self.start(name, "-m", "celery", "-A", "selfheal_project", "-q", "beat", "--pidfile=")

    def watch(self, name: str, *options: str) -> Child:
        return self.start(name, "manage.py", "watch", *options)

    def stop(self) -> None:
        for child in self.children.values():
            child.send(15)
        for child in self.children.values():
            child.stop(timeout=20)

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        return execute(self.database, statement)

    def count(self, statement: str) -> int:
        return int(self.rows(f"SELECT count(*) FROM {statement}")[0][0])

    def wait(self, statement: str, number: int, timeout: float, what: str) -> None:
        """Until the statement (what follows SELECT count(*) FROM) counts so many."""

        def there() -> bool:
            return self.count(statement) == number

        try:
            until(there, timeout, what, interval=0.1)
        except AssertionError as error:
            raise AssertionError(f"{error}: {self.count(statement)} of {number}\n{self.tails()}") from error

    def tails(self) -> str:
        return "\n".join(f"--- {name}\n{child.tail(1200)}" for name, child in self.children.items())


@contextmanager
def parts_over(broker: str) -> Iterator[Parts]:
    """An installation over this broker and a database of its own; nothing of it runs yet."""
    with ExitStack() as services:
        home = new_folder("many")
        services.callback(shutil.rmtree, home, ignore_errors=True)
        database = services.enter_context(fresh_database(services.enter_context(shared_postgres())))
        parts = Parts(home, database, broker)
        services.callback(parts.stop)
        yield parts


@contextmanager
def fleet_of(engines: int, containers: int, interval: float) -> Iterator[Fleet]:
    folder = new_folder("many-fleet")
    fleet = Fleet(folder, engines, containers, interval)
    try:
        yield fleet
    finally:
        fleet.child.stop()
        shutil.rmtree(folder, ignore_errors=True)
