"""The event log of a process engine's folder: JSON lines, appended by every supervisor, tailed by every reader."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO

from healing.core.types import Event, EventKind
from healing.engines.process_spec import ProcessSpec

ROTATE_AT = 1_000_000
POLL = 0.02

_FILE = "events.jsonl"
_OLD_FILE = "events.1.jsonl"


def append_event(
    folder: Path,
    kind: EventKind,
    process_id: str,
    spec: ProcessSpec,
    signal: str = "",
    exit_code: int | None = None,
) -> datetime:
    """Write one event; its time, later than that of every event before it, is returned."""
    with _locked(folder):
        path = folder / _FILE
        _rotate(path, folder / _OLD_FILE)
        at = _next_moment(path)
        body: dict[str, Any] = {
            "kind": kind,
            "id": process_id,
            "name": spec.name,
            "at": at.isoformat(),
            "labels": dict(spec.labels),
        }
        body |= {"signal": signal} if signal else {}
        body |= {"exit_code": exit_code} if exit_code is not None else {}
        with path.open("ab") as file:
            file.write(json.dumps(body).encode() + b"\n")
        os.utime(path, ns=(0, _nanoseconds(at)))
    return at


def tail_events(folder: Path, since: datetime, closed: threading.Event) -> Iterator[Event | None]:
    """Events from `since` on as they happen, until `closed`; None whenever there is nothing new."""
    with _locked(folder):
        old, file = _read_lines(folder / _OLD_FILE), _open(folder / _FILE)
    yield from (event for event in old if event.at >= since)
    while not closed.is_set():
        if file is None:
            yield None
            closed.wait(POLL)
        else:
            with file:
                for event in _follow(file, folder / _FILE, closed):
                    if event is None or event.at >= since:
                        yield event
        file = _open(folder / _FILE)


def _follow(file: BinaryIO, path: Path, closed: threading.Event) -> Iterator[Event | None]:
    """Lines of one file, until another has taken its place and it is read to the end."""
    inode = os.fstat(file.fileno()).st_ino
    pending = b""
    while not closed.is_set():
        replaced = _inode(path) != inode
        data = file.read()
        if data:
            *lines, pending = (pending + data).split(b"\n")
            yield from (event for event in map(_decode, lines) if event is not None)
        elif replaced:
            return
        else:
            yield None
            closed.wait(POLL)


def _read_lines(path: Path) -> list[Event]:
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError:
        return []
    return [event for event in map(_decode, lines) if event is not None]


def _decode(line: bytes) -> Event | None:
    try:
        body = json.loads(line)
        return Event(
            kind=EventKind(body["kind"]),
            container_id=body["id"],
            name=body["name"],
            at=datetime.fromisoformat(body["at"]),
            signal=body.get("signal", ""),
            exit_code=body.get("exit_code"),
            labels=body.get("labels", {}),
        )
    except (ValueError, KeyError, TypeError):
        return None


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    with (folder / "events.lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _rotate(path: Path, old: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        if path.stat().st_size > ROTATE_AT:
            path.replace(old)


def _next_moment(path: Path) -> datetime:
    """Now, or a microsecond after the last event (which the file's time keeps)."""
    now = datetime.now(UTC)
    with contextlib.suppress(FileNotFoundError):
        last = path.stat().st_mtime_ns // 1000
        now = max(now, datetime.fromtimestamp(0, UTC) + timedelta(microseconds=last + 1))
    return now


def _nanoseconds(moment: datetime) -> int:
    return (int(moment.timestamp()) * 1_000_000 + moment.microsecond) * 1000


def _open(path: Path) -> BinaryIO | None:
    try:
        return path.open("rb", buffering=0)
    except FileNotFoundError:
        return None


def _inode(path: Path) -> int:
    try:
        return path.stat().st_ino
    except FileNotFoundError:
        return 0
