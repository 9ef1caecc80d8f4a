"""What people are told, and when: written into the outbox in the transaction of what it tells."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from healing.core import alertnames
from healing.core.alertnames import AlertName
from healing.core.config import Config
from healing.core.types import AlertLevel
from healing.core.wording import duration
from healing.effective import known_book
from healing.models import Attempt, Container, FailureRecord
from healing.pipeline import alert_details
from healing.store import breakers, dependencies, heals, history, statuses
from healing.store.clock import db_now
from notifications.core.alert import Alert, AlertKind, Outcome
from notifications.core.alert import AlertLevel as Level
from notifications.models import ActiveAlert
from notifications.outbox import write

TOLD_AS = "told_as"
"""The part of a failure's details that says under which name it was told last: its end is told under the same."""
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
    name: AlertName | None = None,
    outcome: Outcome = Outcome.NONE,
    attempts: Sequence[Attempt] | None = None,
    next_step: str = "",
    told_by_storm: bool = False,
) -> None:
    """Tell of a failure, once for each level: a lower or equal one is not repeated. Call it under the heal's claim.

    In maintenance nobody is told; what still fails when it ends is told then. While much of its host fails at once that is
    told, and below critical nothing else of what belongs to that incident; `told_by_storm`: nor is this, critical or not,
    until the storm is over.

    `attempts` are those of this failure, oldest first; None has them read, which is one statement where it is told.
    """
    if not config.send_alert or failure.is_trial or told(failure.alert_level) >= _ORDER.index(level):
        return
    if known_book().maintenance(failure.container, db_now()) is not None:
        return
    if (told_by_storm or level is not AlertLevel.CRITICAL) and _is_in_storm(failure):
        return
    known = name or alertnames.of_cause(failure.cause)
    heals.write(failure, alert_level=level.value, details={**failure.details, TOLD_AS: known.value})
    made = _attempts_of(failure) if attempts is None else attempts
    text = (body or failure.error_message) + _waiting(failure)
    write(
        of_failure(
            failure,
            known,
            level,
            title,
            text,
            outcome=outcome,
            details=alert_details.of_failure(failure, made, next_step),
        )
    )


def _attempts_of(failure: FailureRecord) -> list[Attempt]:
    return list(failure.attempts.order_by("number"))


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


def resolved(
    failure: FailureRecord,
    title: str,
    body: str = "",
    *,
    outcome: Outcome = Outcome.NONE,
    since: datetime | None = None,
) -> None:
    """Close what was told of a failure, in words that stand alone; nobody is told the end of what they were not told the begin of.

    Call it when the record is closed. With a trial the quarantine, which began at `since`, ends unless the container is
    still in it. What was told has its end also where `send_alert` was switched off since.
    """
    if failure.is_trial and not statuses.is_quarantined(failure.container_id):
        quarantine_ended(failure.container, title, outcome=outcome, since=since)
    if failure.is_trial or not failure.alert_level:
        return
    attempts, ended = _attempts_of(failure), failure.resolved_at or db_now()
    lines = [*([body] if body else []), *alert_details.story(failure, attempts, ended)]
    details = alert_details.of_failure(failure, attempts, "") | {
        "ended": ended.isoformat(),
        "seconds": round(max((ended - failure.detected_at).total_seconds(), 0.0), 1),
    }
    name = AlertName(failure.details.get(TOLD_AS) or alertnames.of_cause(failure.cause))
    write(
        of_failure(
            failure,
            name,
            AlertLevel.INFO,
            title,
            "\n".join(lines),
            kind=AlertKind.RESOLVED,
            outcome=outcome,
            details=details,
        )
    )


def quarantine_ended(
    container: Container,
    title: str,
    *,
    outcome: Outcome = Outcome.NONE,
    since: datetime | None = None,
) -> None:
    """The way out of a quarantine, whose alert had no end yet; of one that the storm's page told of, that page's end tells."""
    if not _quarantine_was_told(container.pk):
        return
    details: dict[str, Any] = {"path": alert_details.page("container", container.pk)}
    body = ""
    if since is not None:
        lasted = duration(max((db_now() - since).total_seconds(), 0.0))
        body = f"It was in quarantine from {since:%Y-%m-%d %H:%M:%S} UTC, for {lasted}."
        details["since"] = since.isoformat()
    write(
        about_container(
            container,
            AlertName.QUARANTINED,
            AlertLevel.INFO,
            title,
            body,
            kind=AlertKind.RESOLVED,
            outcome=outcome,
            details=details,
        )
    )


def _quarantine_was_told(container_id: int) -> bool:
    """Whether people were told of it, and not yet of its end; where its record is gone, whether something about the container fires."""
    was_told = history.quarantine_was_told(container_id)
    if was_told is not None:
        return was_told
    return ActiveAlert.objects.filter(alert_key=key_of(container_id), ends_at=None).exists()


def of_failure(
    failure: FailureRecord, name: AlertName, level: AlertLevel, title: str, body: str, **fields: Any
) -> Alert:
    """An alert about a failure, under the key of its container (no statement where the container is loaded)."""
    container = failure.container
    return Alert(
        level=Level(level.value),
        title=title,
        body=body,
        alertname=name.value,
        host=failure.host_name,
        project=failure.project_name,
        service=failure.service_name,
        container=failure.container_name,
        failure_id=failure.pk,
        failure_type=failure.failure_type,
        alert_key=key_of(container.pk),
        **_placed(container),
        **fields,
    )


def about_container(
    container: Container, name: AlertName, level: AlertLevel, title: str, body: str, **fields: Any
) -> Alert:
    """An alert about a container without a failure record."""
    fields.setdefault("alert_key", key_of(container.pk))
    return Alert(
        level=Level(level.value),
        title=title,
        body=body,
        alertname=name.value,
        host=container.host.name,
        project=container.project.name if container.project else "",
        service=container.service.name if container.service else "",
        container=container.name,
        **_placed(container),
        **fields,
    )


def _placed(container: Container) -> dict[str, Any]:
    """Whose it is, its labels, and the keys of what it is but a symptom of while that fires: its host, all that it needs."""
    book = known_book()
    tenant = book.tenant_of(container)
    needed = [key_of(pk) for pk in book.dependencies.behind(container.pk)]
    return {
        "container_id": container.pk,
        "tenant_id": tenant.pk if tenant else container.tenant_id,
        "tenant": tenant.name if tenant else "",
        "labels": container.labels,
        "depends_on": (key_of_host(container.host_id), *needed),
    }


def key_of(container_id: int) -> str:
    return f"container:{container_id}"


def key_of_host(host_id: int) -> str:
    return f"host:{host_id}"


def found_stopped(container: Container, config: Config, title: str, why: str) -> None:
    """Tell once that a container was found stopped and is left alone; in maintenance nobody is told. It has no end."""
    if not config.send_alert or known_book().maintenance(container, db_now()) is not None:
        return
    details = {
        "cause": why,
        "next": "Nothing, until it is started; from then on it is watched again.",
        "path": alert_details.page("container", container.pk),
    }
    name = AlertName.STOPPED_WHILE_AWAY
    write(
        about_container(
            container,
            name,
            AlertLevel.WARNING,
            title,
            why,
            is_event=True,
            details=details,
            alert_key=f"stopped:{container.pk}",
        )
    )


def trouble(container: Container, message: str) -> None:
    """Tell that we cannot look at a container: a fault of ours, not of the container."""
    title = f"Selfheal cannot look at {container.name}"
    details = {
        "cause": message,
        "next": "It counts as unknown and is not healed; Selfheal tries again at growing pauses.",
        "path": alert_details.page("container", container.pk),
    }
    _cannot_look(container, AlertLevel.ERROR, title, message, details=details)


def trouble_over(container: Container) -> None:
    title = f"Selfheal can look at {container.name} again"
    details = {"path": alert_details.page("container", container.pk)}
    _cannot_look(container, AlertLevel.INFO, title, "", kind=AlertKind.RESOLVED, details=details)


def _cannot_look(container: Container, level: AlertLevel, title: str, body: str, **fields: Any) -> None:
    key = f"self:probe:{container.pk}"
    write(about_container(container, AlertName.CANNOT_LOOK, level, title, body, alert_key=key, **fields))
