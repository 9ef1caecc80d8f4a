"""Maintenance windows: when one is open, on the wall clock of its time zone. Pure; `now` is an argument.

Where the clock is put forward, a start that does not exist moves to the first instant after the gap, and such a window keeps
its length; an end that does not exist moves on by the gap. Where the clock is put back, a window reaches from
the first occurrence of its start to the second of its end. So none is ever shorter than the wall clock says.
"""

from __future__ import annotations

import calendar
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from healing.core.errors import ConfigError


class Recurrence(StrEnum):
    """How often a maintenance window comes."""

    ONCE = "once"
    DAILY = "daily"
    WEEKLY = "weekly"
    MONTHLY = "monthly"


MAINTENANCE = "maintenance"
"""The reason of what waits for a window begins so."""
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
Span = tuple[datetime, datetime]
"""From the first instant to the one after the last."""

_UTC = ZoneInfo("UTC")
_EARLIEST, _LATEST = 1971, 9000
_LONGEST_GAP = 70
"""Days within which every recurring window comes again: two months, and some for what is past midnight."""
_LAST_DAYS = range(-28, 0)
_SECOND = timedelta(seconds=1)
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Schedule:
    """When one window is open. Once: from `starts_at` to `ends_at`, which for the others are outer bounds.

    `start` to `end` are on the wall clock of `zone`, past midnight where the end is not after the start. `weekdays`
    count from Monday, 0; `days` from 1, and from the end of the month back from -1.
    """

    name: str
    recurrence: Recurrence = Recurrence.ONCE
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    zone: ZoneInfo = _UTC
    start: time = time()
    end: time = time()
    weekdays: frozenset[int] = frozenset()
    days: frozenset[int] = frozenset()
    reason: str = ""


def open_until(schedule: Schedule, now: datetime) -> datetime | None:
    """The end of the window that is open now; None where none is."""
    if schedule.recurrence is Recurrence.ONCE:
        spans = [_once(schedule)]
    else:
        today = now.astimezone(schedule.zone).date()
        spans = [_occurrence(schedule, today + n * _DAY) for n in range(-2, 2)]
    return max((span[1] for span in spans if span is not None and span[0] <= now < span[1]), default=None)


def next_opening(schedule: Schedule, now: datetime) -> datetime | None:
    """When it opens next after now; None where it never does again."""
    if schedule.recurrence is Recurrence.ONCE:
        span = _once(schedule)
        return span[0] if span is not None and span[0] > now else None
    first = max(now, schedule.starts_at or now).astimezone(schedule.zone).date() - 2 * _DAY
    for n in range(_LONGEST_GAP):
        span = _occurrence(schedule, first + n * _DAY)
        if span is not None and span[0] > now:
            return span[0]
    return None


def _once(schedule: Schedule) -> Span | None:
    return (schedule.starts_at, schedule.ends_at) if schedule.starts_at and schedule.ends_at else None


def _occurrence(schedule: Schedule, day: date) -> Span | None:
    """The window that begins on this day of its wall clock, within the outer bounds; None where none does."""
    if not _falls_on(schedule, day):
        return None
    wall_start = datetime.combine(day, schedule.start)
    wall_end = datetime.combine(day if schedule.end > schedule.start else day + _DAY, schedule.end)
    first, second = _instants(wall_start, schedule.zone)
    is_skipped = second < first
    begin = _end_of_gap(second, first, schedule.zone) if is_skipped else first
    end = max(_instants(wall_end, schedule.zone))
    if is_skipped:
        end = max(end, begin + (wall_end - wall_start))
    begin = max(begin, schedule.starts_at or begin)
    end = min(end, schedule.ends_at or end)
    return (begin, end) if begin < end else None


def _falls_on(schedule: Schedule, day: date) -> bool:
    match schedule.recurrence:
        case Recurrence.WEEKLY:
            return day.weekday() in schedule.weekdays
        case Recurrence.MONTHLY:
            length = calendar.monthrange(day.year, day.month)[1]
            return day.day in schedule.days or day.day - length - 1 in schedule.days
    return True


def _instants(wall: datetime, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """What a clock reading means: twice the same, or both of an overlap, or, the later one first, those around a gap."""
    first, second = (wall.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    return first, second


def _end_of_gap(before: datetime, after: datetime, zone: ZoneInfo) -> datetime:
    """The first instant after the change of the clock that lies between these two."""
    before, after = before.replace(microsecond=0), after.replace(microsecond=0) + _SECOND
    old = before.astimezone(zone).utcoffset()
    while after - before > _SECOND:
        middle = before + timedelta(seconds=(after - before) // _SECOND // 2)
        if middle.astimezone(zone).utcoffset() == old:
            before = middle
        else:
            after = middle
    return after


def parse(
    name: str,
    recurrence: str,
    *,
    starts_at: datetime | None = None,
    ends_at: datetime | None = None,
    time_zone: str = "UTC",
    start_time: time | None = None,
    end_time: time | None = None,
    weekdays: str = "",
    days: str = "",
    reason: str = "",
) -> Schedule:
    """A schedule from what somebody wrote. Raise ConfigError that names the field and says what to write instead."""
    kind = _parse_recurrence(recurrence)
    _check_bounds(kind, starts_at, ends_at)
    zone = parse_zone(time_zone)
    for field, moment in (("start_time", start_time), ("end_time", end_time)):
        _check_given(field, moment is not None, kind is not Recurrence.ONCE, kind)
    _check_given("weekdays", bool(weekdays.strip()), kind is Recurrence.WEEKLY, kind)
    _check_given("days", bool(days.strip()), kind is Recurrence.MONTHLY, kind)
    return Schedule(
        name=name,
        recurrence=kind,
        starts_at=starts_at,
        ends_at=ends_at,
        zone=zone,
        start=start_time or time(),
        end=end_time or time(),
        weekdays=parse_weekdays(weekdays),
        days=parse_days(days),
        reason=reason,
    )


def _parse_recurrence(raw: str) -> Recurrence:
    try:
        return Recurrence(raw)
    except ValueError:
        raise ConfigError("recurrence", f"{raw!r} is unknown; write one of {', '.join(Recurrence)}") from None


def _check_bounds(kind: Recurrence, starts_at: datetime | None, ends_at: datetime | None) -> None:
    for field, moment in (("starts_at", starts_at), ("ends_at", ends_at)):
        if moment is None and kind is Recurrence.ONCE:
            raise ConfigError(field, "a window that comes once needs it; write a date and a time")
        if moment is not None and not _EARLIEST <= moment.year <= _LATEST:
            raise ConfigError(
                field, f"the year {moment.year} is out of range; write one from {_EARLIEST} to {_LATEST}"
            )
    if starts_at is not None and ends_at is not None and ends_at <= starts_at:
        raise ConfigError("ends_at", "is not after its start; write a later time")


def _check_given(field: str, is_given: bool, is_needed: bool, kind: Recurrence) -> None:
    if is_needed and not is_given:
        raise ConfigError(field, f"a {kind} window needs it; {_EXAMPLES[field]}")
    if is_given and not is_needed:
        raise ConfigError(field, f"means nothing for a window that comes {kind}; leave it empty")


_EXAMPLES = {
    "start_time": "write a time such as 22:00",
    "end_time": "write a time such as 04:30",
    "weekdays": "write days such as mon,wed,sun",
    "days": "write days of the month such as 1,15 or -1 for the last",
}


def parse_zone(raw: str) -> ZoneInfo:
    """A time zone by its name. Raise ConfigError."""
    try:
        return ZoneInfo(raw.strip())
    except (KeyError, ValueError, OSError):
        raise ConfigError(
            "time_zone",
            f"{raw!r} is no time zone; write a name such as Europe/Berlin, America/New_York or UTC",
        ) from None


def parse_weekdays(raw: str) -> frozenset[int]:
    """`mon,wed` as numbers from Monday, 0. Raise ConfigError."""
    found = set()
    for word in _words(raw):
        if word.lower() not in WEEKDAYS:
            raise ConfigError("weekdays", f"{word!r} is no weekday; write some of {','.join(WEEKDAYS)}")
        found.add(WEEKDAYS.index(word.lower()))
    return frozenset(found)


def parse_days(raw: str) -> frozenset[int]:
    """`1,15,-1` as numbers. Raise ConfigError."""
    found = set()
    for word in _words(raw):
        number = int(word) if word.removeprefix("-").isdecimal() else 0
        if not (1 <= number <= 31 or number in _LAST_DAYS):
            raise ConfigError(
                "days",
                f"{word!r} is no day of a month; write numbers from 1 to 31, or -1 for the last day to -28",
            )
        found.add(number)
    return frozenset(found)


def _words(raw: str) -> list[str]:
    return [word.strip() for word in raw.split(",")] if raw.strip() else []
