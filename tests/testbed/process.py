"""One child process of the testbed: started, awaited, stopped, and never left behind."""

from __future__ import annotations

import contextlib
import ctypes
import os
import random
import signal
import socket
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tests.testbed.wait import NotInTimeError, until

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None)


_PORTS = range(20_000, 32_000)
"""Below those that the kernel gives to outgoing connections: there one that is free now may be taken before it is used."""


def free_port() -> int:
    """A TCP port on 127.0.0.1 that nobody listens on at this moment."""
    for port in random.SystemRandom().sample(_PORTS, 50):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise RuntimeError(f"none of 50 ports from {_PORTS.start} to {_PORTS.stop} is free")


class Child:
    """A running program whose output goes to `log`; the kernel ends it when the thread that started it ends."""

    def __init__(
        self, command: Sequence[str], log: Path, stop_signal: int = signal.SIGTERM, **options: Any
    ) -> None:
        self.name = Path(command[0]).name
        self.log = log
        self.stop_signal = stop_signal
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                preexec_fn=_end_with_parent(stop_signal),
                **options,
            )

    @property
    def pid(self) -> int:
        return self.process.pid

    def running(self) -> bool:
        return self.process.poll() is None

    def wait_ready(self, ready: Callable[[], object], timeout: float = 30) -> None:
        """Poll `ready()`; at once an error with the log's end when the program has ended."""

        def ready_or_ended() -> bool:
            return not self.running() or bool(ready())

        try:
            until(ready_or_ended, timeout, f"{self.name} ready", interval=0.02)
        except NotInTimeError as error:
            raise NotInTimeError(f"{error}; its log ends:\n{self.tail()}") from error
        if not self.running():
            raise ChildProcessError(
                f"{self.name} ended with status {self.process.returncode}; its log ends:\n{self.tail()}"
            )

    def tail(self, size: int = 1500) -> str:
        return self.log.read_text(errors="replace")[-size:] if self.log.exists() else ""

    def send(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(number)

    def stop(self, timeout: float = 15) -> None:
        """The gentle signal, then SIGKILL; returns when the process is gone."""
        self.send(signal.SIGCONT)
        self.send(self.stop_signal)
        try:
            self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


def _end_with_parent(number: int) -> Callable[[], None]:
    parent = os.getpid()

    def in_child() -> None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, number)
        if os.getppid() != parent:
            os._exit(1)

    return in_child
