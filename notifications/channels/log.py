"""The log channel: every alert is a record of the logger `selfheal.alerts`."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from notifications.core.alert import AlertLevel, Message, Told
from notifications.core.config import refuse_unknown
from notifications.core.fields import Field

logger = logging.getLogger("selfheal.alerts")

_LEVELS = {
    AlertLevel.INFO: logging.INFO,
    AlertLevel.WARNING: logging.WARNING,
    AlertLevel.ERROR: logging.ERROR,
    AlertLevel.CRITICAL: logging.CRITICAL,
}


@dataclass(frozen=True, slots=True)
class LogChannel:
    """It has no settings; where the records go is the matter of the logging configuration."""

    FIELDS: ClassVar[tuple[Field, ...]] = ()
    SECRET_FIELDS: ClassVar[frozenset[str]] = frozenset()

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        refuse_unknown(config, ())
        return cls()

    def send(self, message: Message) -> str:
        for told in message.all:
            _log(told)
        number = len(message.all)
        return "logged" if number == 1 else f"{number} logged"


def _log(told: Told) -> None:
    alert = told.alert
    logger.log(
        _LEVELS[alert.level],
        "%s",
        _one_line(f"{alert.title}: {alert.body}" if alert.body else alert.title),
        extra={
            "action": "alert",
            "notification": told.id,
            "alert_level": alert.level.value,
            "alert_kind": alert.kind.value,
            "alert_key": alert.alert_key,
            "host": alert.host,
            "container": alert.container,
            "failure": alert.failure_id,
        },
    )


def _one_line(text: str) -> str:
    """A log record is one line, whatever a container has put into its output."""
    line = " ".join("".join(c if c.isprintable() or c.isspace() else "?" for c in text[:4000]).split())
    return line if len(line) <= 1000 else line[:999] + "…"
