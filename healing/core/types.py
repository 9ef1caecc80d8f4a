"""What the parts of the healing loop hand to each other. All times are aware UTC datetimes, all durations seconds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class Health(StrEnum):
    """The verdict about a container, in three words."""

    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"
    UNKNOWN = "unknown"


class Lifecycle(StrEnum):
    """What else a container is, beside its health."""

    NEW = "new"
    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    RESTARTING = "restarting"
    PAUSED = "paused"
    EXITED = "exited"
    FINISHED = "finished"
    STOPPED_BY_HAND = "stopped_by_hand"
    DEAD = "dead"
    QUARANTINED = "quarantined"
    GONE = "gone"


class FailureType(StrEnum):
    """The six types of a failure record: three that are found, three that say what automation did."""

    HEALTH_CHECK_FAILED = "health_check_failed"
    CONTAINER_STOPPED = "container_stopped"
    CONTAINER_ERROR = "container_error"
    RESTART_LIMIT_EXCEEDED = "restart_limit_exceeded"
    RESTART_FAILED = "restart_failed"
    AUTO_RESTART = "auto_restart"


FOUND_TYPES = (FailureType.HEALTH_CHECK_FAILED, FailureType.CONTAINER_STOPPED, FailureType.CONTAINER_ERROR)


class ActionKind(StrEnum):
    RESTART = "restart"
    RECREATE = "recreate"
    ALERT = "alert"
    NONE = "none"


class ActionResult(StrEnum):
    SUCCESS = "success"
    FAILED = "failed"
    PENDING = "pending"


class AlertLevel(StrEnum):
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"
    CRITICAL = "critical"


SHARED_NETWORK = "container:"
"""The network mode of a container that shares the network of another begins so, and ends with its id or name."""


class EngineState(StrEnum):
    """The engine's own word for a container's state (`State.Status`)."""

    CREATED = "created"
    RUNNING = "running"
    PAUSED = "paused"
    RESTARTING = "restarting"
    REMOVING = "removing"
    EXITED = "exited"
    DEAD = "dead"


class EngineHealth(StrEnum):
    """The engine's HEALTHCHECK verdict (`State.Health.Status`); NONE where there is no HEALTHCHECK."""

    NONE = "none"
    STARTING = "starting"
    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"


@dataclass(frozen=True, slots=True)
class RestartPolicy:
    """The engine's own policy: `name` is no, on-failure, always or unless-stopped; 0 retries means no limit."""

    name: str = "no"
    maximum_retry_count: int = 0


@dataclass(frozen=True, slots=True)
class HealthLogEntry:
    """One run of the container's HEALTHCHECK as the engine recorded it."""

    start: datetime
    end: datetime | None
    exit_code: int
    output: str


@dataclass(frozen=True, slots=True)
class HealthCommand:
    """The container's HEALTHCHECK. `argv` is empty where there is none; durations in seconds."""

    argv: tuple[str, ...] = ()
    interval: float = 30.0
    timeout: float = 30.0
    start_period: float = 0.0
    retries: int = 3


@dataclass(frozen=True, slots=True)
class Summary:
    """One row of the engine's list: all that a sweep needs to see that nothing has changed.

    `started_marker` changes whenever the container was started or stopped, where the list can tell; it is the
    engine's status text ("Up 3 minutes (healthy)") and is for people, not for comparing.
    """

    id: str
    name: str
    image: str
    image_id: str
    labels: Mapping[str, str]
    state: EngineState
    health: EngineHealth
    exit_code: int | None
    status_text: str
    created_at: datetime
    addresses: tuple[str, ...] = ()
    network_mode: str = ""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One container as inspected: the evidence for every decision about it."""

    id: str
    name: str
    image: str
    image_id: str
    labels: Mapping[str, str]
    state: EngineState
    health: EngineHealth = EngineHealth.NONE
    exit_code: int = 0
    oom_killed: bool = False
    error: str = ""
    pid: int = 0
    created_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    restart_policy: RestartPolicy = RestartPolicy()
    restart_count: int = 0
    stop_signal: str = "SIGTERM"
    stop_timeout: float | None = None
    health_command: HealthCommand = HealthCommand()
    health_log: tuple[HealthLogEntry, ...] = ()
    network_mode: str = ""
    addresses: tuple[str, ...] = ()
    memory_limit: int = 0
    command: tuple[str, ...] = ()

    @property
    def is_swarm_task(self) -> bool:
        return "com.docker.swarm.task.id" in self.labels

    @property
    def is_running(self) -> bool:
        return self.state in (EngineState.RUNNING, EngineState.PAUSED)


class ProbeVerdict(StrEnum):
    PASSED = "passed"
    FAILED = "failed"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """What one probe saw. `unknown` means that it could not look, and never counts against the container."""

    name: str
    verdict: ProbeVerdict
    message: str
    latency: float = 0.0
    hung: bool = False
    """True where the peer accepted the connection and then said nothing until the timeout."""


@dataclass(frozen=True, slots=True)
class ProbeTarget:
    """What a probe may need to know about its container: addresses in order of preference, engine id for exec."""

    container_id: str
    addresses: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ExecResult:
    """A command run in a container: exit code and combined output, cut to 4 KiB."""

    exit_code: int
    output: str


class EventKind(StrEnum):
    """The engine's events that the loop listens to."""

    CREATE = "create"
    START = "start"
    RESTART = "restart"
    KILL = "kill"
    DIE = "die"
    STOP = "stop"
    OOM = "oom"
    PAUSE = "pause"
    UNPAUSE = "unpause"
    DESTROY = "destroy"
    RENAME = "rename"
    HEALTHY = "health_status: healthy"
    UNHEALTHY = "health_status: unhealthy"


@dataclass(frozen=True, slots=True)
class Event:
    """One engine event. `signal` is set for a kill, `exit_code` for a die. `at` is the engine's clock."""

    kind: EventKind
    container_id: str
    name: str
    at: datetime
    signal: str = ""
    exit_code: int | None = None
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """Who the engine says it is. `containers` counts all containers, running or not."""

    kind: str
    version: str
    api_version: str = ""
    name: str = ""
    containers: int = 0
