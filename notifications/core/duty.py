"""Who of a rotation is on duty. Shifts change at the same time on the wall clock, also across clock changes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from notifications.core.errors import ConfigError
from notifications.core.zones import read_zone

LONGEST_SHIFT = 366


def on_duty(start: datetime, shift_days: int, timezone: str, count: int, now: datetime) -> int:
    """The index, from 0, of the one of `count` who is on duty now.

    The first takes over at `start`, and every `shift_days` days, at the same time on the clock of `timezone`, the next.
    Where that time comes twice the first counts, where it is left out the shift changes as much later. Before `start` the
    rotation is thought to have run already. ConfigError for what cannot be used.
    """
    zone = read_zone(timezone, "rotation_timezone")
    if start.tzinfo is None:
        raise ConfigError("rotation_start", "must say its time zone")
    if not 1 <= shift_days <= LONGEST_SHIFT:
        raise ConfigError("rotation_days", f"must be 1 to {LONGEST_SHIFT} days, not {shift_days}")
    if count < 1:
        raise ConfigError("members", "the rotation has no members; add at least one")
    wall = start.astimezone(zone).replace(tzinfo=None)
    shifts = (now.astimezone(zone).date() - wall.date()).days // shift_days
    if now < _instant(wall, shifts * shift_days, zone):
        shifts -= 1
    return shifts % count


def _instant(wall: datetime, days: int, zone: ZoneInfo) -> datetime:
    """When the wall clock shows that time so many days later, for the first time."""
    return (wall + timedelta(days=days)).replace(tzinfo=zone).astimezone(UTC)
