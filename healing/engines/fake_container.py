"""One container of the fake engine, and the payloads that a real engine would give for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from healing.core.types import ExecResult, HealthCommand, RestartPolicy

ExecAnswer = ExecResult | Exception | Callable[[tuple[str, ...]], ExecResult]

GO_ZERO_TIME = "0001-01-01T00:00:00Z"
HEALTH_LOG_LIMIT = 5


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a start leads to, `after` seconds later: "healthy", "unhealthy", "starting" (for ever) or "exit"."""

    word: str = "healthy"
    after: float = 0.0
    exit_code: int = 0
    output: str = ""


@dataclass(slots=True)
class FakeContainer:
    """The fields are the engine's; `outcomes` are used up one a start, the last one stays."""

    id: str
    name: str
    image: str
    created_at: datetime
    image_id: str = "sha256:fake"
    labels: Mapping[str, str] = field(default_factory=dict)
    command: tuple[str, ...] = ("serve",)
    restart_policy: RestartPolicy = field(default_factory=RestartPolicy)
    health_command: HealthCommand = field(default_factory=HealthCommand)
    stop_signal: str = "SIGTERM"
    stop_timeout: float | None = None
    memory_limit: int = 0
    network_mode: str = "bridge"
    addresses: tuple[str, ...] = ()
    outcomes: tuple[Outcome, ...] = (Outcome(),)
    ignores_term: bool = False
    lines: list[str] = field(default_factory=list)
    answers: dict[tuple[str, ...], ExecAnswer] = field(default_factory=dict)

    status: str = "created"
    health: str = ""
    health_log: list[dict[str, Any]] = field(default_factory=list)
    exit_code: int = 0
    oom_killed: bool = False
    error: str = ""
    pid: int = 0
    started_at: datetime | None = None
    finished_at: datetime | None = None
    restart_count: int = 0
    by_hand: bool = False
    due: tuple[datetime, Outcome] | None = None

    @property
    def is_running(self) -> bool:
        return self.status in ("running", "paused")

    def next_outcome(self) -> Outcome:
        outcome = self.outcomes[0]
        if len(self.outcomes) > 1:
            self.outcomes = self.outcomes[1:]
        return outcome

    def add_health_entry(self, at: datetime, exit_code: int, output: str) -> None:
        entry = {"Start": nanoseconds(at), "End": nanoseconds(at), "ExitCode": exit_code, "Output": output}
        self.health_log = [*self.health_log, entry][-HEALTH_LOG_LIMIT:]


def list_row(container: FakeContainer) -> dict[str, Any]:
    """A row of GET /containers/json."""
    return {
        "Id": container.id,
        "Names": [f"/{container.name}"],
        "Image": container.image,
        "ImageID": container.image_id,
        "Created": int(container.created_at.timestamp()),
        "Labels": dict(container.labels),
        "State": container.status,
        "Status": _status_text(container),
        "HostConfig": {"NetworkMode": container.network_mode},
        "NetworkSettings": {"Networks": _networks(container)},
    }


def inspect_body(container: FakeContainer) -> dict[str, Any]:
    """The body of GET /containers/{id}/json."""
    return {
        "Id": container.id,
        "Name": f"/{container.name}",
        "Created": nanoseconds(container.created_at),
        "Path": container.command[0],
        "Args": list(container.command[1:]),
        "Image": container.image_id,
        "RestartCount": container.restart_count,
        "State": _state(container),
        "Config": _config(container),
        "HostConfig": {
            "NetworkMode": container.network_mode,
            "Memory": container.memory_limit,
            "RestartPolicy": {
                "Name": container.restart_policy.name,
                "MaximumRetryCount": container.restart_policy.maximum_retry_count,
            },
        },
        "NetworkSettings": {"Networks": _networks(container)},
    }


def event_body(
    container: FakeContainer, action: str, at: datetime, attributes: Mapping[str, str]
) -> dict[str, Any]:
    """An object of GET /events."""
    named = {"name": container.name, "image": container.image}
    microseconds = int(at.timestamp()) * 1_000_000 + at.microsecond
    return {
        "Type": "container",
        "Action": action,
        "Actor": {"ID": container.id, "Attributes": {**container.labels, **named, **attributes}},
        "time": microseconds // 1_000_000,
        "timeNano": microseconds * 1000,
    }


def nanoseconds(moment: datetime | None) -> str:
    if moment is None:
        return GO_ZERO_TIME
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond:06d}000Z"


def _state(container: FakeContainer) -> dict[str, Any]:
    state: dict[str, Any] = {
        "Status": container.status,
        "OOMKilled": container.oom_killed,
        "Pid": container.pid,
        "ExitCode": container.exit_code,
        "Error": container.error,
        "StartedAt": nanoseconds(container.started_at),
        "FinishedAt": nanoseconds(container.finished_at),
    }
    if container.health:
        state["Health"] = {"Status": container.health, "Log": list(container.health_log)}
    return state


def _config(container: FakeContainer) -> dict[str, Any]:
    config: dict[str, Any] = {
        "Image": container.image,
        "Labels": dict(container.labels),
        "StopSignal": container.stop_signal,
    }
    if container.stop_timeout is not None:
        config["StopTimeout"] = container.stop_timeout
    check = container.health_command
    if check.argv:
        times = {"Interval": check.interval, "Timeout": check.timeout, "StartPeriod": check.start_period}
        config["Healthcheck"] = {
            "Test": ["CMD", *check.argv],
            "Retries": check.retries,
            **{key: int(seconds * 1e9) for key, seconds in times.items()},
        }
    return config


def _networks(container: FakeContainer) -> dict[str, Any]:
    return {f"net{number}": {"IPAddress": address} for number, address in enumerate(container.addresses)}


def _status_text(container: FakeContainer) -> str:
    if container.status == "running":
        shown = {"": "", "starting": " (health: starting)"}.get(container.health, f" ({container.health})")
        return f"Up 1 second{shown}"
    if container.status in ("exited", "restarting"):
        return f"{container.status.capitalize()} ({container.exit_code}) 1 second ago"
    return {"paused": "Up 1 second (Paused)"}.get(container.status, container.status.capitalize())
