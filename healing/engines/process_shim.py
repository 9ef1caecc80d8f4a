"""The supervisor's program: `python -m healing.engines.process_shim FOLDER REQUEST STOP_TIMEOUT`.

It outlives whoever started it, as a container engine's does, and ends when its process has ended for good.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import sys
import time
from pathlib import Path
from types import FrameType

from healing.engines.process_store import ProcessFolder
from healing.engines.process_supervisor import Supervisor

LOCK_PATIENCE = 2.0


def main(arguments: list[str]) -> int:
    """Become a daemon, take the process's lock, and supervise."""
    process, request, stop_timeout = ProcessFolder(Path(arguments[0])), arguments[1], float(arguments[2])
    if os.fork():
        os._exit(0)
    os.chdir("/")
    with process.supervisor_lock.open("ab") as lock:
        if not _take(lock.fileno()):
            return 3
        requests = os.open(process.requests, os.O_RDWR | os.O_NONBLOCK)
        _drain(requests)
        _supervise(process, requests, request, stop_timeout)
    return 0


def _supervise(process: ProcessFolder, requests: int, request: str, stop_timeout: float) -> None:
    wake, wake_write = os.pipe()
    os.set_blocking(wake_write, False)
    signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, _note)
    signal.signal(signal.SIGTERM, lambda *_: _ask_to_stop(process, requests))
    supervisor = Supervisor(process, wake_write)
    supervisor.begin(request, stop_timeout)
    while not supervisor.over:
        supervisor.step(requests, wake)
    supervisor.close()


def _take(lock: int) -> bool:
    """The lock, for life. Readers hold it for an instant each to see whether it is free."""
    until = time.monotonic() + LOCK_PATIENCE
    while True:
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        if time.monotonic() > until:
            return False
        time.sleep(0.005)


def _drain(requests: int) -> None:
    """Requests left by those who asked a supervisor that is gone."""
    with contextlib.suppress(BlockingIOError):
        while os.read(requests, 65536):
            pass


def _note(_number: int, _frame: FrameType | None) -> None:
    """The wake-up byte is all that is wanted of the signal."""


def _ask_to_stop(process: ProcessFolder, requests: int) -> None:
    """SIGTERM: the machine goes down, so stop the process as an engine does."""
    timeout = process.spec().stop_timeout
    body = {"request": "", "do": "stop", "timeout": 10.0 if timeout is None else timeout}
    os.write(requests, json.dumps(body).encode() + b"\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
