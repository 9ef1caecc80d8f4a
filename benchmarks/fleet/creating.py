"""Containers from the body of POST /containers/create, and those that a fleet begins with."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterator, Mapping
from typing import Any

from benchmarks.fleet.commands import main_process
from benchmarks.fleet.container import NANOSECONDS, Check, Container, Spec, now
from benchmarks.fleet.errors import Refusal
from benchmarks.fleet.settings import FleetSettings

IMAGE = "selfheal-fleet/app:1"
IDLE = ("sh", "-c", "trap 'exit 0' TERM; sleep 100000 & wait")
CHECK = ("CMD-SHELL", "curl -fsS http://127.0.0.1:8080/health || exit 1")
PER_PROJECT = 10

_HOUR_NS = 3600 * NANOSECONDS


def new_container(name: str, body: Mapping[str, Any]) -> Container:
    """Raise Refusal for what cannot be created."""
    identity = f"{uuid.uuid4().hex}{uuid.uuid4().hex}"
    host = _mapping(body.get("HostConfig"))
    policy = _mapping(host.get("RestartPolicy"))
    argv = tuple(str(word) for word in (*_words(body.get("Entrypoint")), *_words(body.get("Cmd"))))
    if not argv:
        raise Refusal(400, "No command specified")
    spec = Spec(
        argv=argv,
        image=str(body.get("Image") or IMAGE),
        plan=main_process(argv),
        check=_check(_mapping(body.get("Healthcheck"))),
        policy=str(policy.get("Name") or "no"),
        policy_retries=int(policy.get("MaximumRetryCount") or 0),
        stop_signal=str(body.get("StopSignal") or ""),
        stop_timeout=body.get("StopTimeout"),
        network=str(host.get("NetworkMode") or "default"),
        memory=int(host.get("Memory") or 0),
    )
    labels = {str(key): str(value) for key, value in _mapping(body.get("Labels")).items()}
    return Container(identity, name or f"c{identity[:12]}", labels, spec, now())


def fleet_containers(engine: str, settings: FleetSettings) -> Iterator[Container]:
    """Running and healthy since an hour, ten to a Compose project."""
    check = Check(CHECK, interval=settings.health_interval, retries=settings.health_retries)
    network = "bridge" if settings.address else "none"
    spec = Spec(IDLE, IMAGE, main_process(IDLE), check, network=network, address=settings.address)
    since = now() - _HOUR_NS
    for number in range(settings.containers):
        identity = hashlib.sha256(f"{settings.seed}/{engine}/{number}".encode()).hexdigest()
        project, service = f"p{number // PER_PROJECT:03d}", f"s{number % PER_PROJECT}"
        labels = {
            "com.docker.compose.project": f"{engine}-{project}",
            "com.docker.compose.service": service,
            **settings.labels,
        }
        container = Container(identity, f"{engine}-{project}-{service}", labels, spec, since + number)
        container.status, container.pid = "running", 100_000 + number
        container.started_ns = since + number
        container.turn("healthy", container.started_ns + round(check.interval * NANOSECONDS))
        yield container


def _check(body: Mapping[str, Any]) -> Check | None:
    test = tuple(str(word) for word in body.get("Test") or ())
    if not test or test[0] == "NONE":
        return None
    default = Check(test)
    return Check(
        test,
        _seconds(body, "Interval") or default.interval,
        _seconds(body, "Timeout") or default.timeout,
        _seconds(body, "StartPeriod"),
        int(body.get("Retries") or default.retries),
    )


def _seconds(body: Mapping[str, Any], key: str) -> float:
    return float(body.get(key) or 0) / NANOSECONDS


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _words(value: object) -> list[str]:
    if isinstance(value, str):
        return [value]
    return [str(word) for word in value] if isinstance(value, list) else []
