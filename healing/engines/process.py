"""The built-in engine: real local processes, of its own commands only, in a folder (`process:///absolute/folder`).

Each process has a supervisor of its own (process_shim), as a container has: processes outlive us, and their exit
codes, output, health and events are kept while nobody looks.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from healing.core.errors import (
    ActionFailed,
    ActionTimedOut,
    ContainerNotFound,
    EngineConflict,
    EngineUnreachable,
    PermanentError,
    TemporaryError,
)
from healing.core.events import IN_FLIGHT, EventStream
from healing.core.ports import EngineConfig
from healing.core.types import EngineInfo, Event, EventKind, ExecResult, Snapshot, Summary
from healing.engines.address import parse_address
from healing.engines.process_command import run_command
from healing.engines.process_events import append_event, tail_events
from healing.engines.process_identity import is_alive
from healing.engines.process_output import last_lines
from healing.engines.process_snapshot import snapshot, summary
from healing.engines.process_spec import ProcessSpec, base_environment
from healing.engines.process_store import ProcessFolder, ProcessStore

__all__ = ["ProcessEngine", "ProcessSpec"]

VERSION = "1"
DEFAULT_STOP_TIMEOUT = 10.0

_ROOT = Path(__file__).resolve().parents[2]
_POLL = 0.01
_LOOK_FOR_LOST = 1.0
_SPAWN_PATIENCE = 3.0


class ProcessEngine:
    """The processes of one folder. Several objects, also in several processes of ours, may use it at once."""

    def __init__(self, config: EngineConfig) -> None:
        self._store = ProcessStore(Path(parse_address(config.address).path))
        self._timeout = config.timeout
        self._streams: set[threading.Event] = set()

    @property
    def folder(self) -> Path:
        """Where everything of this engine is."""
        return self._store.folder

    def info(self) -> EngineInfo:
        return EngineInfo(
            "process", VERSION, name=os.uname().nodename, containers=len(list(self._store.all()))
        )

    def list(self) -> Sequence[Summary]:
        rows = []
        for process in self._store.all():
            with contextlib.suppress(ContainerNotFound):  # removed this moment
                rows.append(summary(process, process.spec(), self._store.state(process)))
        return rows

    def inspect(self, container_id: str) -> Snapshot:
        process = self._store.find(container_id)
        return snapshot(process, process.spec(), self._store.state(process))

    def create(self, spec: ProcessSpec) -> str:
        """A new process, not started; its id. Raise ConfigError for a name in use."""
        return self._store.create(spec).id

    def remove(self, container_id: str) -> None:
        """Forget a process that does not run. Raise EngineConflict for one that does."""
        process = self._store.find(container_id)
        if self._store.state(process).status in ("running", "restarting"):
            raise EngineConflict(f"{container_id} is running: stop it before it is removed")
        self._store.remove(process)

    def start(self, container_id: str, deadline: float) -> None:
        self._start(self._store.find(container_id), time.monotonic() + deadline, 0.0)

    def restart(self, container_id: str, stop_timeout: float, deadline: float) -> None:
        process, until = self._store.find(container_id), time.monotonic() + deadline
        if not self._ask(process, {"do": "restart", "timeout": stop_timeout}, until):
            self._start(process, until, stop_timeout, replace=True)
            append_event(self._store.folder, EventKind.RESTART, process.id, process.spec())

    def recreate(
        self, container_id: str, network_mode: str | None, stop_timeout: float, deadline: float
    ) -> str:
        """Raise PermanentError: a process has nothing that a restart does not make anew."""
        name = self._store.find(container_id).spec().name
        raise PermanentError(f"{name} is a process, of which there is nothing to make anew: restart it")

    def stop(self, container_id: str, stop_timeout: float | None = None) -> None:
        """As a person's stop: kill, die and stop events; not started again by its restart policy."""
        process = self._store.find(container_id)
        own = process.spec().stop_timeout
        timeout = next((t for t in (stop_timeout, own) if t is not None), DEFAULT_STOP_TIMEOUT)
        self._ask(process, {"do": "stop", "timeout": timeout}, time.monotonic() + timeout + self._timeout)

    def kill(self, container_id: str, signal_number: int = signal.SIGKILL) -> None:
        """Send a signal through the engine: a kill event comes first."""
        process = self._store.find(container_id)
        if not self._ask(process, {"do": "kill", "signal": signal_number}, time.monotonic() + self._timeout):
            raise EngineConflict(f"{container_id} is not running")

    def logs(self, container_id: str, tail: int) -> Sequence[str]:
        process = self._store.find(container_id)
        return last_lines(process.log, process.old_log, tail)

    def exec(self, container_id: str, argv: Sequence[str], timeout: float) -> ExecResult:
        """Run a command beside the process: its environment and folder, as there is no inside."""
        process = self._store.find(container_id)
        if self._store.state(process).status != "running":
            raise EngineConflict(f"exec in {container_id}: it is not running")
        spec = process.spec()
        try:
            result = run_command(argv, spec.environment(), spec.cwd or None, timeout)
        except (OSError, ValueError, IndexError) as error:
            raise PermanentError(f"exec in {container_id}: cannot run {list(argv)}: {error}") from error
        if result.exit_code is None:
            raise TemporaryError(f"exec in {container_id}: {' '.join(argv)[:100]!r} did not end in time")
        return ExecResult(result.exit_code, result.output)

    def events(self, since: datetime | None, idle_timeout: float) -> Iterator[Event]:
        self._store.open()
        closed = threading.Event()
        self._streams.add(closed)
        now = datetime.now(UTC)
        return EventStream(lambda stream: self._follow(min(since or now, now), closed, stream))

    def close(self) -> None:
        for closed in list(self._streams):
            closed.set()

    def _follow(self, since: datetime, closed: threading.Event, stream: EventStream) -> Iterator[Event]:
        """Events as they happen, looking now and then for processes that were lost unseen."""
        looked = 0.0
        try:
            for event in tail_events(self._store.folder, since, closed):
                if event is not None:
                    yield event
                elif time.monotonic() - looked > _LOOK_FOR_LOST:
                    looked = time.monotonic()
                    stream.told_until = datetime.now(UTC) - IN_FLIGHT
                    self._look_for_lost()
        except OSError as error:
            raise EngineUnreachable(f"the events of {self._store.folder} cannot be read: {error}") from error
        finally:
            self._streams.discard(closed)

    def _look_for_lost(self) -> None:
        if not self._store.folder.exists():
            raise EngineUnreachable(
                f"the folder {self._store.folder} is gone: its processes are not supervised"
            )
        for process in self._store.all():
            self._store.state(process)

    def _start(
        self, process: ProcessFolder, until: float, stop_timeout: float, replace: bool = False
    ) -> None:
        """Start a supervisor where there is none, else ask it. `replace` stops a process that runs without one."""
        with process.start_lock.open("ab") as lock:
            _lock(lock.fileno(), process, until)
            while process.is_supervised():  # one that is about to end does not answer
                if self._ask(process, {"do": "start"}, until):
                    return
                _pause(process, until)
            state = process.state()
            if replace or not is_alive(state.pid, state.mark):
                request = uuid.uuid4().hex
                _spawn(process, request, stop_timeout, until)
                if not self._wait(process, request, until, patience=_SPAWN_PATIENCE):
                    raise _spawn_failed(process)

    def _ask(self, process: ProcessFolder, body: dict[str, Any], until: float) -> bool:
        """Have the supervisor do it; False where there is none, or it ended first."""
        request = uuid.uuid4().hex
        try:
            fifo = os.open(process.requests, os.O_WRONLY | os.O_NONBLOCK)
        except OSError:
            return False
        try:
            os.write(fifo, json.dumps({"request": request, **body}).encode() + b"\n")
        except OSError:
            return False
        finally:
            os.close(fifo)
        return self._wait(process, request, until)

    def _wait(self, process: ProcessFolder, request: str, until: float, patience: float = 0.0) -> bool:
        """Wait for the answer; False where the supervisor is gone (or has not come within `patience`) without one.

        Raise ActionFailed with the answer's error, ActionTimedOut when there is no answer in time.
        """
        patient_until = time.monotonic() + patience
        while True:
            gone = not process.is_supervised() and time.monotonic() >= patient_until
            answer = process.state().answers.get(request)
            if answer:
                raise ActionFailed(f"{process.spec().name}: {answer}")
            if answer is not None or gone:
                return answer is not None
            _pause(process, until)


def _pause(process: ProcessFolder, until: float) -> None:
    if time.monotonic() >= until:
        raise ActionTimedOut(f"{process.spec().name}: no answer from its supervisor in time")
    time.sleep(_POLL)


def _lock(lock: int, process: ProcessFolder, until: float) -> None:
    """Take the start lock; another start of the same process may hold it."""
    while True:
        try:
            return fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _pause(process, until)


def _spawn(process: ProcessFolder, request: str, stop_timeout: float, until: float) -> None:
    """Start a supervisor; its parent part ends at once, so that nothing of it is left to collect here."""
    command = [
        sys.executable,
        "-m",
        "healing.engines.process_shim",
        str(process.path),
        request,
        str(stop_timeout),
    ]
    environment = {**base_environment(), "PYTHONPATH": str(_ROOT)}
    with (process.path / "supervisor.log").open("ab") as log:
        parent = subprocess.Popen(
            command,
            cwd=_ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        code = parent.wait(max(0.1, until - time.monotonic()))
    except subprocess.TimeoutExpired as error:
        raise ActionTimedOut(f"{process.spec().name}: its supervisor did not start in time") from error
    if code:
        raise _spawn_failed(process)


def _spawn_failed(process: ProcessFolder) -> ActionFailed:
    return ActionFailed(
        f"{process.spec().name}: its supervisor did not start: see {process.path}/supervisor.log"
    )
