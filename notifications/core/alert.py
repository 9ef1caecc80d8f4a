"""What is told: an alert as its writer hands it over, and a message as a channel gets it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from datetime import datetime
from enum import StrEnum
from typing import Any

TITLE_LIMIT = 300
BODY_LIMIT = 16_000
NAME_LIMIT = 255


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


@dataclass(frozen=True, slots=True)
class Alert:
    """One thing to tell people. `alert_key` is the same for all alerts about the same thing, its end included.

    Levels and kinds may be given as their words; unknown ones raise ValueError. Texts are cut to what the
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

    def __post_init__(self) -> None:
        limits = {"title": TITLE_LIMIT, "body": BODY_LIMIT}
        clean: dict[str, Any] = {"level": AlertLevel(self.level), "kind": AlertKind(self.kind)}
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name not in clean and isinstance(value, str):
                clean[field.name] = _cut(value, limits.get(field.name, NAME_LIMIT))
        for name, value in clean.items():
            object.__setattr__(self, name, value)


@dataclass(frozen=True, slots=True)
class Message:
    """An alert on its way. `id` stays the same over all repeats, so that a receiver can drop the second."""

    id: str
    created_at: datetime
    alert: Alert

    def payload(self) -> dict[str, Any]:
        """Plain JSON values, the alert's fields beside the id and the time (ISO 8601, UTC)."""
        return {"version": 1, "id": self.id, "created_at": self.created_at.isoformat(), **asdict(self.alert)}


def _cut(text: str, limit: int) -> str:
    storable = text.replace("\0", "").encode("utf-8", "replace").decode("utf-8")
    return storable if len(storable) <= limit else storable[: limit - 1] + "…"
