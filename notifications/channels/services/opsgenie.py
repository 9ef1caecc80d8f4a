"""Opsgenie: Alert API. All messages of an alert have one alias, by which the resolution closes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar
from urllib.parse import quote

from notifications.channels.exchange import Request
from notifications.channels.services.base import Service, json_request
from notifications.channels.services.pagerduty import key_of
from notifications.channels.services.reading import require_token
from notifications.channels.services.words import body_and_links, cut, title_of
from notifications.core.alert import AlertKind, AlertLevel, Message
from notifications.core.fields import Field, secret_names

MESSAGE_LIMIT = 130
DESCRIPTION_LIMIT = 15_000
ALIAS_LIMIT = 512
REGIONS: Mapping[str, str] = {"us": "https://api.opsgenie.com", "eu": "https://api.eu.opsgenie.com"}
_PRIORITIES: Mapping[AlertLevel, str] = {
    AlertLevel.CRITICAL: "P1",
    AlertLevel.ERROR: "P2",
    AlertLevel.WARNING: "P3",
    AlertLevel.INFO: "P5",
}


@dataclass(frozen=True, slots=True)
class OpsgenieChannel(Service):
    """`api_key` and `region`."""

    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field(
            "api_key",
            "API key",
            "Of an integration “API” that may create and close alerts",
            "secret",
            secret=True,
            required=True,
        ),
        Field("region", "Region", "Where your account lives", "choice", choices=(("us", "US"), ("eu", "EU"))),
    )
    SECRET_FIELDS: ClassVar[frozenset[str]] = secret_names(FIELDS)
    HIDDEN: ClassVar[tuple[str, ...]] = ("api_base",)

    api_key: str = field(default="", repr=False)
    region: str = "us"
    api_base: str = ""

    @classmethod
    def check(cls, values: Mapping[str, Any]) -> None:
        require_token(values, "api_key")

    def request(self, message: Message) -> Request:
        base = f"{self.api_base or REGIONS[self.region]}/v2/alerts"
        authorization = {"Authorization": f"GenieKey {self.api_key}"}
        alias = key_of(message, ALIAS_LIMIT)
        if message.status is AlertKind.RESOLVED:
            url = f"{base}/{quote(alias, safe='')}/close?identifierType=alias"
            return json_request(url, _note(message), authorization)
        return json_request(base, {"alias": alias, **_alert(message)}, authorization)


def _note(message: Message) -> dict[str, Any]:
    return {
        "source": "Selfheal",
        "user": "Selfheal",
        "note": cut(f"{message.title}\n{message.body}".strip(), DESCRIPTION_LIMIT),
    }


def _alert(message: Message) -> dict[str, Any]:
    alert = message.alert
    details = {
        "host": alert.host,
        "project": alert.project,
        "service": alert.service,
        "container": alert.container,
    }
    return {
        "message": cut(title_of(message), MESSAGE_LIMIT),
        "description": body_and_links(message, DESCRIPTION_LIMIT),
        "priority": _PRIORITIES[alert.level],
        "source": "Selfheal",
        "entity": alert.container or alert.host,
        "tags": [tag for tag in (alert.level.value, alert.alertname) if tag],
        "details": {name: value for name, value in details.items() if value} | {"id": message.id},
    }
