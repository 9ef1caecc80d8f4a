"""What a run runs on: the simulated fleet, the services, and a whole Selfheal, with its processes looked at from outside."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import redis

from benchmarks.scaling import processes
from benchmarks.scaling.database import Judge, PostgresJudge, SQLiteJudge, counting_options
from benchmarks.scaling.result import MEASURING, POSTGRES, REDIS, SELFHEAL, SIMULATOR
from benchmarks.scaling.simulator import Simulator, simulator
from tests.scenarios.stack import Stack
from tests.testbed.paths import PROJECT, new_folder
from tests.testbed.services import fresh_database, postgres_server, redis_server

CONNECTIONS = 600
"""PostgreSQL's max_connections."""

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Plan:
    """What to measure. `failing` is the share of all containers that fails each minute; `interval` and
    `health_interval` (of each HEALTHCHECK) in seconds.
    """

    containers: int
    hosts: int
    minutes: float = 10.0
    quiet_minutes: float = 2.0
    failing: float = 0.01
    mode: str = "production"
    interval: float = 10.0
    health_interval: float = 30.0
    seed: int = 1

    @property
    def labels(self) -> dict[str, str]:
        return {"selfheal.enable": "true", "selfheal.check_interval": f"{self.interval:g}"}


@dataclass(slots=True)
class Scene:
    """What runs, and how it is looked at. `around` are the processes beside Selfheal."""

    fleet: Simulator
    stack: Stack
    judge: Judge
    around: Mapping[str, int]
    broker: str
    embedded: bool

    @property
    def name(self) -> str:
        return SELFHEAL if self.embedded else ""

    @property
    def pid(self) -> int:
        assert self.stack.child is not None
        return self.stack.child.pid

    def processor(self) -> dict[str, float]:
        return dict(processes.processor(self.pid, self.name))

    def processor_around(self) -> dict[str, float]:
        """Of what is not Selfheal, this program included."""
        used = {name: processes.processor(pid, name).get(name, 0.0) for name, pid in self.around.items()}
        own = resource.getrusage(resource.RUSAGE_SELF)
        return used | {MEASURING: own.ru_utime + own.ru_stime}

    def broker_commands(self) -> int | None:
        if not self.broker:
            return None
        with redis.Redis.from_url(self.broker) as client:
            return int(client.info("stats")["total_commands_processed"])

    def memory(self) -> dict[str, float]:
        return {kind: size / 2**20 for kind, size in processes.resident(self.pid, self.name).items()}


@contextmanager
def opened(plan: Plan, say: Say) -> Iterator[tuple[Scene, float, float]]:
    """Everything started: the scene, the seconds that registering took, and when Selfheal was started."""
    with ExitStack() as exits:
        home = new_folder("scale")
        exits.callback(shutil.rmtree, home, ignore_errors=True)
        fleet = exits.enter_context(simulator(plan.hosts, plan.containers, plan.labels, plan.health_interval))
        environ, around = _services(plan, exits)
        seconds = _register(fleet.folder, home, environ)
        say(f"{plan.containers} containers on {plan.hosts} engines registered in {seconds:.1f} s")
        judge = _judge(home, environ)
        exits.callback(judge.close)
        stack = Stack(plan.mode, next(iter(fleet.addresses.values())), home, environ)
        exits.callback(stack.stop)
        begun = time.monotonic()
        stack.start()
        around = {**around, SIMULATOR: fleet.pid}
        broker = environ.get("CELERY_BROKER_URL", "")
        yield Scene(fleet, stack, judge, around, broker, plan.mode == "embedded"), seconds, begun


def _services(plan: Plan, exits: ExitStack) -> tuple[dict[str, str], dict[str, int]]:
    """The environment that names PostgreSQL and Redis, and their process ids; nothing in the embedded mode."""
    if plan.mode == "embedded":
        return {}, {}
    options = (*counting_options(), "-c", f"max_connections={CONNECTIONS}")
    postgres = exits.enter_context(postgres_server(durable=True, options=options))
    redis = exits.enter_context(redis_server())
    assert postgres.child is not None
    assert redis.child is not None
    environ = {
        "DATABASE_URL": exits.enter_context(fresh_database(postgres.url)),
        "CELERY_BROKER_URL": redis.url,
    }
    return environ, {POSTGRES: postgres.child.pid, REDIS: redis.child.pid}


def _judge(home: Path, environ: Mapping[str, str]) -> Judge:
    if url := environ.get("DATABASE_URL"):
        return PostgresJudge(url, bool(counting_options()))
    return SQLiteJudge(home / "selfheal.sqlite3")


def _register(folder: Path, home: Path, environ: Mapping[str, str]) -> float:
    """Seconds that it took."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("SELFHEAL_", "DJANGO_", "CELERY_"))}
    begun = time.monotonic()
    subprocess.run(
        [sys.executable, "-m", "benchmarks.scaling.registering", str(folder)],
        env={**kept, "SELFHEAL_HOME": str(home), "SELFHEAL_LOG_LEVEL": "WARNING", **environ},
        cwd=PROJECT,
        check=True,
        stdout=subprocess.DEVNULL,
    )
    return time.monotonic() - begun
