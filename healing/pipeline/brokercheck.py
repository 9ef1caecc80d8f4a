"""Does the broker answer? Asked anew each time, within seconds."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from kombu import Connection

SECONDS = 2.0


def broker_error() -> str:
    """Empty where the broker answers; what it said, or that it is silent, where not. In one process it is this process."""
    if settings.EMBEDDED:
        return ""
    try:
        with Connection(
            settings.CELERY_BROKER_URL, connect_timeout=SECONDS, transport_options=_options()
        ) as broker:
            broker.connect()
    except Exception as error:  # each transport raises errors of its own
        return " ".join(str(error).split()) or type(error).__name__
    return ""


def _options() -> dict[str, Any]:
    options: dict[str, Any] = dict(settings.CELERY_BROKER_TRANSPORT_OPTIONS)
    for name in ("socket_timeout", "socket_connect_timeout", "read_timeout", "write_timeout"):
        if name in options:
            options[name] = SECONDS
    return options
