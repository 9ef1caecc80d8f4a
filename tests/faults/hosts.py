"""The engines of a world: each a real dockerd, its requests and its events written down, and its containers."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import docker

from tests.scenarios.labels import quick
from tests.testbed import faults
from tests.testbed.containers import Containers, healthcheck
from tests.testbed.engine import Engine
from tests.testbed.proxy import Asked, EngineProxy, Rule

DEEDS = ("start", "restart", "die", "kill", "stop", "destroy", "pause", "unpause")
CHECK_EVERY = 2
HEALTH_EVERY = 1.0
HEALTH_TIMEOUT = 15.0
"""Seconds: on a machine that is busy with the fault, a command may take long, and its container is healthy all the same."""


@dataclass(frozen=True, slots=True)
class Deed:
    """What the engine says was done to a container, at `at` (its clock, seconds since 1970)."""

    at: float
    action: str
    container: str


class Chronicle:
    """Follows an engine's own events, from its start on; goes on where it was when the engine comes back."""

    def __init__(self, host: str) -> None:
        self.host = host
        self.deeds: list[Deed] = []
        self._noted: set[Deed] = set()
        self._since = time.time()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="chronicle", daemon=True)
        self._thread.start()

    def of(self, container: str, since: float = 0.0) -> list[Deed]:
        """By full engine id."""
        return [deed for deed in self.deeds if deed.container == container and deed.at >= since]

    def close(self) -> None:
        self._ended.set()

    def _follow(self) -> None:
        while not self._ended.is_set():
            with contextlib.suppress(Exception), contextlib.closing(self._client()) as client:
                for event in self._events(client):
                    self._note(event)
                    if self._ended.is_set():
                        return
            self._ended.wait(0.2)

    def _client(self) -> docker.APIClient:
        return docker.APIClient(base_url=self.host, version="auto", timeout=3600)

    def _events(self, client: docker.APIClient) -> Iterator[dict[str, Any]]:
        wanted = {"type": "container", "event": list(DEEDS)}
        yield from client.events(since=int(self._since), decode=True, filters=wanted)

    def _note(self, event: dict[str, Any]) -> None:
        deed = Deed(event["timeNano"] / 1e9, event["Action"], event["id"])
        self._since = max(self._since, deed.at)
        if deed not in self._noted:  # after a reconnect the last second comes again
            self._noted.add(deed)
            self.deeds.append(deed)


@dataclass
class Late(Rule):
    """Keeps the request itself back until `forwarded` is set: the engine gets it late, and answers all others meanwhile."""

    forwarded: threading.Event = field(default_factory=threading.Event)


class Proxy(EngineProxy):
    """The testbed's, which keeps back answers; this one keeps back requests as well."""

    def _relay(self, client: socket.socket, request: bytes, rule: Rule | None) -> None:
        if isinstance(rule, Late):
            rule.forwarded.wait(120)
        super()._relay(client, request, rule)


@dataclass
class Host:
    """`address` is where Selfheal asks; `engine.host` is the engine itself, for tests. `name` is the host's row."""

    name: str
    engine: Engine
    proxy: EngineProxy
    chronicle: Chronicle
    made: Containers

    @property
    def address(self) -> str:
        return self.proxy.host

    def asked(self, pattern: str, since: float = 0.0) -> list[Asked]:
        """What Selfheal asked of this engine, by "METHOD /path"."""
        return [
            asked for asked in list(self.proxy.asked) if asked.at >= since and re.search(pattern, asked.line)
        ]

    def calls(self, since: float = 0.0, ids: str = "[0-9a-zA-Z_.-]+") -> list[Asked]:
        """Starts and restarts that Selfheal asked for."""
        return self.asked(rf"^POST \S*/containers/({ids})/(re)?start[? ]", since)


@dataclass
class Target:
    """A supervised container. `ids` are the engine ids that it has had; `broken_at` is 0 as long as nobody broke it."""

    name: str
    host: Host
    ids: list[str]
    labels: dict[str, str]
    broken_at: float = 0.0
    started_at: str = ""

    @property
    def id(self) -> str:
        return self.ids[-1]

    @property
    def max_restarts(self) -> int:
        return int(self.labels.get("selfheal.max_restarts", "3"))

    @property
    def restart_window(self) -> float:
        return float(self.labels.get("selfheal.restart_window", "300"))

    def exec(self, command: list[str]) -> tuple[int, str]:
        return self.host.made.exec(self.id, command)

    def state(self) -> dict[str, Any]:
        return self.host.made.state(self.id)

    def is_there(self) -> bool:
        try:
            return bool(self.state())
        except docker.errors.NotFound:
            return False

    def break_health(self) -> None:
        """Its HEALTHCHECK fails from now on; a restart cures that."""
        self._note_break()
        self.exec(faults.BREAK_HEALTH)

    def crash(self) -> None:
        """Its main process is killed past the engine; a start cures that."""
        self._note_break()
        self.host.made.kill_from_outside(self.id)

    def _note_break(self) -> None:
        self.started_at = self.state()["StartedAt"]
        self.broken_at = time.time()

    def is_cured(self) -> bool:
        """Whether the engine says that it runs again, was started since it broke, and is healthy."""
        if not self.is_there():
            return False
        state = self.state()
        health = (state.get("Health") or {}).get("Status", "healthy")
        return bool(state["Running"]) and state["StartedAt"] != self.started_at and health == "healthy"

    def calls(self, since: float = 0.0) -> list[Asked]:
        """Starts and restarts of it that Selfheal asked for."""
        return self.host.calls(since, "|".join([*self.ids, re.escape(self.name)]))

    def deeds(self, *actions: str, since: float = 0.0) -> list[Deed]:
        """What the engine says was done to it, by whomever."""
        found = [deed for one in self.ids for deed in self.host.chronicle.of(one, since)]
        return sorted((d for d in found if not actions or d.action in actions), key=lambda deed: deed.at)


def new_target(
    host: Host, name: str, command: list[str], check: list[str] | None, **config: object
) -> Target:
    """Create and start a container that Selfheal supervises; `config` are fields of its healing config."""
    labels = quick(**{"check_interval": CHECK_EVERY, "restart_window": 600, "max_restarts": 5, **config})
    health = healthcheck(check, interval=HEALTH_EVERY, timeout=HEALTH_TIMEOUT) if check else None
    made = host.made.run(name, command, labels=labels, healthcheck=health)
    return Target(host.made.name(name), host, [made], labels)


@contextmanager
def watched_host(name: str, engine: Engine) -> Iterator[Host]:
    """The engine behind a proxy that writes requests down, with its chronicle."""
    proxy = Proxy(engine.host, engine.folder / "proxy.sock")
    proxy.start()
    made, chronicle = Containers(engine.host), Chronicle(engine.host)
    try:
        yield Host(name, engine, proxy, chronicle, made)
    finally:
        chronicle.close()
        with contextlib.suppress(Exception):
            made.remove_all()
        proxy.stop()
