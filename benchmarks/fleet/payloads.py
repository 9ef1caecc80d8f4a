"""The engine's JSON, from payloads that were recorded from a real one."""

from __future__ import annotations

import functools
import json
import shlex
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.fleet.container import NANOSECONDS, Container
from benchmarks.fleet.health import health_state

FOLDER = Path(__file__).parent / "payloads"
ZERO_TIME = "0001-01-01T00:00:00Z"


def _recorded(name: str) -> dict[str, Any]:
    return dict(json.loads((FOLDER / f"{name}.json").read_text()))


VERSION = _recorded("version")
_INFO, _INSPECT, _ROW = _recorded("info"), _recorded("inspect"), _recorded("row")
IMAGE_ID = str(_ROW["ImageID"])
AGE_BEHIND = 60  # seconds that an age in the list ("Up 3 minutes") may be behind

_TAILS: dict[tuple[str, str], bytes] = {}


def encode(value: object) -> bytes:
    """As the engine writes it: compact, with a newline at the end."""
    return json.dumps(value, separators=(",", ":")).encode() + b"\n"


def timestamp(nanoseconds: int) -> str:
    """RFC 3339 with up to nine decimals, as Go writes it; 0 is Go's zero time."""
    if not nanoseconds:
        return ZERO_TIME
    seconds, rest = divmod(nanoseconds, NANOSECONDS)
    text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    return f"{text}.{rest:09d}".rstrip("0").rstrip(".") + "Z"


def info(name: str, states: Mapping[str, int], listeners: int, now_ns: int) -> bytes:
    """GET /info; `states` counts the containers by state."""
    running, paused = states.get("running", 0) + states.get("restarting", 0), states.get("paused", 0)
    total = sum(states.values())
    return encode(
        _INFO
        | {
            "ID": name,
            "Name": name,
            "Containers": total,
            "ContainersRunning": running,
            "ContainersPaused": paused,
            "ContainersStopped": total - running - paused,
            "NEventsListener": listeners,
            "SystemTime": timestamp(now_ns),
        }
    )


def row(container: Container, now_ns: int) -> bytes:
    """One row of GET /containers/json, without a line end; kept until the container changes or its age is told otherwise."""
    if not container.row or now_ns >= container.row_until_ns:
        container.row = _row(container, now_ns)
        container.row_until_ns = now_ns + _age_holds(now_ns - _since(container))
    return container.row


def _row(container: Container, now_ns: int) -> bytes:
    return _row_head(container) + _row_tail(container, status_text(container, now_ns))


def _since(container: Container) -> int:
    """What the age in its row counts from."""
    return container.started_ns if container.is_up else container.finished_ns


def _age_holds(age_ns: int) -> int:
    """For so long the age may stand in a row: AGE_BEHIND, and where it is told in hours, until the next."""
    hour = 3600 * NANOSECONDS
    next_hour = (round(age_ns / hour) + 0.5) * hour - age_ns if age_ns > hour else 0.0
    return max(round(next_hour), AGE_BEHIND * NANOSECONDS)


def _row_head(container: Container) -> bytes:
    head = {
        "Id": container.id,
        "Names": [f"/{container.name}"],
        "Image": container.spec.image,
        "ImageID": IMAGE_ID,
        "Command": _command(container.spec.argv),
        "Created": container.created_ns // NANOSECONDS,
        "Ports": [],
        "Labels": dict(container.labels),
        "State": container.status,
    }
    return encode(head)[:-2] + b","


@functools.cache
def _command(argv: tuple[str, ...]) -> str:
    return shlex.join(argv)


def _row_tail(container: Container, status: str) -> bytes:
    """From the status on, as many containers have it."""
    spec = container.spec
    shown = spec.address if container.is_up else ""
    key = (spec.network, shown)
    if key not in _TAILS:
        tail = {
            "HostConfig": {"NetworkMode": spec.network},
            "NetworkSettings": {"Networks": _networks(spec.network, shown)},
            "Mounts": [],
        }
        _TAILS[key] = b"," + encode(tail)[1:-1]
    return encode({"Status": status})[1:-2] + _TAILS[key]


def _networks(network: str, address: str) -> dict[str, Any]:
    recorded = dict(_ROW["NetworkSettings"]["Networks"]["none"])
    return {network: recorded | {"IPAddress": address, "IPPrefixLen": 16 if address else 0}}


def status_text(container: Container, now_ns: int) -> str:
    """What people read in `docker ps`."""
    if container.status in ("created", "dead"):
        return container.status.capitalize()
    if container.status in ("exited", "restarting"):
        since = _ago(now_ns - container.finished_ns)
        return f"{container.status.capitalize()} ({container.exit_code}) {since} ago"
    up = f"Up {_ago(now_ns - container.started_ns)}"
    if container.status == "paused":
        return f"{up} (Paused)"
    verdict = {"": "", "starting": " (health: starting)"}.get(container.health, f" ({container.health})")
    return up + verdict


def _ago(nanoseconds: int) -> str:
    seconds = max(nanoseconds, 0) // NANOSECONDS
    minutes, hours = seconds // 60, round(seconds / 3600)
    if seconds < 1:
        return "Less than a second"
    if seconds < 60:
        return "1 second" if seconds == 1 else f"{seconds} seconds"
    if minutes < 60:
        return "About a minute" if minutes == 1 else f"{minutes} minutes"
    if hours < 48:
        return "About an hour" if hours == 1 else f"{hours} hours"
    return f"{hours // 24} days"


def inspect(container: Container, now_ns: int) -> bytes:
    """GET /containers/{id}/json."""
    spec = container.spec
    shown = spec.address if container.is_up else ""
    network = {"IPAddress": shown, "Networks": _networks(spec.network, shown)}
    policy = {"Name": spec.policy, "MaximumRetryCount": spec.policy_retries}
    return encode(
        _INSPECT
        | {
            "Id": container.id,
            "Created": timestamp(container.created_ns),
            "Path": spec.argv[0] if spec.argv else "",
            "Args": list(spec.argv[1:]),
            "State": _state(container, now_ns),
            "Name": f"/{container.name}",
            "RestartCount": container.restart_count,
            "HostConfig": _INSPECT["HostConfig"]
            | {"NetworkMode": spec.network, "RestartPolicy": policy, "Memory": spec.memory},
            "Config": _config(container),
            "NetworkSettings": _INSPECT["NetworkSettings"] | network,
        }
    )


def _state(container: Container, now_ns: int) -> dict[str, Any]:
    status = container.status
    state: dict[str, Any] = {
        "Status": status,
        "Running": status in ("running", "paused", "restarting"),
        "Paused": status == "paused",
        "Restarting": status == "restarting",
        "OOMKilled": container.oom,
        "Dead": status == "dead",
        "Pid": container.pid,
        "ExitCode": container.exit_code,
        "Error": container.error,
        "StartedAt": timestamp(container.started_ns),
        "FinishedAt": timestamp(container.finished_ns),
    }
    if container.health:
        state["Health"] = health_state(container, now_ns, timestamp)
    return state


def _config(container: Container) -> dict[str, Any]:
    spec = container.spec
    config = dict(_INSPECT["Config"])
    for optional in ("Healthcheck", "StopSignal", "StopTimeout"):
        config.pop(optional, None)
    config |= {"Hostname": container.id[:12], "Cmd": list(spec.argv), "Image": spec.image}
    config["Labels"] = dict(container.labels)
    if spec.check is not None:
        config["Healthcheck"] = {
            "Test": list(spec.check.test),
            "Interval": round(spec.check.interval * NANOSECONDS),
            "Timeout": round(spec.check.timeout * NANOSECONDS),
            "StartPeriod": round(spec.check.start_period * NANOSECONDS),
            "Retries": spec.check.retries,
        }
    if spec.stop_signal:
        config["StopSignal"] = spec.stop_signal
    if spec.stop_timeout is not None:
        config["StopTimeout"] = spec.stop_timeout
    return config
