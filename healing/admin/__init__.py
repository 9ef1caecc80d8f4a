"""The admin, one file a topic. Registering happens on import."""

from healing.admin import config, container, fleet, host, record, schedules, system, users

__all__ = ["config", "container", "fleet", "host", "record", "schedules", "system", "users"]
