"""What is told of Selfheal's own parts: that one is silent, or that its clock is wrong."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from healing.core.alertnames import AlertName
from healing.core.liveness import Part
from healing.pipeline import liveness
from healing.pipeline.self_alerts import about_ourselves
from notifications.core.alert import Alert, AlertKind, AlertLevel

CLOCK = "clock:"
"""The name of a process's clock, as of a part, begins so."""


def stopped(part: Part, now: datetime) -> Alert:
    """That it has given no sign of life for so long."""
    silent = (now - part.sign_at).total_seconds() if part.sign_at is not None else 0.0
    body = f"No sign of life for {silent:.0f} s. {part.details} {part.advice}".replace("  ", " ")
    details = {
        "since": part.sign_at.isoformat() if part.sign_at is not None else "",
        "cause": f"no sign of life for {silent:.0f} s",
        "evidence": [part.details] if part.details else [],
        "next": part.advice,
    }
    return about(AlertLevel.CRITICAL, part.what, body, part.name, needs=part.needs, details=details)


def about(
    level: AlertLevel,
    title: str,
    body: str,
    name: str,
    *,
    kind: AlertKind = AlertKind.FIRING,
    needs: Iterable[str] = (),
    details: Mapping[str, Any] | None = None,
) -> Alert:
    """About the part of this name; it is a symptom while one that it `needs` is told of."""
    depends_on = tuple(f"self:{each}" for each in needs)
    what = _alertname(name)
    return about_ourselves(what, name, level, title, body, kind=kind, depends_on=depends_on, details=details)


def _alertname(name: str) -> AlertName:
    """A queue's silence is told under the name and key that the tick tells it under as well."""
    if name.startswith(CLOCK):
        return AlertName.CLOCK_SKEWED
    return AlertName.QUEUE_UNSERVED if name.startswith(liveness.QUEUE) else AlertName.SELFHEAL_SILENT


def skewed(process: str, behind: float) -> Alert:
    """That its clock is so many seconds behind the database's (negative: ahead)."""
    title = f"The clock of process {process} is {abs(behind):.0f} s {'behind' if behind > 0 else 'ahead'}"
    body = "Than the database's. What orders things is not taken from it; set it right: messages and logs bear its time."
    return about(AlertLevel.ERROR, title, body, f"{CLOCK}{process}", details={"cause": title})
