"""Time zones by their names."""

from __future__ import annotations

from zoneinfo import ZoneInfo

from notifications.core.errors import ConfigError


def read_zone(name: object, field: str) -> ZoneInfo:
    """The time zone of that name; ConfigError at `field` where there is none."""
    wanted = "must be the name of a time zone, such as Asia/Shanghai or UTC"
    if not isinstance(name, str) or not name:
        raise ConfigError(field, wanted)
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ConfigError(field, f"{wanted}; {name!r} is none") from None
