"""Maintenance windows as people see them: what for, open until when, opening next when."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from healing.core.errors import ConfigError
from healing.core.maintenance import Recurrence, next_opening, open_until
from healing.models import MaintenanceWindow
from healing.models.maintenance import SCOPES


def windows() -> list[MaintenanceWindow]:
    """All windows, by name, with what they are for."""
    related = [*SCOPES, "service__project"]
    return list(MaintenanceWindow.objects.select_related(*related))


def window_data(window: MaintenanceWindow, now: datetime) -> dict[str, Any]:
    """One window in plain data; times are aware and in UTC, or None. `for` says "host h1", or "everything"."""
    is_open, opens = opening(window, now)
    return {
        "name": window.name,
        "for": scope_text(window),
        "comes": when_text(window),
        "open_until": is_open,
        "opens_next": opens,
        "enabled": window.enabled,
        "reason": window.reason,
    }


def opening(window: MaintenanceWindow, now: datetime) -> tuple[datetime | None, datetime | None]:
    """Until when it is open now, and when it opens next; None where it is not, or never does."""
    if not window.enabled:
        return None, None
    try:
        schedule = window.schedule()
    except ConfigError:
        return None, None
    return open_until(schedule, now), next_opening(schedule, now)


def scope_text(window: MaintenanceWindow) -> str:
    """`host h1`, `everything`, or `nothing` for a row that says neither."""
    if window.everything:
        return "everything"
    scope = window.scope
    return f"{scope._meta.verbose_name} {scope}" if scope is not None else "nothing"


def when_text(window: MaintenanceWindow) -> str:
    """`weekly mon,wed 22:00–04:00 Europe/Berlin`, or `once`."""
    if window.recurrence == Recurrence.ONCE:
        return "once"
    days = window.weekdays or window.days
    start, end = (f"{moment:%H:%M}" if moment else "?" for moment in (window.start_time, window.end_time))
    return " ".join(part for part in (window.recurrence, days, f"{start}–{end}", window.time_zone) if part)
