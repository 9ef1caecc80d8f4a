"""The breakers: how they stand, and what a person may do with them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.db import transaction

from healing import commands
from healing.commands import Refused
from healing.core.breaker import BreakerMode, is_approved
from healing.models import Host, SystemState
from healing.store import breaker_counts, breakers
from healing.store.breaker_counts import Row
from healing.store.clock import db_now


def fleet() -> SystemState:
    """Where the fleet's own breaker is kept."""
    return SystemState.objects.get_or_create(pk=1)[0]


def everywhere() -> list[Row]:
    """The fleet's breaker, and those of all hosts."""
    return [fleet(), *Host.objects.all()]


def breaker_status(rows: Sequence[Row] | None = None) -> list[dict[str, Any]]:
    """Each breaker as plain data; of everything where none is named. Times are aware UTC datetimes.

    `state` is closed, open, or approved: open, and a person lets it heal until `approved_until`. `incident` is the id
    of the failure record that stands for the storm; it outlasts the breaker while containers of it are in quarantine.
    """
    now = db_now()
    return [_status(row, now) for row in (everywhere() if rows is None else rows)]


def _status(row: Row, now: datetime) -> dict[str, Any]:
    failures = breaker_counts.failures_of(row)
    state = "closed" if row.breaker_since is None else "open"
    if state == "open" and row.breaker_mode == BreakerMode.APPROVAL:
        state = "approved" if is_approved(breakers.to_core(row), now) else "open"
    return {
        "breaker": breakers.name_of(row),
        "state": state,
        "mode": BreakerMode(row.breaker_mode).value,
        "share": row.breaker_share,
        "failing": failures.count(),
        "running": breaker_counts.number_running(row),
        "held": breakers.held(row).count(),
        "since": row.breaker_since,
        "approved_until": row.approved_until,
        "incident": row.breaker_incident_id,
    }


def approve(rows: Sequence[Row], until: datetime) -> list[Row]:
    """Let these go on until then, all or none. Raise Refused for an empty selection, and where one has nothing to approve."""
    if not rows:
        raise Refused("No breaker is selected, so nothing was approved")
    with transaction.atomic():
        for row in rows:
            commands.approve_breaker(row, until)
    return list(rows)


def approve_all(until: datetime) -> list[Row]:
    """Let all go on that wait for approval. Raise Refused where none does."""
    waiting = [row for row in everywhere() if row.breaker_since and row.breaker_mode == BreakerMode.APPROVAL]
    if not waiting:
        raise Refused("No breaker waits for approval, so nothing was approved")
    return approve(waiting, until)


def configure(rows: Sequence[Row], mode: BreakerMode | None = None, share: float | None = None) -> None:
    """Set mode and share of these, all or none. Raise Refused for an empty selection or a wrong share."""
    if not rows:
        raise Refused("No breaker is selected, so nothing was set")
    with transaction.atomic():
        for row in rows:
            commands.set_breaker(row, mode, share)
