"""Whoever is measured: the floor, Selfheal in both modes, and any other healer by its command. One runs at a time."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from tests.scenarios.stack import MODES, Stack, running
from tests.testbed.paths import PROJECT, new_folder
from tests.testbed.process import Child
from tests.testbed.wait import until

STOP_TIMEOUT = 1
"""Seconds between TERM and KILL, the same for every healer."""
UNHEALTHY, DIE = "health_status: unhealthy", "die"
FLOOR, PEER = "floor", "peer"
LABELS = {
    "selfheal.enable": "true",
    "selfheal.stop_timeout": str(STOP_TIMEOUT),
    "autoheal": "true",
    "autoheal.stop.timeout": str(STOP_TIMEOUT),
}
"""What every measured container carries, whoever heals it."""


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
def healer(name: str, host: str, event: str = UNHEALTHY, peer: str = "", **environ: str) -> Iterator[Healer]:
    """Start one healer for the engine at `host`: a mode of Selfheal, the floor for `event`, or the command `peer`."""
    if name in MODES:
        with running(name, host, **environ) as stack:
            yield Selfheal(stack)
    elif name == FLOOR:
        command = [sys.executable, "-m", "benchmarks.floor", host, event, str(STOP_TIMEOUT)]
        with _script(command, {}, "ready") as script:
            yield script
    else:
        with _script(peer_command(peer), _peer_environment(host)) as script:
            yield script


def peer_command(peer: str) -> list[str]:
    """A path with arguments; a file that cannot be executed is given to the shell."""
    command = shlex.split(peer)
    if not command or not (Path(command[0]).is_file() or shutil.which(command[0])):
        raise SystemExit(
            f"--peer: there is no program {peer!r}; give the path of a script, with its arguments"
        )
    return command if shutil.which(command[0]) else ["sh", *command]


def _peer_environment(host: str) -> dict[str, str]:
    """Where the engine is, in Docker's words and in docker-autoheal's, with equal terms for what it may do."""
    return {
        "DOCKER_HOST": host,
        "DOCKER_SOCK": host.removeprefix("unix://"),
        "AUTOHEAL_CONTAINER_LABEL": "autoheal",
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
        child.stop(timeout=5)
        shutil.rmtree(folder, ignore_errors=True)
