"""Rows for tests of what people look at: a fleet, its failures, its attempts."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any

from healing.models import Attempt, Container, FailureRecord, HealthStatus, Host, Project, Service

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def make_host(name: str = "h1") -> Host:
    return Host.objects.get_or_create(
        name=name, defaults={"engine_kind": "fake", "address": f"fake://{name}", "state": "up"}
    )[0]


def make_container(
    name: str = "web", host: str = "h1", project: str = "", service: str = "", **fields: Any
) -> Container:
    """A container with the health status that the signal gives it; `health` is a dict of its values."""
    health = fields.pop("health", {})
    parent = Project.objects.get_or_create(name=project)[0] if project else None
    own = Service.objects.get_or_create(project=parent, name=service)[0] if parent and service else None
    fields.setdefault("engine_id", hashlib.sha256(f"{host}/{name}".encode()).hexdigest())
    container = Container.objects.create(
        name=name, host=make_host(host), project=parent, service=own, **fields
    )
    if health:
        HealthStatus.objects.filter(container=container).update(**health)
    return Container.objects.get(pk=container.pk)


def make_failure(
    container: Container, after: float = 0.0, took: float | None = 10.0, **fields: Any
) -> FailureRecord:
    """A found failure, detected `after` seconds past NOON and resolved `took` seconds later (None: still open)."""
    detected = NOON + timedelta(seconds=after)
    values: dict[str, Any] = {
        "container": container,
        "engine_id": container.engine_id,
        "container_name": container.name,
        "host_name": container.host.name,
        "project_name": container.project.name if container.project else "",
        "service_name": container.service.name if container.service else "",
        "failure_type": "health_check_failed",
        "action": "restart",
        "action_result": "pending" if took is None else "success",
        "stage": "verify" if took is None else "closed",
        "detected_at": detected,
        "resolved_at": None if took is None else detected + timedelta(seconds=took),
    }
    return FailureRecord.objects.create(**{**values, **fields})


def make_attempt(failure: FailureRecord, number: int = 1, answered: float = 1.0, **fields: Any) -> Attempt:
    """An attempt whose engine call was answered `answered` seconds after the failure was detected."""
    detected = failure.detected_at
    values: dict[str, Any] = {
        "failure": failure,
        "container": failure.container,
        "number": number,
        "state": "succeeded",
        "fence": number,
        "budget_spent": number,
        "budget_limit": 5,
        "guard_engine_id": failure.engine_id,
        "intent_at": detected,
        "called_at": detected,
        "answered_at": detected + timedelta(seconds=answered),
    }
    return Attempt.objects.create(**{**values, **fields})
