"""Whoever is measured: the floor, Selfheal in both modes, and any other healer by its command. One runs at a time."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import shutil
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from tests.scenarios.stack import MODES, Stack, running
from tests.testbed.paths import PROJECT, new_folder
from tests.testbed.process import Child
from tests.testbed.wait import until

STOP_TIMEOUT = 1
"""Seconds between TERM and KILL, the same for every healer."""
UNHEALTHY, DIE = "health_status: unhealthy", "die"
FLOOR = "floor"
LABELS = {
    "selfheal.enable": "true",
    "selfheal.stop_timeout": str(STOP_TIMEOUT),
    "autoheal": "true",
    "autoheal.stop.timeout": str(STOP_TIMEOUT),
}
"""What every measured container carries, whoever heals it."""
_NAMED = re.compile(r"([\w ,.-]+): ")


@dataclass(frozen=True, slots=True)
class Peer:
    """Another healer: its name in the result, its command, and what it finds in its environment."""

    name: str
    command: tuple[str, ...]
    environ: Mapping[str, str] = field(default_factory=dict)


class Healer(Protocol):
    """A healer that runs."""

    @property
    def pid(self) -> int: ...

    def wait_known(self, name: str) -> None:
        """Until this container is supervised and has been found healthy."""

    def wait_settled(self, name: str) -> None:
        """Until nothing more is done about its failure."""


class Selfheal:
    """Selfheal, asked through its database."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack

    @property
    def pid(self) -> int:
        assert self.stack.child is not None
        return self.stack.child.pid

    def wait_known(self, name: str) -> None:
        until(lambda: self.stack.status(name).get("status") == "healthy", 20, f"{name} is known as healthy")

    def wait_all_known(self, prefix: str, number: int, timeout: float = 90) -> None:
        """Until so many containers whose names begin so are known as healthy."""
        query = (
            "SELECT count(*) AS n FROM healing_healthstatus h JOIN healing_container c ON c.id = h.container_id"
            " WHERE h.status = 'healthy' AND c.name LIKE ?"
        )
        what = f"{number} containers {prefix}… are known as healthy"
        until(lambda: self.stack.rows(query, f"{prefix}%")[0]["n"] == number, timeout, what, interval=0.2)

    def window(self) -> float:
        """How many heals the engine's host may have under way or not yet verified."""
        return float(self.stack.rows("SELECT heal_window FROM healing_host")[0]["heal_window"])

    def wait_settled(self, name: str) -> None:
        until(lambda: self.stack.found(name).get("resolved_at"), 30, f"the failure of {name} is closed")


class Script:
    """A program that says nothing about what it knows: once it runs, it watches everything."""

    def __init__(self, child: Child) -> None:
        self.pid = child.pid

    def wait_known(self, name: str) -> None:
        return None

    def wait_settled(self, name: str) -> None:
        return None


@contextmanager
def healer(
    name: str, host: str, event: str = UNHEALTHY, peers: Sequence[Peer] = (), threads: int = 1, **environ: str
) -> Iterator[Healer]:
    """Start one healer for the engine at `host`: a mode of Selfheal, the floor for `event`, or one of `peers`.

    `threads` are the floor's; `environ` is Selfheal's.
    """
    if name in MODES:
        with running(name, host, **environ) as stack:
            yield Selfheal(stack)
        return
    if name == FLOOR:
        command = [sys.executable, "-m", "benchmarks.floor", host, event, str(STOP_TIMEOUT), str(threads)]
        started = _script(command, {}, "ready")
    else:
        peer = next(one for one in peers if one.name == name)
        started = _script(peer.command, {**_peer_environment(host), **peer.environ})
    with started as script:
        yield script


def read_peer(text: str) -> Peer:
    """`[NAME: ][VARIABLE=VALUE …] PROGRAM [ARGUMENT …]`; a file that cannot be executed is given to the shell.

    SystemExit says which program is not there.
    """
    named = _NAMED.match(text)
    words = shlex.split(text[named.end() :] if named else text)
    environ = {}
    while words and _is_assignment(words[0]):
        variable, _, environ[variable] = words.pop(0).partition("=")
    if not words or not (Path(words[0]).is_file() or shutil.which(words[0])):
        raise SystemExit(
            f"--peer {text!r}: there is no program {words[0] if words else ''!r}; "
            "give NAME: VARIABLE=VALUE PROGRAM ARGUMENT, of which only the program is needed"
        )
    command = words if shutil.which(words[0]) else ["sh", *words]
    path = next((word for word in words if "/" in word), words[0])
    return Peer(named[1] if named else Path(path).name, tuple(command), environ)


def _is_assignment(word: str) -> bool:
    variable, equals, _ = word.partition("=")
    return bool(equals) and variable.isidentifier()


def _peer_environment(host: str) -> dict[str, str]:
    """Where the engine is, in Docker's words and in docker-autoheal's, with equal terms for what it may do."""
    return {
        "DOCKER_HOST": host,
        "DOCKER_SOCK": host.removeprefix("unix://"),
        "AUTOHEAL_CONTAINER_LABEL": "all",
        "AUTOHEAL_DEFAULT_STOP_TIMEOUT": str(STOP_TIMEOUT),
    }


@contextmanager
def _script(command: Sequence[str], environ: dict[str, str], ready: str = "") -> Iterator[Script]:
    folder = new_folder("bench")
    child = Child(command, folder / "log", cwd=PROJECT, env={**os.environ, **environ}, start_new_session=True)
    try:
        child.wait_ready(lambda: ready in child.tail())
        yield Script(child)
        if not child.running():
            raise SystemExit(f"{command} ended by itself; its output ends:\n{child.tail()}")
    finally:
        _kill_group(child)
        shutil.rmtree(folder, ignore_errors=True)


def _kill_group(child: Child) -> None:
    """A script's children would go on restarting containers without it."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.kill()
