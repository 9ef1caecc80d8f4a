"""What people and scripts ask: the health of a container, its failures, and figures over all of them.

Everything is plain data (dicts, lists, strings, numbers, aware UTC datetimes); durations are seconds.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.utils import timezone

from healing.api.figures import Selection, figures
from healing.api.lookup import find_container, find_host, find_project
from healing.core.config import FIELD_NAMES, Effective
from healing.effective import config_book, effective_config
from healing.models import Attempt, Container, FailureRecord, HealthStatus


def container_health(name: str, host: str | None = None) -> dict[str, Any]:
    """Everything known about one container now. Raise LookupFailed for an unknown or ambiguous name.

    `container_id` is the engine's id. `config` holds the effective healing config and `config_origins` where each
    value came from; `quarantine`, `paused` and `maintenance` are None, or say since when, until when, and why; `dry_run`
    names the scope whose dry run holds, or is None.
    """
    container = find_container(name, host)
    status = _status(container)
    effective = effective_config(container)
    open_failure = container.failures.filter(resolved_at=None, is_found=True).first()
    return {
        "container_id": container.engine_id,
        "name": container.name,
        "host": container.host.name,
        "project_name": container.project.name if container.project else "",
        "service_name": container.service.name if container.service else "",
        "tenant_id": container.tenant_id,
        "image": container.image,
        "monitored": container.monitored,
        "status": status.status,
        "lifecycle": status.lifecycle,
        "last_check_time": status.last_checked_at,
        "consecutive_failures": status.consecutive_failures,
        "total_restarts": status.total_restarts,
        "last_restart_time": status.last_restart_time,
        "message": status.message,
        "quarantine": _quarantine(status),
        "paused": pause_of(container, timezone.now()),
        "maintenance": maintenance_of(container, timezone.now()),
        "dry_run": config_book().dry_run_by(container) or None,
        "open_failure": record_data(open_failure) if open_failure else None,
        "config": config_values(effective),
        "config_origins": dict(effective.origins),
        "warnings": list(dict.fromkeys([*status.warnings, *effective.warnings])),
    }


def failure_history(name: str, limit: int = 50, host: str | None = None) -> list[dict[str, Any]]:
    """The newest `limit` failure records of one container, newest first: found ones and what was done about them."""
    if limit < 1:
        raise ValueError(f"limit is {limit}; write a whole number from 1 up")
    container = find_container(name, host)
    records = FailureRecord.objects.filter(container=container).prefetch_related("attempts")
    return [record_data(record) for record in records[:limit]]


def healing_stats(
    since: datetime | None = None, project: str | None = None, host: str | None = None
) -> dict[str, Any]:
    """Reliability figures over all containers, or those of one project or host, since a time or the beginning.

    MTBF and the failure counts take found failures only, without those that say nothing about healing (a container
    that was removed). A figure that cannot be told yet is None. Raise LookupFailed for an unknown project or host.
    """
    selection = Selection(
        since=since,
        project=find_project(project) if project else None,
        host=find_host(host) if host else None,
    )
    return {"since": since, "project": project, "host": host, **figures(selection)}


def record_data(record: FailureRecord) -> dict[str, Any]:
    """One failure record under the documented field names, then further ones."""
    return {
        "id": record.pk,
        "container_id": record.engine_id,
        "service_name": record.service_name,
        "project_name": record.project_name,
        "failure_type": record.failure_type,
        "error_message": record.error_message,
        "details": record.details,
        "action": record.action,
        "action_result": record.action_result,
        "detected_at": record.detected_at,
        "resolved_at": record.resolved_at,
        "tenant_id": record.tenant_id,
        "name": record.container_name,
        "host": record.host_name,
        "cause": record.cause,
        "reason": record.reason,
        "is_found": record.is_found,
        "parent": record.parent_id,
        "stage": record.stage,
        "due_at": record.due_at,
        "attempts": [_attempt_data(attempt) for attempt in record.attempts.all()],
    }


def config_values(effective: Effective) -> dict[str, Any]:
    """The effective config as plain values, by field name."""
    values = {name: getattr(effective.config, name) for name in FIELD_NAMES}
    return {name: str(value) if isinstance(value, str) else value for name, value in values.items()}


def pause_of(container: Container, now: datetime) -> dict[str, Any] | None:
    """The pause that holds for a container now: until when, and whose it is and why; None without one."""
    until, reason = config_book().paused(container, now)
    return {"until": until, "reason": reason} if until is not None else None


def maintenance_of(container: Container, now: datetime) -> dict[str, Any] | None:
    """The maintenance window that is open for a container now: until when, and which and why; None without one."""
    hold = config_book().maintenance(container, now)
    return {"until": hold.until, "reason": hold.reason} if hold is not None else None


def _status(container: Container) -> HealthStatus:
    try:
        return container.health
    except HealthStatus.DoesNotExist:
        return HealthStatus(container=container)


def _quarantine(status: HealthStatus) -> dict[str, datetime | None] | None:
    if status.quarantined_at is None:
        return None
    return {"since": status.quarantined_at, "until": status.quarantine_until}


def _attempt_data(attempt: Attempt) -> dict[str, Any]:
    names = (
        "number", "action", "state", "reason", "budget_spent", "budget_limit", "backoff", "stop_timeout",
        "intent_at", "called_at", "answered_at", "ended_at", "looks", "answer", "outcome",
    )  # fmt: skip
    return {name: getattr(attempt, name) for name in names}
