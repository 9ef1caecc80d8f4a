"""The admin, one file a topic. Registering happens on import."""

from django.contrib.admin import site

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

site.index_template = "healing/admin/index.html"
