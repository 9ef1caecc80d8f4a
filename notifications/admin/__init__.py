"""The admin of alerting, one file a topic. Registering happens on import."""

from notifications.admin import (
    alerts,
    channels,
    deliveries,
    groups,
    history,
    receivers,
    routes,
    rules,
    silences,
    templates,
)

__all__ = [
    "alerts",
    "channels",
    "deliveries",
    "groups",
    "history",
    "receivers",
    "routes",
    "rules",
    "silences",
    "templates",
]
