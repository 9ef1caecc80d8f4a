"""Log records with a stable `action` and the ids, as text for people or JSON for machines."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import Any

_STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}
# What Celery puts into its own records; not ours to repeat.
_FOREIGN = frozenset({"data", "request", "status_code", "server_time"})


def extras(record: logging.LogRecord) -> dict[str, Any]:
    """The fields that were passed as `extra`."""
    return {k: v for k, v in record.__dict__.items() if k not in _STANDARD and k not in _FOREIGN}


class TextFormatter(logging.Formatter):
    """`12:00:00.123 WARNING healing.pipeline message  action=restart container=web`"""

    def format(self, record: logging.LogRecord) -> str:
        time = datetime.fromtimestamp(record.created, UTC).strftime("%H:%M:%S.%f")[:-3]
        fields = "".join(f" {name}={value}" for name, value in extras(record).items())
        text = f"{time} {record.levelname:<7} {record.name} {record.getMessage()}{'  ' if fields else ''}{fields}"
        if record.exc_info:
            text += "\n" + self.formatException(record.exc_info)
        return text


class JsonFormatter(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        entry: dict[str, Any] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **extras(record),
        }
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry, default=str, ensure_ascii=False)
