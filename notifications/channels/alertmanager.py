"""The alertmanager channel: our alerts are sent on to Prometheus Alertmanagers, by their API v2."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, ClassVar, Self

from notifications.channels.http import TIMEOUT, judge, post
from notifications.core.alert import Alert, AlertLevel, Message, Told
from notifications.core.config import (
    read_bool,
    read_integer,
    read_lines,
    read_text,
    read_urls,
    refuse_unknown,
    shortened,
)
from notifications.core.errors import ConfigError, PermanentError, TemporaryError
from notifications.core.fields import Field, secret_names

PATH = "/api/v2/alerts"
FIRING_FOR = 86_400
EVENT_FOR = timedelta(hours=1)
"""How long what has no end fires there."""
TEXT_LIMIT = 8_000
_ILLEGAL = re.compile(r"[^a-zA-Z0-9_]")


@dataclass(frozen=True, slots=True)
class AlertmanagerChannel:
    """`urls` are the members of one cluster. Each is told; one that took it is enough, since they speak to each other."""

    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field(
            "urls",
            "Addresses",
            "One a line, such as https://alertmanager:9093; all members of the cluster.",
            "lines",
            secret=True,
            required=True,
        ),
        Field("username", "User", "For basic authentication."),
        Field("password", "Password", "For basic authentication.", "secret", secret=True),
        Field("token", "Bearer token", "In place of user and password.", "secret", secret=True),
        Field("tls_verify", "Verify TLS", "Off only for a certificate that nobody has signed.", "boolean"),
        Field(
            "firing_for",
            "Fires for",
            "Seconds for which an alert fires there without news from here; longer than the repeat interval.",
            "integer",
        ),
        Field(
            "labels",
            "Labels of containers",
            "Names of labels of containers to send along, one a line. Only such as do not change while an alert fires.",
            "lines",
        ),
    )
    SECRET_FIELDS: ClassVar[frozenset[str]] = secret_names(FIELDS)

    urls: tuple[str, ...] = field(repr=False)
    authorization: str = field(default="", repr=False)
    tls_verify: bool = True
    firing_for: int = FIRING_FOR
    labels: tuple[str, ...] = ()
    timeout: float = TIMEOUT

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        refuse_unknown(config, tuple(each.name for each in cls.FIELDS))
        return cls(
            urls=read_urls(config, "urls"),
            authorization=_read_authorization(config),
            tls_verify=read_bool(config, "tls_verify", default=True),
            firing_for=read_integer(config, "firing_for", FIRING_FOR, 60, 31_536_000),
            labels=read_lines(config, "labels"),
        )

    def send(self, message: Message) -> str:
        alerts = postable_alerts(message, self.firing_for, self.labels)
        body = json.dumps(alerts, ensure_ascii=False).encode("utf-8", "replace")
        # Those that hang must not take the time of the others.
        timeout = self.timeout / len(self.urls) if len(self.urls) > 1 else self.timeout
        answers: list[str] = []
        faults: list[PermanentError | TemporaryError] = []
        for url in self.addresses:
            try:
                answers.append(self._tell(url, body, timeout))
            except (PermanentError, TemporaryError) as fault:
                faults.append(fault)
        return _sum_up(answers, faults)

    @property
    def addresses(self) -> tuple[str, ...]:
        """Of the API, below what may be the path prefix of a proxy; a whole one is taken as it is."""
        bases = [url.rstrip("/") for url in self.urls]
        return tuple(base if base.endswith(PATH) else base + PATH for base in bases)

    def _tell(self, url: str, body: bytes, timeout: float) -> str:
        headers = {"Content-Type": "application/json", "User-Agent": "selfheal"}
        if self.authorization:
            headers["Authorization"] = self.authorization
        answer = post(url, body, headers, tls_verify=self.tls_verify, timeout=timeout)
        return judge(answer, [url, self.authorization])


def postable_alerts(
    message: Message, firing_for: int = FIRING_FOR, own_labels: tuple[str, ...] = ()
) -> list[dict[str, Any]]:
    """The body of POST /api/v2/alerts: what fires, and the end of what has fired under other labels."""
    lasts = timedelta(seconds=firing_for)
    return [entry for told in message.all for entry in _postable(told, message, lasts, own_labels)]


def _postable(
    told: Told, message: Message, lasts: timedelta, own_labels: tuple[str, ...]
) -> Iterator[dict[str, Any]]:
    """Labels are an alert's identity there: what fired as a warning is ended as one, also when it has become critical."""
    alert = told.alert
    labels = labels_of(alert, own_labels)
    now = {name: labels[name] for name in ("alertname", "severity")}
    common = {"annotations": _annotations(alert), **_generator(message)}
    if alert.is_firing:
        ends = message.created_at + (min(lasts, EVENT_FOR) if alert.is_event else lasts)
        yield {"labels": labels, **_times(_since(alert) or told.created_at, ends), **common}
    for before in _fired_as(alert):
        if not (alert.is_firing and before == now):
            yield {"labels": {**labels, **before}, **_times(_since(alert), told.created_at), **common}


def _fired_as(alert: Alert) -> list[dict[str, str]]:
    """Under which names and severities it has fired; where its end does not say that, any severity is ended."""
    known = alert.details.get("fired_as")
    if isinstance(known, list):
        return [{"alertname": _name(one["alertname"]), "severity": str(one["severity"])} for one in known]
    levels = [] if alert.is_firing else [level.value for level in AlertLevel]
    return [{"alertname": _name(alert.alertname), "severity": level} for level in levels]


def labels_of(alert: Alert, own_labels: tuple[str, ...] = ()) -> dict[str, str]:
    """What stays the same from an alert's begin to its end, beside name and severity; without the empty ones.

    `own_labels`: names of the container's labels that go along, with what is illegal there replaced by `_`.
    """
    labels = {legal_name(name): alert.labels[name] for name in own_labels if name in alert.labels}
    labels |= {
        name: str(getattr(alert, name)) for name in ("host", "project", "service", "container", "tenant")
    }
    labels |= {"alertname": _name(alert.alertname), "severity": alert.level.value}
    return {name: value for name, value in labels.items() if value}


def legal_name(name: str) -> str:
    """A label's name as Prometheus has it: `[a-zA-Z_][a-zA-Z0-9_]*`."""
    legal = _ILLEGAL.sub("_", name)
    return f"_{legal}" if legal[:1].isdigit() or not legal else legal


def _name(alertname: str) -> str:
    """Alerts without a name are routed by nobody there."""
    return alertname or "selfheal"


def _annotations(alert: Alert) -> dict[str, str]:
    texts = {
        "summary": alert.title,
        "description": alert.body,
        "failure_type": alert.failure_type,
        "cause": str(alert.details.get("cause") or ""),
        "next": str(alert.details.get("next") or ""),
        "alert_key": alert.alert_key,
    }
    return {name: shortened(text, TEXT_LIMIT) for name, text in texts.items() if text}


def _times(starts: datetime | None, ends: datetime) -> dict[str, str]:
    """The end is never before the begin; without a begin they take the end for it."""
    times = {"endsAt": ends.isoformat()}
    return {"startsAt": starts.isoformat(), **times} if starts is not None and starts <= ends else times


def _since(alert: Alert) -> datetime | None:
    try:
        since = datetime.fromisoformat(str(alert.details.get("since")))
    except ValueError:
        return None
    return since if since.tzinfo else None


def _generator(message: Message) -> dict[str, str]:
    urls = [link.url for link in message.links if link.action == "open"]
    return {"generatorURL": urls[0]} if urls else {}


def _read_authorization(config: Mapping[str, Any]) -> str:
    """The value of the header; empty where neither user nor token is given."""
    user, password, token = (read_text(config, name) for name in ("username", "password", "token"))
    if token and (user or password):
        raise ConfigError("token", "stands in place of user and password; give one or the other")
    if password and not user:
        raise ConfigError("username", "must be given with a password")
    if token:
        return f"Bearer {token}"
    return f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}" if user else ""


def _sum_up(answers: list[str], faults: list[PermanentError | TemporaryError]) -> str:
    """One that took it is enough. With none, it is tried again where that may help with one of them."""
    told = len(answers)
    what = "; ".join(str(fault) for fault in faults)
    if told:
        return f"told {told} of {told + len(faults)}" + (f"; {what}" if what else f": {answers[0]}")
    pauses = [fault.retry_after for fault in faults if isinstance(fault, TemporaryError)]
    if pauses:
        raise TemporaryError(what, min((pause for pause in pauses if pause is not None), default=None))
    raise PermanentError(what)
