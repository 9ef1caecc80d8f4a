"""From the Docker API's payloads (dicts as decoded from JSON) to core types.

Tolerant of missing keys, because Podman and older engines leave some out. Nothing here talks to an engine.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from healing.core.types import (
    EngineHealth,
    EngineInfo,
    EngineState,
    Event,
    EventKind,
    HealthCommand,
    HealthLogEntry,
    RestartPolicy,
    Snapshot,
    Summary,
)
from healing.core.wording import storable
from healing.engines.signals import signal_name

Payload = Mapping[str, Any]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EXIT_CODE = re.compile(r"(?:Exited|Restarting) \((-?\d+)\)")
_HEALTH_IN_STATUS = {
    "(healthy)": EngineHealth.HEALTHY,
    "(unhealthy)": EngineHealth.UNHEALTHY,
    "(health: starting)": EngineHealth.STARTING,
    "(starting)": EngineHealth.STARTING,
}
_PODMAN_STATES = {
    "stopped": "exited",
    "configured": "created",
    "initialized": "created",
    "stopping": "running",
}
_PODMAN_ACTIONS = {"died": "die", "remove": "destroy"}
_NOT_LABELS = {"name", "image", "exitCode", "containerExitCode", "signal", "oldName", "execDuration"}
_NOT_LABELS |= {"health_status"}


def parse_time(value: object) -> datetime | None:
    """An RFC 3339 text with nanoseconds, or seconds since 1970; None for Go's zero time and for what is no time."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return _since_1970(seconds=value) if value > 0 else None
    if not isinstance(value, str) or not value or value.startswith("0001-"):
        return None
    try:
        parsed = datetime.fromisoformat(value)
    except ValueError:
        return None
    return parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed.astimezone(UTC)


def _since_1970(**units: float) -> datetime | None:
    try:
        return _EPOCH + timedelta(**units)
    except OverflowError:
        return None


def parse_state(value: object) -> EngineState:
    """The engine's word for a state; a word that we do not know is `dead`, which nothing acts upon."""
    text = str(value or "created").lower()
    try:
        return EngineState(_PODMAN_STATES.get(text, text))
    except ValueError:
        return EngineState.DEAD


def parse_health(value: object) -> EngineHealth:
    """A HEALTHCHECK verdict; an empty or unknown word is NONE."""
    try:
        return EngineHealth(str(value or "none").lower())
    except ValueError:
        return EngineHealth.NONE


def parse_summary(row: Payload) -> Summary:
    """One row of GET /containers/json. A paused container's row does not tell its health (NONE)."""
    status = _text(row.get("Status"))
    exit_code = _EXIT_CODE.match(status)
    return Summary(
        id=_text(row.get("Id")),
        name=_listed_name(row),
        image=_text(row.get("Image")),
        image_id=_text(row.get("ImageID")),
        labels=_labels(row.get("Labels")),
        state=parse_state(row.get("State")),
        health=_listed_health(row, status),
        exit_code=int(exit_code[1]) if exit_code else None,
        status_text=status,
        created_at=parse_time(row.get("Created")) or _EPOCH,
        addresses=_addresses(_mapping(row.get("NetworkSettings"))),
        network_mode=_text(_mapping(row.get("HostConfig")).get("NetworkMode")),
    )


def parse_snapshot(body: Payload) -> Snapshot:
    """The answer of GET /containers/{id}/json."""
    state, config, host = (_mapping(body.get(key)) for key in ("State", "Config", "HostConfig"))
    health = _mapping(state.get("Health") or state.get("Healthcheck"))
    stop_timeout = config.get("StopTimeout")
    return Snapshot(
        id=_text(body.get("Id")),
        name=_text(body.get("Name")).lstrip("/"),
        image=_text(config.get("Image") or body.get("ImageName")),
        image_id=_text(body.get("Image")),
        labels=_labels(config.get("Labels")),
        state=parse_state(state.get("Status")),
        health=parse_health(health.get("Status")),
        exit_code=_integer(state.get("ExitCode")),
        oom_killed=bool(state.get("OOMKilled")),
        error=_text(state.get("Error")),
        pid=_integer(state.get("Pid")),
        created_at=parse_time(body.get("Created")),
        started_at=parse_time(state.get("StartedAt")),
        finished_at=parse_time(state.get("FinishedAt")),
        restart_policy=_restart_policy(_mapping(host.get("RestartPolicy"))),
        restart_count=_integer(body.get("RestartCount")),
        stop_signal=signal_name(config.get("StopSignal")) or "SIGTERM",
        stop_timeout=None if stop_timeout is None else float(stop_timeout),
        health_command=_health_command(config),
        health_log=_health_log(health),
        network_mode=_text(host.get("NetworkMode")),
        addresses=_addresses(_mapping(body.get("NetworkSettings"))),
        memory_limit=_integer(host.get("Memory")),
        command=_command(body, config),
    )


def parse_event(body: Payload) -> Event | None:
    """One object of GET /events; None for what the loop does not listen to."""
    actor = _mapping(body.get("Actor"))
    attributes = _mapping(actor.get("Attributes"))
    kind = _event_kind(body, attributes)
    at = _event_time(body)
    if kind is None or at is None or body.get("Type", "container") != "container":
        return None
    exit_code = attributes.get("exitCode", attributes.get("containerExitCode"))
    return Event(
        kind=kind,
        container_id=str(actor.get("ID") or body.get("id") or ""),
        name=str(attributes.get("name") or "").lstrip("/"),
        at=at,
        signal=signal_name(attributes.get("signal")) if kind is EventKind.KILL else "",
        exit_code=_integer(exit_code) if kind is EventKind.DIE and exit_code is not None else None,
        labels={key: str(value) for key, value in attributes.items() if key not in _NOT_LABELS},
    )


def parse_info(version: Payload, info: Payload) -> EngineInfo:
    """Who the engine is, from GET /version and GET /info."""
    components = [_mapping(part) for part in _list(version.get("Components"))]
    podman = any("podman" in str(part.get("Name")).lower() for part in components)
    return EngineInfo(
        kind="podman" if podman else "docker",
        version=str(version.get("Version") or info.get("ServerVersion") or ""),
        api_version=str(version.get("ApiVersion") or ""),
        name=str(info.get("Name") or ""),
        containers=_integer(info.get("Containers")),
    )


def _mapping(value: object) -> Payload:
    return value if isinstance(value, Mapping) else {}


def _text(value: object) -> str:
    return storable(str(value or ""))


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _labels(value: object) -> dict[str, str]:
    return {storable(str(key)): storable(str(text)) for key, text in _mapping(value).items()}


def _integer(value: object) -> int:
    try:
        return int(value)  # type: ignore[call-overload,no-any-return]
    except (TypeError, ValueError, OverflowError):
        return 0


def _listed_name(row: Payload) -> str:
    """The container's own name: links add names with a second slash ("/web/db")."""
    names = [str(name).removeprefix("/") for name in _list(row.get("Names"))]
    return next(
        (name for name in names if "/" not in name), names[0] if names else str(row.get("Id") or "")[:12]
    )


def _listed_health(row: Payload, status: str) -> EngineHealth:
    health = _mapping(row.get("Health"))
    if health.get("Status"):
        return parse_health(health["Status"])
    return next(
        (verdict for text, verdict in _HEALTH_IN_STATUS.items() if status.endswith(text)), EngineHealth.NONE
    )


def _addresses(settings: Payload) -> tuple[str, ...]:
    """IPv4 addresses of all networks, then their IPv6 ones, without repeats."""
    networks = [_mapping(network) for network in _mapping(settings.get("Networks")).values()]
    found = [network.get("IPAddress") for network in [*networks, settings]]
    found += [network.get("GlobalIPv6Address") for network in [*networks, settings]]
    return tuple(dict.fromkeys(str(address) for address in found if address))


def _restart_policy(policy: Payload) -> RestartPolicy:
    return RestartPolicy(str(policy.get("Name") or "no"), _integer(policy.get("MaximumRetryCount")))


def _health_command(config: Payload) -> HealthCommand:
    """HEALTHCHECK with the engine's defaults where a value is 0 or missing."""
    check = _mapping(config.get("Healthcheck"))
    test = [str(part) for part in _list(check.get("Test"))]
    if not test or test[0] == "NONE":
        return HealthCommand()
    if test[0] == "CMD-SHELL":
        shell = [str(part) for part in _list(config.get("Shell")) or ["/bin/sh", "-c"]]
        argv = (*shell, *test[1:])
    else:
        argv = tuple(test[1:] if test[0] == "CMD" else test)
    default = HealthCommand()
    return HealthCommand(
        argv=argv,
        interval=_seconds(check.get("Interval")) or default.interval,
        timeout=_seconds(check.get("Timeout")) or default.timeout,
        start_period=_seconds(check.get("StartPeriod")),
        retries=_integer(check.get("Retries")) or default.retries,
    )


def _seconds(nanoseconds: object) -> float:
    return _integer(nanoseconds) / 1e9


def _health_log(health: Payload) -> tuple[HealthLogEntry, ...]:
    entries = [_mapping(entry) for entry in _list(health.get("Log"))]
    return tuple(
        HealthLogEntry(
            start=start,
            end=parse_time(entry.get("End")),
            exit_code=_integer(entry.get("ExitCode")),
            output=_text(entry.get("Output")),
        )
        for entry in entries
        if (start := parse_time(entry.get("Start"))) is not None
    )


def _command(body: Payload, config: Payload) -> tuple[str, ...]:
    """What runs: the resolved path and arguments, else entrypoint and command as configured."""
    if body.get("Path"):
        return (str(body["Path"]), *(str(part) for part in _list(body.get("Args"))))
    parts: list[str] = []
    for value in (config.get("Entrypoint"), config.get("Cmd")):
        parts += [value] if isinstance(value, str) else [str(part) for part in _list(value)]
    return tuple(parts)


def _event_kind(body: Payload, attributes: Payload) -> EventKind | None:
    action = str(body.get("Action") or body.get("status") or "")
    if action == "health_status":
        verdict = body.get("HealthStatus") or attributes.get("health_status") or ""
        action = f"health_status: {verdict}"
    try:
        return EventKind(_PODMAN_ACTIONS.get(action, action))
    except ValueError:
        return None


def _event_time(body: Payload) -> datetime | None:
    nanoseconds = _integer(body.get("timeNano"))
    if nanoseconds:
        return _since_1970(microseconds=nanoseconds // 1000)
    return parse_time(body.get("time"))
