"""What the tests of acting on alerts share: alerts that were told, and the page behind a link as a browser meets it."""

from __future__ import annotations

import html
import re
from datetime import datetime, timedelta
from urllib.parse import parse_qs, urlsplit

from django.test import Client
from django.utils import timezone

from notifications import messaging
from notifications.core.alert import Alert, AlertKind, AlertLevel
from notifications.flushing import flush_due
from notifications.intake import take_in
from notifications.models import ActiveAlert, Delivery, DeliveryState, GroupMessage
from tests.integration.notifications.conftest import written

FAILED = Alert(
    level=AlertLevel.WARNING,
    title="web-1 failed",
    host="alpha",
    project="shop",
    service="web",
    container="web-1",
    alert_key="container:1",
    alertname="container_failed",
    details={"path": "/admin/healing/failurerecord/7/change/"},
)
_GROUP_WAIT = timedelta(seconds=31)


def tell(*alerts: Alert, at: datetime | None = None) -> GroupMessage:
    """Write alerts, a minute ago if no time is given, and let their group have its turn; return the message, as if sent."""
    begun = at or timezone.now() - timedelta(minutes=1)
    for alert in alerts:
        written(alert, created_at=begun, route_at=begun)
    take_in(begun)
    messages = flush_due(begun + _GROUP_WAIT)
    assert len(messages) == 1
    Delivery.objects.filter(message__in=messages).update(state=DeliveryState.SENT)
    return GroupMessage.objects.get(pk=messages[0])


def write(alert: Alert, at: datetime | None = None) -> None:
    """Write an alert and take it in."""
    moment = at or timezone.now()
    written(alert, created_at=moment, route_at=moment)
    take_in(moment)


def end(alert: Alert) -> Alert:
    return Alert(AlertLevel.INFO, "over", kind=AlertKind.RESOLVED, alert_key=alert.alert_key)


def active(alert: Alert = FAILED) -> ActiveAlert:
    return ActiveAlert.objects.get(alert_key=alert.alert_key)


def links_of(message: GroupMessage) -> dict[str, str]:
    """The addresses by action, as a channel gets them."""
    delivery = Delivery.objects.filter(message=message).first()
    assert delivery is not None
    return {link.action: link.url for link in messaging.message_of(delivery).links}


class Browser:
    """Opens a link and presses its button; CSRF is checked as for any browser."""

    def __init__(self, url: str, language: str = "en") -> None:
        self.client = Client(enforce_csrf_checks=True, headers={"accept-language": language})
        parts = urlsplit(url)
        self.path, self.query = (
            parts.path,
            {name: values[0] for name, values in parse_qs(parts.query).items()},
        )
        self.status, self.page = 0, ""
        self.headers: dict[str, str] = {}

    def look(self) -> str:
        return self._keep(self.client.get(self.path, self.query))

    def press(self, **typed: str) -> str:
        """Send the form of the page that is shown."""
        assert "<form" in self.page, self.page
        return self._keep(self.client.post(self.path, {**self.hidden, **typed}))

    @property
    def hidden(self) -> dict[str, str]:
        fields = re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', self.page)
        return {name: html.unescape(value) for name, value in fields}

    def _keep(self, answer: object) -> str:
        self.status = answer.status_code  # type: ignore[attr-defined]
        self.headers = dict(answer.headers)  # type: ignore[attr-defined]
        self.page = answer.content.decode()  # type: ignore[attr-defined]
        return html.unescape(self.page)
