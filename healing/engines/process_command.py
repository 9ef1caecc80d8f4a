"""One command, run to its end or its timeout, with its output kept short: health commands and exec."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from healing.core.wording import storable

OUTPUT_LIMIT = 4096

_TICK = 0.05


@dataclass(frozen=True, slots=True)
class CommandResult:
    """`exit_code` is None where the command did not end in time; it and its children are killed then."""

    exit_code: int | None
    output: str


def run_command(
    argv: Sequence[str],
    env: Mapping[str, str],
    cwd: str | None,
    timeout: float,
    cancelled: threading.Event | None = None,
) -> CommandResult:
    """Run `argv` in a session of its own. Raise OSError where it cannot be started."""
    until = time.monotonic() + timeout
    process = subprocess.Popen(
        list(argv),
        env=dict(env),
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    with process:
        try:
            output = _read_until_end(process, until, cancelled)
            ended = not (cancelled and cancelled.is_set()) and _wait(process, until)
        finally:
            end_group(process)
    text = storable(output.decode("utf-8", "replace"))
    return CommandResult(shell_code(process.returncode) if ended else None, text)


def shell_code(returncode: int) -> int:
    """An exit code as shells and engines write it: 128 + the signal's number for a signal."""
    return returncode if returncode >= 0 else 128 - returncode


def end_group(process: subprocess.Popen[bytes]) -> None:
    """Kill what is left of the process's group, and collect the process itself."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _read_until_end(
    process: subprocess.Popen[bytes], until: float, cancelled: threading.Event | None
) -> bytes:
    """Output until it ends, the command has ended and is quiet, the time is over, or the run is cancelled."""
    assert process.stdout is not None
    kept = bytearray()
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while (left := until - time.monotonic()) > 0 and not (cancelled and cancelled.is_set()):
            if not selector.select(min(left, _TICK)):
                if process.poll() is not None:
                    break
                continue
            data = os.read(process.stdout.fileno(), 65536)
            if not data:
                break
            kept += data[: OUTPUT_LIMIT - len(kept)]
    return bytes(kept)


def _wait(process: subprocess.Popen[bytes], until: float) -> bool:
    try:
        process.wait(max(0.0, until - time.monotonic()))
    except subprocess.TimeoutExpired:
        return False
    return True
