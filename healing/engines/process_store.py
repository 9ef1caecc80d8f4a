"""The folder of a process engine: one subfolder a process, holding its spec, its state, its output and its locks."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import uuid
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from healing.core.errors import ConfigError, ContainerNotFound, EngineRefused
from healing.core.types import EventKind
from healing.engines.process_events import append_event
from healing.engines.process_identity import is_alive
from healing.engines.process_spec import ProcessSpec, parse_spec

LOG_LIMIT = 1_000_000
LOST_EXIT_CODE = 255
SHORT_ID = 12


@dataclass(slots=True)
class ProcessState:
    """What a supervisor knows of its process; times are ISO texts. `answers` maps requests to "" or an error."""

    status: str = "created"
    pid: int = 0
    mark: str = ""
    started_at: str = ""
    finished_at: str = ""
    exit_code: int = 0
    error: str = ""
    restart_count: int = 0
    health: str = ""
    health_log: list[dict[str, Any]] = field(default_factory=list)
    answers: dict[str, str] = field(default_factory=dict)


class ProcessFolder:
    """One process's files. Its state is written by its supervisor alone, which holds `supervisor.lock` while it lives."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.id = path.name
        self.log = path / "output.log"
        self.old_log = path / "output.1.log"
        self.requests = path / "requests"
        self.supervisor_lock = path / "supervisor.lock"
        self.start_lock = path / "start.lock"

    def spec(self) -> ProcessSpec:
        file = self.path / "spec.json"
        try:
            return parse_spec(json.loads(file.read_text(encoding="utf-8")))
        except FileNotFoundError as error:
            raise ContainerNotFound(f"No such process: {self.id}") from error
        except ValueError as error:  # ConfigError is one
            field_name = error.field if isinstance(error, ConfigError) else "spec"
            raise ConfigError(field_name, f"{file}: {error}") from error

    def created_at(self) -> datetime:
        return datetime.fromtimestamp((self.path / "spec.json").stat().st_mtime, UTC)

    def state(self) -> ProcessState:
        """As last written; a fresh state where there is none, or where it cannot be read."""
        try:
            body = json.loads((self.path / "state.json").read_bytes())
            return ProcessState(
                **{part.name: body[part.name] for part in fields(ProcessState) if part.name in body}
            )
        except (OSError, ValueError, TypeError):
            return ProcessState()

    def write_state(self, state: ProcessState) -> None:
        write_atomically(self.path / "state.json", asdict(state))

    def is_supervised(self) -> bool:
        """Whether a supervisor lives: it holds its lock."""
        try:
            with self.supervisor_lock.open("rb") as lock:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except FileNotFoundError:
            return False
        except BlockingIOError:
            return True
        return False


class ProcessStore:
    """All processes of one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def open(self) -> None:
        """Make the folder if need be; raise EngineRefused where it cannot be used."""
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not os.access(self.folder, os.R_OK | os.W_OK | os.X_OK):
                raise PermissionError("no permission to read and write it")
        except OSError as error:
            reason = error.strerror or error
            raise EngineRefused(
                f"the folder {self.folder} cannot be used ({reason}): choose one of your own"
            ) from error

    def all(self) -> Iterator[ProcessFolder]:
        """Every process, oldest first."""
        self.open()
        found = [spec.parent for spec in self.folder.glob("*/spec.json")]
        return iter(ProcessFolder(path) for path in sorted(found, key=_age))

    def find(self, process_id: str) -> ProcessFolder:
        """By id, name, or the beginning of an id (12 characters and more)."""
        self.open()
        if process_id.isalnum() and (self.folder / process_id / "spec.json").exists():
            return ProcessFolder(self.folder / process_id)
        for process in self.all():
            if process.spec().name == process_id or (
                len(process_id) >= SHORT_ID and process.id.startswith(process_id)
            ):
                return process
        raise ContainerNotFound(f"No such process: {process_id}")

    def create(self, spec: ProcessSpec) -> ProcessFolder:
        if any(process.spec().name == spec.name for process in self.all()):
            raise ConfigError(
                "name", f"a process {spec.name!r} exists already: remove it first, or choose another"
            )
        process = ProcessFolder(self.folder / uuid.uuid4().hex)
        process.path.mkdir(mode=0o700)
        os.mkfifo(process.requests, 0o600)
        write_atomically(process.path / "spec.json", spec.to_json())
        append_event(self.folder, EventKind.CREATE, process.id, spec)
        return process

    def remove(self, process: ProcessFolder) -> None:
        spec = process.spec()
        shutil.rmtree(process.path)
        append_event(self.folder, EventKind.DESTROY, process.id, spec)

    def state(self, process: ProcessFolder) -> ProcessState:
        """The state as it is: a process whose supervisor has died is looked for by pid and start time."""
        state = process.state()
        if state.status not in ("running", "restarting") or process.is_supervised():
            return state
        with process.start_lock.open("ab") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:  # being started at this moment
                return state
            state = process.state()
            lost = state.status in ("running", "restarting") and not process.is_supervised()
            if lost and not is_alive(state.pid, state.mark):
                self._record_loss(process, state)
        return state

    def _record_loss(self, process: ProcessFolder, state: ProcessState) -> None:
        """It ended unseen (a reboot, a killed supervisor): the exit code is not known, as with an engine's crash."""
        state.status, state.exit_code, state.pid = "exited", LOST_EXIT_CODE, 0
        state.error = "it ended while nobody watched: exit code unknown"
        state.finished_at = datetime.now(UTC).isoformat()
        process.write_state(state)
        append_event(self.folder, EventKind.DIE, process.id, process.spec(), exit_code=LOST_EXIT_CODE)


def write_atomically(path: Path, body: object) -> None:
    """Readers see the old file or the new one, never a part."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    temporary.write_text(json.dumps(body), encoding="utf-8")
    temporary.replace(path)


def _age(path: Path) -> tuple[float, str]:
    try:
        return (path / "spec.json").stat().st_mtime, path.name
    except OSError:
        return 0.0, path.name
