"""Runs, stops and who caused them: what can be told from the engine's times, signals and exit codes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from healing.core.config import DEFAULT_STOP_TIMEOUT
from healing.core.status import Status
from healing.core.types import EngineHealth, EngineState, Lifecycle, RestartPolicy, Snapshot

QUICK_EXIT = 60.0
"""A run that ends within so many seconds of its start is a quick exit."""
LOOP_WINDOW = 600.0
LOOP_EXITS = 3
"""So many quick exits within the window are a crash loop."""
STOP_SLACK = 5.0
STOP_PATIENCE = 300.0
"""How long after a stop signal a container is taken to be stopping: `docker stop -t` does not tell us its timeout."""
ENGINE_FIRST = 5.0
"""How long the engine's own restart policy is given to act on an exited container."""
MAX_EXITS = 10

_GRACEFUL_EXITS = frozenset({0, 143})
_SIGNAL_NUMBERS: Mapping[str, str] = {
    "1": "HUP",
    "2": "INT",
    "3": "QUIT",
    "9": "KILL",
    "10": "USR1",
    "12": "USR2",
    "15": "TERM",
}


def signal_name(text: str) -> str:
    """ "15", "SIGTERM" and "term" are all TERM."""
    upper = text.strip().upper().removeprefix("SIG")
    return _SIGNAL_NUMBERS.get(upper, upper)


def is_stop_signal(text: str, container_stop_signal: str = "") -> bool:
    """Whether a kill event with this signal means that somebody stops the container."""
    name = signal_name(text)
    return name in ("TERM", "KILL") or (
        bool(container_stop_signal) and name == signal_name(container_stop_signal)
    )


def stop_timeout(snapshot: Snapshot, configured: float | None) -> float:
    """Seconds between the stop signal and the kill: the config's, else the container's own, else 10."""
    if configured is not None:
        return configured
    return snapshot.stop_timeout if snapshot.stop_timeout is not None else DEFAULT_STOP_TIMEOUT


def is_stopping(status: Status, snapshot: Snapshot, now: datetime) -> bool:
    """Whether a running container has been told to stop and may still be at it."""
    at = status.stop_signal_at
    if at is None or (snapshot.started_at is not None and snapshot.started_at > at):
        return False
    return now - at < timedelta(seconds=STOP_PATIENCE)


def was_stopped_by_hand(status: Status, snapshot: Snapshot) -> bool:
    """Whether the exit of this container answers somebody's stop signal."""
    started, ended = snapshot.started_at, snapshot.finished_at
    if status.stopped_by_hand_at is not None and (started is None or status.stopped_by_hand_at >= started):
        return True
    at = status.stop_signal_at
    if at is None or ended is None or (started is not None and at < started):
        return False
    waited = (ended - at).total_seconds()
    if waited < -1.0:
        return False
    patience = stop_timeout(snapshot, None) + STOP_SLACK
    return waited <= patience or (waited <= STOP_PATIENCE and snapshot.exit_code in _GRACEFUL_EXITS)


def engine_restarts(policy: RestartPolicy, exit_code: int, restart_count: int) -> bool:
    """Whether the engine's own policy restarts a container after such an exit."""
    if policy.name in ("always", "unless-stopped"):
        return True
    if policy.name != "on-failure" or exit_code == 0:
        return False
    return policy.maximum_retry_count == 0 or restart_count < policy.maximum_retry_count


def follow(status: Status, snapshot: Snapshot) -> Status:
    """Note a new start (old marks no longer hold) and a new exit (quick ones are remembered)."""
    started = snapshot.started_at
    status = replace(status, exits=_exits(status, snapshot), ended_at=snapshot.finished_at or status.ended_at)
    if started is None:
        return status
    status = replace(
        status,
        stop_signal_at=_if_after(status.stop_signal_at, started),
        stopped_by_hand_at=_if_after(status.stopped_by_hand_at, started),
        interrupted_at=_if_after(status.interrupted_at, started),
        unpaused_at=_if_after(status.unpaused_at, started),
    )
    if started == status.started_at:
        return status
    rested = status.lifecycle in (Lifecycle.STOPPED_BY_HAND, Lifecycle.FINISHED)
    state = Lifecycle.STARTING if rested else status.lifecycle
    return replace(status, started_at=started, lifecycle=state, consecutive_successes=0)


def _if_after(mark: datetime | None, start: datetime) -> datetime | None:
    return mark if mark is not None and mark >= start else None


def _exits(status: Status, snapshot: Snapshot) -> tuple[tuple[float, float], ...]:
    ended = snapshot.finished_at
    if ended is None or ended == status.ended_at:
        return status.exits
    started = snapshot.started_at
    if started is None or started > ended:
        started = status.started_at
    if started is None or not 0 <= (ended - started).total_seconds() < QUICK_EXIT:
        return status.exits
    if was_stopped_by_hand(status, replace(snapshot, started_at=started)):
        return status.exits
    return (*status.exits, (started.timestamp(), ended.timestamp()))[-MAX_EXITS:]


def failed_at(snapshot: Snapshot) -> datetime | None:
    """When a container that fails began to: its exit, or the first of its HEALTHCHECK's last failures in a row."""
    if snapshot.state is EngineState.EXITED:
        return snapshot.finished_at
    if snapshot.health is not EngineHealth.UNHEALTHY:
        return None
    began = None
    for entry in reversed(snapshot.health_log):
        if entry.exit_code == 0:
            break
        began = entry.start
    return began


def quick_exits(status: Status, now: datetime) -> int:
    """How many quick exits lie within the window."""
    since = now.timestamp() - LOOP_WINDOW
    return sum(1 for _, ended in status.exits if ended >= since)


def is_crash_loop(status: Status, now: datetime) -> bool:
    return quick_exits(status, now) >= LOOP_EXITS
