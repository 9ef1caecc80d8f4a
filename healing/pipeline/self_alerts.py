"""The form of all alerts about Selfheal itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from healing.core.alertnames import AlertName
from healing.pipeline import alert_details
from notifications.core.alert import Alert, AlertLevel


def about_ourselves(
    name: AlertName,
    key: str,
    level: AlertLevel,
    title: str,
    body: str,
    *,
    details: Mapping[str, Any] | None = None,
    page: str = "trouble",
    **fields: Any,
) -> Alert:
    """About what `key` names, with a link to the admin's list of this model; `fields` are those of `Alert`."""
    return Alert(
        level=level,
        title=title,
        body=body,
        alertname=name.value,
        alert_key=f"self:{key}",
        details={**(details or {}), "path": alert_details.page(page)},
        **fields,
    )
