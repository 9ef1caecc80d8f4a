"""A process's files as core types."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from healing.core.types import EngineHealth, EngineState, HealthLogEntry, Snapshot, Summary
from healing.engines.process_spec import ProcessSpec
from healing.engines.process_store import ProcessFolder, ProcessState

ADDRESSES = ("127.0.0.1",)


def summary(process: ProcessFolder, spec: ProcessSpec, state: ProcessState) -> Summary:
    running = state.status == "running"
    return Summary(
        id=process.id,
        name=spec.name,
        image=spec.image_name,
        image_id=spec.image_name,
        labels=dict(spec.labels),
        state=EngineState(state.status),
        health=EngineHealth(state.health or "none") if running else EngineHealth.NONE,
        exit_code=state.exit_code if state.status in ("exited", "restarting") else None,
        status_text=_status_text(state),
        created_at=process.created_at(),
        addresses=ADDRESSES,
        network_mode="host",
    )


def snapshot(process: ProcessFolder, spec: ProcessSpec, state: ProcessState) -> Snapshot:
    return Snapshot(
        id=process.id,
        name=spec.name,
        image=spec.image_name,
        image_id=spec.image_name,
        labels=dict(spec.labels),
        state=EngineState(state.status),
        health=EngineHealth(state.health or "none"),
        exit_code=state.exit_code,
        error=state.error,
        pid=state.pid,
        created_at=process.created_at(),
        started_at=_time(state.started_at),
        finished_at=_time(state.finished_at),
        restart_policy=spec.restart_policy,
        restart_count=state.restart_count,
        stop_signal=spec.stop_signal,
        stop_timeout=spec.stop_timeout,
        health_command=spec.healthcheck,
        health_log=tuple(_entry(entry) for entry in state.health_log),
        network_mode="host",
        addresses=ADDRESSES,
        command=spec.argv,
    )


def _entry(body: Mapping[str, Any]) -> HealthLogEntry:
    start, end = datetime.fromisoformat(body["start"]), _time(body["end"])
    return HealthLogEntry(start, end, int(body["exit_code"]), str(body["output"]))


def _time(text: str) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _status_text(state: ProcessState) -> str:
    if state.status == "running":
        shown = {"": "", "starting": " (health: starting)"}.get(state.health, f" ({state.health})")
        return f"Up {_ago(state.started_at)}{shown}"
    if state.status in ("exited", "restarting"):
        return f"{state.status.capitalize()} ({state.exit_code}) {_ago(state.finished_at)} ago"
    return state.status.capitalize()


def _ago(text: str) -> str:
    then = _time(text)
    seconds = 0 if then is None else int((datetime.now(UTC) - then).total_seconds())
    unit, size = next(pair for pair in _UNITS if seconds >= pair[1] * 2 or pair[1] == 1)
    return f"{seconds // size} {unit}"


_UNITS = (("days", 86400), ("hours", 3600), ("minutes", 60), ("seconds", 1))
