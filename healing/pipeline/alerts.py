"""What people are told, and when: written into the outbox in the transaction of what it tells."""

from __future__ import annotations

from datetime import datetime

from healing.core.config import Config
from healing.core.types import AlertLevel
from healing.effective import known_book
from healing.models import Container, FailureRecord, Host
from healing.store import breakers, dependencies, heals, history
from healing.store.clock import db_now
from notifications.core.alert import Alert, AlertKind
from notifications.core.alert import AlertLevel as Level
from notifications.outbox import write

_ORDER = list(AlertLevel)


def told(level: str) -> int:
    """How grave the highest level told so far is; -1 where nobody was told."""
    return _ORDER.index(AlertLevel(level)) if level else -1


def failure(
    failure: FailureRecord,
    config: Config,
    level: AlertLevel,
    title: str,
    body: str = "",
    *,
    told_by_storm: bool = False,
) -> None:
    """Tell of a failure, once for each level: a lower or equal one is not repeated. Call it under the heal's claim.

    In maintenance nobody is told; what still fails when it ends is told then. While much of its host fails at once that is
    told, and below critical nothing else of what belongs to that incident; `told_by_storm`: nor is this, critical or not,
    until the storm is over.
    """
    if not config.send_alert or failure.is_trial or told(failure.alert_level) >= _ORDER.index(level):
        return
    if known_book().maintenance(failure.container, db_now()) is not None:
        return
    if (told_by_storm or level is not AlertLevel.CRITICAL) and _is_in_storm(failure):
        return
    heals.write(failure, alert_level=level.value)
    write(_of(failure, level, title, (body or failure.error_message) + _waiting(failure)))


def _waiting(failure: FailureRecord) -> str:
    """A line that names those held for this container: nobody is told of them but here."""
    if not known_book().dependencies.needed_by(failure.container_id):
        return ""
    names = dependencies.waiting(failure)
    return f"\nWaiting for it: {', '.join(names)}." if names else ""


def _is_in_storm(failure: FailureRecord) -> bool:
    """Whether it belongs to what is told of the breaker of its host, or of the fleet's; no statement where none is open.

    The breakers are as read when the heal was claimed. What belongs to no incident is in nobody's list but its own.
    """
    rows = (failure.container.host, known_book().system)
    incidents = {row.breaker_incident_id for row in rows if row.breaker_since is not None} - {None}
    return bool(incidents) and breakers.belongs(failure.pk, incidents)


def resolved(failure: FailureRecord, config: Config, title: str, body: str = "") -> None:
    """Close what was told of a failure; nobody is told the end of what they were not told the begin of."""
    if failure.alert_level and config.send_alert:
        write(_of(failure, AlertLevel.INFO, title, body, kind="resolved"))


def quarantine_ended(container: Container, config: Config, title: str) -> None:
    """The way out of a quarantine, whose alert had no end yet; of one that the storm's page told of, that page's end tells."""
    if config.send_alert and history.quarantine_was_told(container.pk):
        write(
            about_container(
                container, AlertLevel.INFO, title, "", f"container:{container.pk}", kind="resolved"
            )
        )


def _of(failure: FailureRecord, level: AlertLevel, title: str, body: str, kind: str = "firing") -> Alert:
    return Alert(
        level=Level(level.value),
        title=title,
        body=body,
        kind=AlertKind(kind),
        host=failure.host_name,
        project=failure.project_name,
        service=failure.service_name,
        container=failure.container_name,
        container_id=failure.container_id,
        failure_id=failure.pk,
        alert_key=f"container:{failure.container_id}",
        tenant_id=failure.tenant_id,
    )


def about_container(
    container: Container, level: AlertLevel, title: str, body: str, key: str, kind: str = "firing"
) -> Alert:
    return Alert(
        level=Level(level.value),
        title=title,
        body=body,
        kind=AlertKind(kind),
        host=container.host.name,
        project=container.project.name if container.project else "",
        service=container.service.name if container.service else "",
        container=container.name,
        container_id=container.pk,
        alert_key=key,
        tenant_id=container.tenant_id,
    )


def container(container: Container, config: Config, level: AlertLevel, title: str, body: str = "") -> None:
    """Tell once of a container without a failure record; in maintenance nobody is told."""
    if config.send_alert and known_book().maintenance(container, db_now()) is None:
        write(about_container(container, level, title, body, f"container:{container.pk}"))


def host_down(host: Host, error: str, since: datetime) -> None:
    text = f"{error}\nNothing is known of its containers and none is healed until it answers (since {since:%H:%M:%S} UTC)."
    write(_of_host(host, AlertLevel.ERROR, f"Host {host.name} does not answer", text, "firing"))


def host_up(host: Host) -> None:
    write(_of_host(host, AlertLevel.INFO, f"Host {host.name} answers again", "", "resolved"))


def _of_host(host: Host, level: AlertLevel, title: str, body: str, kind: str) -> Alert:
    return Alert(
        level=Level(level.value),
        title=title,
        body=body,
        kind=AlertKind(kind),
        host=host.name,
        alert_key=f"host:{host.pk}",
        tenant_id=host.tenant_id,
    )


def trouble(container: Container, message: str) -> None:
    """Tell that we cannot look at a container: a fault of ours, not of the container."""
    title = f"Selfheal cannot look at {container.name}"
    write(about_container(container, AlertLevel.ERROR, title, message, f"self:probe:{container.pk}"))


def trouble_over(container: Container) -> None:
    title = f"Selfheal can look at {container.name} again"
    write(
        about_container(container, AlertLevel.INFO, title, "", f"self:probe:{container.pk}", kind="resolved")
    )
