"""Values for the tests of the pure core: one container at one moment, with what a test says changed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from healing.core.config import Config
from healing.core.detect import detect
from healing.core.limits import Budget
from healing.core.status import Detection, Seen, Status
from healing.core.types import (
    EngineHealth,
    EngineState,
    Health,
    HealthCommand,
    HealthLogEntry,
    Lifecycle,
    ProbeResult,
    ProbeVerdict,
    RestartPolicy,
    Snapshot,
)

NOW = datetime(2025, 3, 1, 12, 0, 0, tzinfo=UTC)
STARTED = NOW - timedelta(hours=1)
WATCHED_SINCE = NOW - timedelta(hours=2)
"""The events of the engine are known since then, unless a test says otherwise."""


def at(seconds: float) -> datetime:
    """A moment, in seconds after NOW."""
    return NOW + timedelta(seconds=seconds)


def running(**changes: Any) -> Snapshot:
    """A container that has been running for an hour, without a HEALTHCHECK."""
    facts: dict[str, Any] = {"started_at": STARTED, "state": EngineState.RUNNING, "pid": 100}
    facts |= {"id": "c1", "name": "web", "image": "web:1", "image_id": "sha256:1", "labels": {}}
    return Snapshot(**(facts | changes))


def exited(exit_code: int = 1, *, ago: float = 10.0, policy: str = "no", **changes: Any) -> Snapshot:
    """A container that ran for an hour and ended `ago` seconds before NOW."""
    facts: dict[str, Any] = {
        "state": EngineState.EXITED,
        "exit_code": exit_code,
        "finished_at": at(-ago),
        "pid": 0,
    }
    return running(**(facts | {"restart_policy": RestartPolicy(policy)} | changes))


def unhealthy(
    *, entry_at: float = -1.0, exit_code: int = 1, output: str = "no answer", **changes: Any
) -> Snapshot:
    """A running container that its HEALTHCHECK calls unhealthy, with the newest log entry at `entry_at`."""
    entry = HealthLogEntry(at(entry_at), at(entry_at), exit_code, output)
    facts: dict[str, Any] = {"health": EngineHealth.UNHEALTHY, "health_log": (entry,)}
    return running(**(facts | {"health_command": HealthCommand(("CMD", "check"))} | changes))


def healthy_status(**changes: Any) -> Status:
    """What is remembered of a container that was healthy at the last look."""
    facts: dict[str, Any] = {"health": Health.HEALTHY, "lifecycle": Lifecycle.RUNNING, "started_at": STARTED}
    return Status(**(facts | {"healthy_since": STARTED} | changes))


def look(
    snapshot: Snapshot | None,
    status: Status | None = None,
    config: Config | None = None,
    now: datetime = NOW,
    **seen: Any,
) -> Detection:
    """Detect from one look, with the engine's events known since WATCHED_SINCE."""
    return detect(
        status or healthy_status(),
        Seen(snapshot, **({"stream_since": WATCHED_SINCE} | seen)),
        config or Config(),
        now,
    )


def probe(verdict: str, message: str = "", *, name: str = "http", hung: bool = False) -> ProbeResult:
    return ProbeResult(name, ProbeVerdict(verdict), message or verdict, hung=hung)


def room(**changes: Any) -> Budget:
    """A budget of which nothing is spent."""
    facts: dict[str, Any] = {
        "in_window": 0,
        "in_row": 0,
        "limit": 5,
        "backoff": 0.0,
        "not_before": None,
        "frees_at": None,
    }
    return Budget(**(facts | changes))
