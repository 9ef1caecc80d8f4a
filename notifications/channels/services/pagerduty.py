"""PagerDuty: Events API v2. All messages of an alert have one `dedup_key`; the resolution closes the incident."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from notifications.channels.exchange import Request
from notifications.channels.services.base import Service, json_request
from notifications.channels.services.reading import require_token
from notifications.channels.services.words import cut, title_of
from notifications.core.alert import AlertKind, Message
from notifications.core.fields import Field, secret_names

SUMMARY_LIMIT = 1024
DETAILS_LIMIT = 16_000
KEY_LIMIT = 255
REGIONS: Mapping[str, str] = {"us": "https://events.pagerduty.com", "eu": "https://events.eu.pagerduty.com"}


@dataclass(frozen=True, slots=True)
class PagerdutyChannel(Service):
    """`integration_key` and `region`."""

    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field(
            "integration_key",
            "Integration key",
            "Of an integration “Events API V2” of the service: 32 letters and digits",
            "secret",
            secret=True,
            required=True,
        ),
        Field("region", "Region", "Where your account lives", "choice", choices=(("us", "US"), ("eu", "EU"))),
    )
    SECRET_FIELDS: ClassVar[frozenset[str]] = secret_names(FIELDS)
    HIDDEN: ClassVar[tuple[str, ...]] = ("api_base",)

    integration_key: str = field(default="", repr=False)
    region: str = "us"
    api_base: str = ""

    @classmethod
    def check(cls, values: Mapping[str, Any]) -> None:
        require_token(values, "integration_key")

    def request(self, message: Message) -> Request:
        resolved = message.status is AlertKind.RESOLVED
        event: dict[str, Any] = {
            "routing_key": self.integration_key,
            "event_action": "resolve" if resolved else "trigger",
            "dedup_key": key_of(message, KEY_LIMIT),
            "payload": _payload(message),
        }
        if not resolved:
            event["client"] = "Selfheal"
            event["links"] = [{"href": link.url, "text": link.label} for link in message.links]
        return json_request(f"{self.api_base or REGIONS[self.region]}/v2/enqueue", event)


def key_of(message: Message, limit: int) -> str:
    """The key that opens and closes; one that is too long is replaced by its digest."""
    key = message.thread_key
    return key if len(key) <= limit else hashlib.sha256(key.encode()).hexdigest()


def _payload(message: Message) -> dict[str, Any]:
    alert = message.alert
    payload = {
        "summary": cut(title_of(message), SUMMARY_LIMIT),
        "source": alert.host or alert.container or "selfheal",
        "severity": alert.level.value,
        "timestamp": message.created_at.isoformat(),
        "component": alert.container or alert.service,
        "group": alert.project,
        "class": alert.alertname or alert.failure_type,
        "custom_details": {
            "text": cut(message.body, DETAILS_LIMIT),
            "alerts": len(message.all),
            "id": message.id,
        },
    }
    return {name: value for name, value in payload.items() if value}
