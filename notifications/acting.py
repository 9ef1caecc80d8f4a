"""What a link out of a message does, once, in one transaction with its being used up."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction

from notifications import approvals, links
from notifications.acknowledging import acknowledge
from notifications.core.alert import AlertKind, AlertLevel
from notifications.core.errors import ConfigError
from notifications.intake import key_of
from notifications.links import Action, Asked, Unusable, Why, approval_of
from notifications.models import ActiveAlert, GroupMessage, Notification
from notifications.silencing import matchers_of, preview, silence_alerts

BATCH = 500


@dataclass(frozen=True, slots=True)
class Subject:
    """What a link is about, as it is now: the alerts of its message that still fire, and what of them waits for approval."""

    asked: Asked
    lead: Notification | None
    alerts: tuple[ActiveAlert, ...]
    approvals: tuple[str, ...] = ()
    matchers: str = ""

    @property
    def seen(self) -> str:
        """Changes with what a person would decide by."""
        parts = [f"{alert.alert_key} {alert.level} {alert.starts_at.isoformat()}" for alert in self.alerts]
        return hashlib.sha256("\n".join([*parts, *self.approvals, self.matchers]).encode()).hexdigest()[:32]

    def also_muted(self, now: datetime) -> int:
        """How many alerts that are not of this message would be silenced along with it."""
        if not self.matchers:
            return 0
        own = {alert.pk for alert in self.alerts}
        return sum(alert.pk not in own for alert in preview(self.matchers, now))


@dataclass(frozen=True, slots=True)
class Done:
    """What was done: to how many alerts, and what else there is to say."""

    subject: Subject
    count: int = 0
    until: datetime | None = None
    sentences: tuple[str, ...] = ()


def look(asked: Asked) -> Subject:
    """Raise Unusable where there is nothing left to be done."""
    links.check_unused(asked)
    return _open_subject(asked)


def do(asked: Asked, seen: str, by: str, address: str, now: datetime) -> Done:
    """Do what the link asks and use it up, both or neither. Raise Unusable where it cannot be done.

    `seen` is that of the subject which the person has looked at: what has changed since is not decided on.
    """
    with transaction.atomic():
        links.use(asked, by, address, now)
        subject = _open_subject(asked)
        if subject.seen != seen:
            raise Unusable(Why.CHANGED, asked)
        if asked.action is Action.ACK:
            return _acknowledge(subject, by, now)
        if asked.action is Action.SILENCE:
            return _silence(subject, by, now)
        return _decide(subject, by, now)


def _acknowledge(subject: Subject, by: str, now: datetime) -> Done:
    count = acknowledge(subject.alerts, by, now)
    if not count:
        raise Unusable(Why.CHANGED, subject.asked)
    return Done(subject, count)


def _silence(subject: Subject, by: str, now: datetime) -> Done:
    title = subject.lead.title if subject.lead else subject.alerts[0].alert_key
    silence = silence_alerts(subject.alerts, by, f"by a link in the message: {title}", now)
    return Done(subject, len(subject.alerts), silence.ends_at)


def _decide(subject: Subject, by: str, now: datetime) -> Done:
    approved = subject.asked.action is Action.APPROVE
    try:
        sentences = [approvals.decide(what, by, approved, now) for what in subject.approvals]
    except approvals.Refused as refusal:
        raise Unusable(Why.REFUSED, subject.asked, text=str(refusal)) from None
    return Done(subject, len(subject.alerts), sentences=tuple(sentences))


def _open_subject(asked: Asked) -> Subject:
    """Raise Unusable where all of it is over, taken on by somebody, or cannot be silenced by a link."""
    message = GroupMessage.objects.select_related("lead").filter(pk=asked.message_id).first()
    if message is None:
        raise Unusable(Why.OVER, asked)
    told = {key_of(row): row for row in message.notifications.filter(kind=AlertKind.FIRING.value)}
    if asked.action.decides:
        told = {key: row for key, row in told.items() if approval_of(row.alert())}
    alerts = _still_firing(message, told)
    if not alerts:
        raise Unusable(Why.OVER, asked)
    if asked.action is Action.ACK:
        alerts = _not_taken_on(asked, alerts)
    waiting = [approval_of(told[alert.alert_key].alert()) for alert in alerts] if asked.action.decides else []
    return Subject(
        asked,
        message.lead,
        tuple(alerts),
        approvals=tuple(dict.fromkeys(waiting)),
        matchers=_matchers(asked, alerts) if asked.action is Action.SILENCE else "",
    )


def _still_firing(message: GroupMessage, told: dict[str, Notification]) -> list[ActiveAlert]:
    """Those of its alerts that have not ended, nor ended and begun anew, since the message; the gravest first."""
    found = [
        alert
        for keys in _batches(told)
        for alert in ActiveAlert.objects.filter(alert_key__in=keys, ends_at=None).select_related(
            "notification"
        )
        if alert.starts_at <= max(told[alert.alert_key].created_at, message.created_at)
    ]
    return sorted(found, key=lambda alert: (-AlertLevel(alert.level).rank, alert.starts_at, alert.pk))


def _not_taken_on(asked: Asked, alerts: list[ActiveAlert]) -> list[ActiveAlert]:
    free = [alert for alert in alerts if alert.acknowledged_at is None and not alert.is_event]
    if free:
        return free
    taken = [(alert.acknowledged_at, alert.acknowledged_by) for alert in alerts if alert.acknowledged_at]
    if not taken:
        raise Unusable(Why.OVER, asked)
    at, by = max(taken)
    raise Unusable(Why.ACKNOWLEDGED, asked, by=by, at=at)


def _matchers(asked: Asked, alerts: list[ActiveAlert]) -> str:
    try:
        return matchers_of(alerts)
    except ConfigError as error:
        raise Unusable(Why.REFUSED, asked, text=f"{error.reason[:1].upper()}{error.reason[1:]}.") from None


def _batches(keys: Iterable[str]) -> list[list[str]]:
    every = list(keys)
    return [every[at : at + BATCH] for at in range(0, len(every), BATCH)]


__all__ = ["Done", "Subject", "do", "look"]
