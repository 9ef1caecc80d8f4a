"""One Selfheal in production mode as real processes, on a Redis, a PostgreSQL and engines of its own: all can be broken.

Whatever is judged is seen from outside: by the engines' proxies and events, by the receiver of the alerts, by PostgreSQL.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import redis

from tests.faults import audit
from tests.faults.hosts import Host, Target, new_target, watched_host
from tests.faults.installation import Installation
from tests.faults.orders import Orders
from tests.faults.sink import Sink, alert_sink
from tests.scenarios.stack import Stack
from tests.testbed import faults
from tests.testbed.engine import docker_engine
from tests.testbed.paths import new_folder
from tests.testbed.services import PostgresServer, RedisServer, postgres_server, redis_server
from tests.testbed.wait import until

FRESH = 6.0
"""Seconds that a sign of life may be old: the watchers' come every few seconds."""
CROWD = 8
_SEED = "FAULT_SEED"


def seed() -> int:
    """That of this run: given in FAULT_SEED, or drawn once and shown with every verdict."""
    if _SEED not in os.environ:
        os.environ[_SEED] = str(random.SystemRandom().randrange(1_000_000))
    return int(os.environ[_SEED])


@dataclass
class World:
    """A running installation. `begun` is the moment from which it is judged; `targets` are the containers made since."""

    hosts: list[Host]
    redis: RedisServer
    postgres: PostgresServer
    sink: Sink
    orders: Orders
    installation: Installation
    stack: Stack
    random: random.Random
    parts: list[str] = field(default_factory=list)
    begun: float = 0.0
    fault: str = ""
    targets: list[Target] = field(default_factory=list)
    bystanders: list[Target] = field(default_factory=list)

    @property
    def host(self) -> Host:
        """The first one, `local`."""
        return self.hosts[0]

    @property
    def database(self) -> str:
        return self.postgres.url

    def begin(self, fault: str) -> None:
        """A new fault is judged from now on: nothing of earlier ones counts, and it has random moments of its own."""
        self.fault, self.begun, self.targets = fault, time.time(), []
        self.random.seed(f"{seed()}:{fault}")
        print(f"{fault}: FAULT_SEED={seed()}")

    def web(self, name: str = "web", host: int = 0, **config: object) -> Target:
        """A healthy container that a restart cures; returned when Selfheal knows it as running."""
        return self._known(name, host, faults.WEB, faults.HEALTH_FILE, config)

    def plain(
        self, name: str, command: Sequence[str] = tuple(faults.IDLE), host: int = 0, **config: object
    ) -> Target:
        """A container without a HEALTHCHECK."""
        return self._known(name, host, list(command), None, config)

    def named(
        self, name: str, command: list[str], check: list[str], host: int = 0, **config: object
    ) -> Target:
        """A container with a command and a HEALTHCHECK of its own, which has passed."""
        return self._known(name, host, command, check, config)

    def _known(
        self, name: str, host: int, command: list[str], check: list[str] | None, config: dict[str, Any]
    ) -> Target:
        target = new_target(self.hosts[host], f"{name}-{len(self.targets)}", command, check, **config)
        if check:
            target.host.made.wait_health(target.id, "healthy", timeout=30)
        self.wait_known(target)
        self.targets.append(target)
        return target

    def crowd(self, number: int, host: int = 0) -> list[Target]:
        """So many idle containers, returned when all are known."""
        made = [
            new_target(self.hosts[host], f"crowd{index}", list(faults.IDLE), None) for index in range(number)
        ]
        for target in made:
            self.wait_known(target)
        return made

    def wait_known(self, target: Target, timeout: float = 40) -> None:
        self.stack.wait_known(target.name, timeout=timeout)

    def wait_ready(self, timeout: float = 60) -> None:
        """Until beat ticks, every engine's events are watched, and each worker answers."""
        wanted = {"beat", *(f"watch:{host.name}" for host in self.hosts)}
        until(lambda: wanted <= self._fresh_signs(), timeout, f"{wanted} show signs of life\n{self.log()}")

    def _fresh_signs(self) -> set[str]:
        oldest = time.time() - FRESH
        rows = self.stack.rows("SELECT name, extract(epoch FROM at) AS at FROM healing_heartbeat")
        return {row["name"] for row in rows if float(row["at"]) > oldest}

    def moment(self, longest: float) -> None:
        """Let a random time pass, from this fault's own seed."""
        pause = self.random.uniform(0.0, longest)
        end = time.monotonic() + pause
        until(lambda: time.monotonic() >= end, pause + 5, "the random moment has come")

    def sleep(self, seconds: float) -> None:
        """Let a fault last, while everybody else goes on."""
        end = time.monotonic() + seconds
        until(lambda: time.monotonic() >= end, seconds + 5, "the fault has lasted", interval=0.1)

    def backlog(self) -> int:
        """Messages that wait in the broker."""
        with redis.Redis.from_url(self.redis.url, socket_timeout=5) as client:
            names = [name for name in client.scan_iter(count=1000) if client.type(name) == b"list"]
            return sum(int(client.llen(name)) for name in names)

    def open_failures(self) -> list[dict[str, Any]]:
        """Records that are open, of this fault's targets."""
        names = [target.name for target in self.targets]
        rows = self.stack.rows("SELECT * FROM healing_failurerecord WHERE resolved_at IS NULL AND is_found")
        return [row for row in rows if row["container_name"] in names]

    def restore(self) -> None:
        """After a fault: everything answers, no order or rule stands, its containers are gone."""
        self.orders.withdraw_all()
        self.sink.status, self.sink.on_receipt = 204, None
        for host in self.hosts:
            for rule in host.proxy.rules:
                if rule.hold is not None:
                    rule.hold.set()
            host.proxy.rules.clear()
        self._restore_parts()
        for target in self.targets:
            with contextlib.suppress(Exception):
                target.host.made.client.remove_container(target.id, force=True)
        self.targets = []
        self.wait_ready()

    def _restore_parts(self) -> None:
        """All that belong to it run as they were started first; further ones are gone."""
        installation = self.installation
        installation.resume()
        installation.let_go(*(set(installation.running()) - set(self.parts)))
        changed = [part for part in installation.running() if installation.own_variables(part)]
        if changed:
            installation.restart(*changed)
        for part in set(self.parts) - set(installation.running()):
            installation.start(part)

    def log(self) -> str:
        return self.installation.log()


@contextmanager
def running_world(
    engines: int = 1,
    *,
    second: Sequence[str] = (),
    web: bool = False,
    bystanders: int = 1,
    crowd: int = CROWD,
) -> Iterator[World]:
    """A started world (10 to 20 s). `second`: parts that run twice, such as "worker-heal".

    Each engine has healthy bystanders, and a crowd of idle ones, so that a few that fail are not most of its host.
    """
    with ExitStack() as services:
        home = new_folder("world")
        services.callback(shutil.rmtree, home, ignore_errors=True)
        hosts = [_host(services, number) for number in range(engines)]
        # Durable: what a crash of the server may lose is a part of what is tested.
        postgres = services.enter_context(
            postgres_server(durable=True, options=("-c", "max_connections=300"))
        )
        broker = services.enter_context(redis_server())
        sink = services.enter_context(alert_sink())
        orders = Orders(home / "orders")
        environ = {
            "DATABASE_URL": postgres.url,
            "CELERY_BROKER_URL": broker.url,
            "DOCKER_HOST": hosts[0].address,
            **orders.environ,
        }
        installation = Installation(home, environ, web)
        services.callback(installation.stop)
        stack = Stack("production", hosts[0].address, home, environ)
        world = World(hosts, broker, postgres, sink, orders, installation, stack, random.Random(seed()))
        _start(world, second)
        for host in range(engines):
            world.bystanders += [world.web(f"bystander{number}", host) for number in range(bystanders)]
            world.bystanders += world.crowd(crowd, host)
        world.targets = []
        yield world


def _host(services: ExitStack, number: int) -> Host:
    engine = services.enter_context(docker_engine(f"world{number}"))
    return services.enter_context(watched_host("local" if not number else f"host-{number + 1}", engine))


def _start(world: World, second: Sequence[str]) -> None:
    installation = world.installation
    installation.prepare([(host.name, host.address) for host in world.hosts[1:]], world.sink.url)
    audit.install(world.database)
    installation.start_all()
    for part in second:
        installation.start(f"{part}-2")
    world.parts = installation.running()
    world.wait_ready(timeout=90)
    world.begun = time.time()
