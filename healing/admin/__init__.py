"""The admin, one file a topic. Registering happens on import."""

from healing.admin import (
    config,
    container,
    dependency,
    fleet,
    host,
    liveness,
    maintenance,
    record,
    schedules,
    system,
    users,
)

__all__ = [
    "config",
    "container",
    "dependency",
    "fleet",
    "host",
    "liveness",
    "maintenance",
    "record",
    "schedules",
    "system",
    "users",
]
