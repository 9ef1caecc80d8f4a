"""What is known about a failure at the moment of its diagnosis. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from healing.core.status import Status
from healing.core.types import FailureType, ProbeResult, Snapshot

NEW_IMAGE = timedelta(minutes=30)
"""A failure that begins so soon after the image has changed names the change as evidence."""
LOG_LINES = 20


@dataclass(frozen=True, slots=True)
class NetworkParent:
    """The container whose network another shares, which the engine no longer has under the id that this one names.

    `new` is the id of the container that has taken its place, empty where none has.
    """

    old: str
    name: str = ""
    new: str = ""


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that is known about a failure at the moment of diagnosis."""

    failure_type: FailureType
    detected_message: str
    snapshot: Snapshot
    status: Status
    now: datetime
    logs: Sequence[str] = ()
    probes: Sequence[ProbeResult] = ()
    attempts_in_row: int = 0
    previous_image_id: str = ""
    image_changed_at: datetime | None = None
    start_error: str = ""
    """What the engine answered to our last attempt, where it refused."""
    network_parent: NetworkParent | None = None
    came_back: str = ""
    """The dependency that has come back, where this container is to be restarted along with it."""


def image_change(evidence: Evidence) -> dict[str, str]:
    """From which image to which, and when, where the failure began soon after; else empty."""
    changed = evidence.image_changed_at
    if changed is None or not evidence.previous_image_id or evidence.now - changed > NEW_IMAGE:
        return {}
    return {
        "from": evidence.previous_image_id,
        "to": evidence.snapshot.image_id,
        "image": evidence.snapshot.image,
        "at": changed.isoformat(),
    }


def facts(evidence: Evidence) -> dict[str, Any]:
    """What a record keeps of it, as JSON."""
    snapshot = evidence.snapshot
    return {
        "state": snapshot.state.value,
        "exit_code": snapshot.exit_code,
        "oom_killed": snapshot.oom_killed,
        "memory_limit": snapshot.memory_limit,
        "engine_error": snapshot.error,
        "health": snapshot.health.value,
        "health_output": snapshot.health_log[-1].output[:2000] if snapshot.health_log else "",
        "restart_policy": snapshot.restart_policy.name,
        "restart_count": snapshot.restart_count,
        "started_at": snapshot.started_at.isoformat() if snapshot.started_at else None,
        "finished_at": snapshot.finished_at.isoformat() if snapshot.finished_at else None,
        "image": snapshot.image,
        "network_parent": asdict(evidence.network_parent) if evidence.network_parent else None,
        "probes": [
            {"name": p.name, "verdict": p.verdict.value, "message": p.message} for p in evidence.probes
        ],
        "logs": list(evidence.logs[-LOG_LINES:]),
    }
