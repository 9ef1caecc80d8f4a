"""What people are told of a host: that its engine does not answer, and that it does again."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from healing.core.alertnames import AlertName
from healing.core.types import AlertLevel
from healing.core.wording import duration
from healing.effective import known_book
from healing.models import Host
from healing.pipeline import alert_details, alerts
from healing.store.clock import db_now
from notifications.core.alert import Alert, AlertKind
from notifications.core.alert import AlertLevel as Level
from notifications.outbox import write


def down(host: Host, error: str, since: datetime) -> None:
    """Tell that it has not answered since then."""
    text = f"{error}\nNothing is known of its containers and none is healed until it answers (since {since:%H:%M:%S} UTC)."
    details = {
        "since": since.isoformat(),
        "cause": error,
        "next": "Selfheal goes on asking it; checks and heals go on as soon as it answers.",
        "path": alert_details.page("host", host.pk),
    }
    title = f"Host {host.name} does not answer"
    write(of_host(host, AlertName.HOST_DOWN, AlertLevel.ERROR, title, text, details=details))


def up(host: Host) -> None:
    """`host` is as it was read before it answered."""
    details: dict[str, Any] = {"path": alert_details.page("host", host.pk)}
    body = ""
    if host.state_since is not None:
        lasted = duration(max((db_now() - host.state_since).total_seconds(), 0.0))
        body = f"It did not answer from {host.state_since:%Y-%m-%d %H:%M:%S} UTC on, for {lasted}: {host.error}".rstrip(
            ": "
        )
        details["since"] = host.state_since.isoformat()
    title = f"Host {host.name} answers again"
    kind = AlertKind.RESOLVED
    write(of_host(host, AlertName.HOST_DOWN, AlertLevel.INFO, title, body, kind=kind, details=details))


def of_host(host: Host, name: AlertName, level: AlertLevel, title: str, body: str, **fields: Any) -> Alert:
    """An alert about a host; it is a symptom where no engine answers at all."""
    tenant = known_book().tenant(host.tenant_id)
    fields = {"alert_key": alerts.key_of_host(host.pk), "depends_on": ("self:engines",)} | fields
    return Alert(
        level=Level(level.value),
        title=title,
        body=body,
        alertname=name.value,
        host=host.name,
        tenant_id=host.tenant_id,
        tenant=tenant.name if tenant else "",
        **fields,
    )
