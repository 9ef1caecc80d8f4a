"""What is told: an alert as its writer hands it over, and a message as a channel gets it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime
from enum import StrEnum
from typing import Any

TITLE_LIMIT = 300
BODY_LIMIT = 16_000
NAME_LIMIT = 255
LABELS_LIMIT = 64
"""Labels of one alert; further ones are dropped."""


class AlertLevel(StrEnum):
    """How urgent, in rising order."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        return list(AlertLevel).index(self)

    def reaches(self, minimum: AlertLevel) -> bool:
        """Whether this level is at least `minimum`."""
        return self.rank >= minimum.rank


class AlertKind(StrEnum):
    """Whether the thing told about has begun or has ended."""

    FIRING = "firing"
    RESOLVED = "resolved"


class Outcome(StrEnum):
    """How what was told of went on, where healing has a part in it."""

    NONE = ""
    HEALED_AT_FIRST = "healed_at_first"
    HEALED = "healed"
    RECOVERED = "recovered"
    GAVE_UP = "gave_up"
    GONE = "gone"


@dataclass(frozen=True, slots=True)
class Alert:
    """One thing to tell people. `alert_key` is the same for all alerts about the same thing, its end included.

    `alertname` is what kind of thing it is (`container_failed`, `quarantined`, `host_down` …), `labels` are those of
    the container, `depends_on` the alert keys whose firing makes this one a symptom. `details` holds plain JSON for
    templates, every key optional: `since` (ISO 8601), `cause`, `evidence` and `log_tail` (lists of lines),
    `health_output`, `tried` (a list of `{action, at, result, seconds}`), `next`, `path` (of the page about it),
    `approval` (what waits for a person's approval: see `notifications.approvals`), `fired_as` (for an Alertmanager: see
    `notifications.history`).
    `is_event`: nothing will ever end it (such as a container found stopped): told once, not repeated.

    Levels, kinds and outcomes may be given as their words; unknown ones raise ValueError. Texts are cut to what the
    database and people can take, and characters that no database stores are dropped.
    """

    level: AlertLevel
    title: str
    body: str = ""
    kind: AlertKind = AlertKind.FIRING
    host: str = ""
    project: str = ""
    service: str = ""
    container: str = ""
    container_id: int | None = None
    failure_id: int | None = None
    alert_key: str = ""
    tenant_id: int | None = None
    alertname: str = ""
    failure_type: str = ""
    tenant: str = ""
    outcome: Outcome = Outcome.NONE
    labels: Mapping[str, str] = field(default_factory=dict)
    depends_on: tuple[str, ...] = ()
    details: Mapping[str, Any] = field(default_factory=dict)
    is_event: bool = False

    def __post_init__(self) -> None:
        limits = {"title": TITLE_LIMIT, "body": BODY_LIMIT}
        clean: dict[str, Any] = {
            "level": AlertLevel(self.level),
            "kind": AlertKind(self.kind),
            "outcome": Outcome(self.outcome),
            "labels": _clean_labels(self.labels),
            "depends_on": tuple(self.depends_on),
            "details": storable(self.details),
        }
        for each in fields(self):
            value = getattr(self, each.name)
            if each.name not in clean and isinstance(value, str):
                clean[each.name] = _cut(value, limits.get(each.name, NAME_LIMIT))
        for name, value in clean.items():
            object.__setattr__(self, name, value)

    @property
    def is_firing(self) -> bool:
        return self.kind is AlertKind.FIRING


@dataclass(frozen=True, slots=True)
class Told:
    """One alert within a message: the notification's id, the same over all repeats, and when it was written."""

    id: str
    created_at: datetime
    alert: Alert

    def payload(self) -> dict[str, Any]:
        return {"id": self.id, "created_at": self.created_at.isoformat(), **asdict(self.alert)}


@dataclass(frozen=True, slots=True)
class Text:
    """A message in words, made from a template; `html` is empty where the template has none."""

    title: str
    body: str
    html: str = ""


@dataclass(frozen=True, slots=True)
class Link:
    """A page to open, such as one to acknowledge: `action` is `ack`, `silence`, `approve`, `reject` or `open`."""

    action: str
    label: str
    url: str


@dataclass(frozen=True, slots=True)
class Message:
    """What a channel sends: one alert, or a group of them. `id` stays the same over all repeats, so that a receiver can
    drop the second.

    `alert` is the gravest that fires, else the first; `alerts` are all of the group, and empty where there is but one.
    `thread` is the same for all messages that belong together, the resolving one included. `reason` says why it is sent
    now. `text` is what the templates made of it, None where no template was asked. `thread_ref` is what the channel itself
    gave when it opened the thread (`Sent.thread_ref`), empty for the first message.
    """

    id: str
    created_at: datetime
    alert: Alert
    alerts: tuple[Told, ...] = ()
    thread: str = ""
    group_labels: Mapping[str, str] = field(default_factory=dict)
    receiver: str = ""
    reason: str = ""
    text: Text | None = None
    links: tuple[Link, ...] = ()
    thread_ref: str = ""

    @property
    def all(self) -> tuple[Told, ...]:
        """Every alert of the message, also where it is a single one."""
        return self.alerts or (Told(self.id, self.created_at, self.alert),)

    @property
    def status(self) -> AlertKind:
        """Resolved when nothing of it fires any more."""
        firing = any(told.alert.is_firing for told in self.all)
        return AlertKind.FIRING if firing else AlertKind.RESOLVED

    @property
    def thread_key(self) -> str:
        """What a service closes with the resolving message what the first one opened by."""
        return self.thread or self.alert.alert_key or self.id

    @property
    def title(self) -> str:
        return self.text.title if self.text else self.alert.title

    @property
    def body(self) -> str:
        return self.text.body if self.text else self.alert.body

    def payload(self) -> dict[str, Any]:
        """Plain JSON values: the leading alert's fields beside the id and the time (ISO 8601, UTC), and all alerts."""
        return {
            "version": 1,
            "id": self.id,
            "created_at": self.created_at.isoformat(),
            **asdict(self.alert),
            "status": self.status.value,
            "thread": self.thread_key,
            "group_labels": dict(self.group_labels),
            "receiver": self.receiver,
            "reason": self.reason,
            "text": asdict(self.text) if self.text else None,
            "links": [asdict(link) for link in self.links],
            "alerts": [told.payload() for told in self.all],
        }


def storable(value: Any) -> Any:
    """The same plain JSON, with every text in it cut to `BODY_LIMIT` and without what no database stores."""
    if isinstance(value, str):
        return _cut(value, BODY_LIMIT)
    if isinstance(value, Mapping):
        return {_cut(str(key), NAME_LIMIT): storable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [storable(item) for item in value]
    return value


def _clean_labels(labels: Mapping[str, str]) -> dict[str, str]:
    names = sorted(labels)[:LABELS_LIMIT]
    return {_cut(str(name), NAME_LIMIT): _cut(str(labels[name]), NAME_LIMIT) for name in names}


def _cut(text: str, limit: int) -> str:
    clean = text.replace("\0", "").encode("utf-8", "replace").decode("utf-8")
    return clean if len(clean) <= limit else clean[: limit - 1] + "…"
