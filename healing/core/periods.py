"""The days and weeks that digests tell of: from 08:00 to 08:00, weeks from Monday on, by the clock on somebody's wall."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta, tzinfo

AT = time(8)


def latest(now: datetime, zone: tzinfo, *, weekly: bool) -> tuple[datetime, datetime]:
    """Begin and end, in UTC, of the day or week that ended last. Where clocks are changed a day has 23 or 25 hours."""
    days = 7 if weekly else 1
    day = now.astimezone(zone).date()
    if weekly:
        day -= timedelta(days=day.weekday())
    if datetime.combine(day, AT, zone) > now:
        day -= timedelta(days=days)
    start = datetime.combine(day - timedelta(days=days), AT, zone)
    return start.astimezone(UTC), datetime.combine(day, AT, zone).astimezone(UTC)
