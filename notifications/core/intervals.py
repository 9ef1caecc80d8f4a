"""Time intervals as Alertmanager's: times of day, weekdays, days of the month, months and years, in one time zone."""

from __future__ import annotations

import calendar
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import Any

from notifications.core.errors import ConfigError
from notifications.core.zones import read_zone

WEEKDAYS = ("sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday")
MONTHS = tuple(
    name.lower()
    for name in (
        "January",
        "February",
        "March",
        "April",
        "May",
        "June",
        "July",
        "August",
        "September",
        "October",
        "November",
        "December",
    )
)
FIELDS = ("times", "weekdays", "days_of_month", "months", "years", "location")
ENTRIES_LIMIT = 100
"""Entries of one list."""

Range = tuple[int, int]
_TIME = re.compile(r"(?:[01][0-9]|2[0-3]):[0-5][0-9]|24:00")
_NUMBER = re.compile(r"-?[0-9]{1,4}")
_LONGEST_MONTH = 31


@dataclass(frozen=True, slots=True)
class Interval:
    """Holds where each of what it names holds; what it does not name always does. Ranges include both ends, but
    `times`, in minutes of the day, not the last. Weekdays count from Sunday, 0; negative days from the month's end.
    """

    times: tuple[Range, ...] = ()
    weekdays: tuple[Range, ...] = ()
    days_of_month: tuple[Range, ...] = ()
    months: tuple[Range, ...] = ()
    years: tuple[Range, ...] = ()
    zone: tzinfo = UTC

    def contains(self, at: datetime) -> bool:
        """Whether this instant, on the wall clock of the interval's time zone, is within it."""
        local = at.astimezone(self.zone)
        minute = local.hour * 60 + local.minute
        return (
            (not self.times or any(start <= minute < end for start, end in self.times))
            and _within(local.isoweekday() % 7, self.weekdays)
            and _within(local.month, self.months)
            and _within(local.year, self.years)
            and (not self.days_of_month or _is_day(local, self.days_of_month))
        )


def parse_intervals(spec: Any, field: str) -> tuple[Interval, ...]:
    """A list of intervals, any of which may hold; a single one may stand without the list."""
    if isinstance(spec, Mapping):
        return (parse_interval(spec, field),)
    return tuple(parse_interval(item, place) for item, place in _entries(spec, field))


def parse_interval(spec: Any, field: str) -> Interval:
    """Read one interval; ConfigError at the exact place, such as `spec.weekdays[1]`, for anything that cannot be used."""
    if not isinstance(spec, Mapping):
        raise ConfigError(field, 'must be an object, such as {"weekdays": ["monday:friday"]}')
    for name in spec:
        if name not in FIELDS:
            raise ConfigError(f"{field}.{name}", f"is unknown; an interval has {', '.join(FIELDS)}")
    if not set(spec) - {"location"}:
        raise ConfigError(
            field, 'names no time; for always write {"times": [{"start_time": "00:00", "end_time": "24:00"}]}'
        )
    location = spec.get("location")
    return Interval(
        times=_ranges(spec, "times", field, _time_range),
        weekdays=_ranges(spec, "weekdays", field, _weekday_range),
        days_of_month=_ranges(spec, "days_of_month", field, _day_range),
        months=_ranges(spec, "months", field, _month_range),
        years=_ranges(spec, "years", field, _year_range),
        zone=UTC if location is None else read_zone(location, f"{field}.location"),
    )


def _within(value: int, ranges: tuple[Range, ...]) -> bool:
    return not ranges or any(begin <= value <= end for begin, end in ranges)


def _is_day(local: datetime, ranges: tuple[Range, ...]) -> bool:
    """Days beyond the month's end are cut off; a range that ends before it begins is empty."""
    length = calendar.monthrange(local.year, local.month)[1]
    return any(_from_start(begin, length) <= local.day <= _from_start(end, length) for begin, end in ranges)


def _from_start(day: int, length: int) -> int:
    return day if day > 0 else length + day + 1


def _entries(value: Any, field: str) -> list[tuple[Any, str]]:
    """The items of a list that must not be empty, each with its place."""
    if not isinstance(value, list | tuple) or not value:
        raise ConfigError(
            field, "must be a list with at least one entry; leave it out where it does not matter"
        )
    if len(value) > ENTRIES_LIMIT:
        raise ConfigError(field, f"has more than {ENTRIES_LIMIT} entries")
    return [(item, f"{field}[{number}]") for number, item in enumerate(value)]


def _ranges(
    spec: Mapping[str, Any], name: str, field: str, read: Callable[[Any, str], Range]
) -> tuple[Range, ...]:
    if name not in spec:
        return ()
    return tuple(read(item, place) for item, place in _entries(spec[name], f"{field}.{name}"))


def _time_range(item: Any, field: str) -> Range:
    if not isinstance(item, Mapping) or set(item) != {"start_time", "end_time"}:
        raise ConfigError(field, 'must be an object, such as {"start_time": "09:00", "end_time": "17:00"}')
    start = _minute(item["start_time"], f"{field}.start_time")
    end = _minute(item["end_time"], f"{field}.end_time")
    if start >= end:
        raise ConfigError(
            f"{field}.end_time",
            "must be after start_time; write two entries for past midnight, one until 24:00 and one from 00:00",
        )
    return start, end


def _minute(value: Any, field: str) -> int:
    if not isinstance(value, str) or not _TIME.fullmatch(value):
        raise ConfigError(field, f"must be a time of day as text from 00:00 to 24:00, not {value!r}")
    hours, minutes = value.split(":")
    return int(hours) * 60 + int(minutes)


def _weekday_range(item: Any, field: str) -> Range:
    def read(word: str) -> int:
        if word not in WEEKDAYS:
            raise ConfigError(field, f"{word!r} is no weekday; write one of {', '.join(WEEKDAYS)}")
        return WEEKDAYS.index(word)

    return _ordered(*_two(item, field, read), field, "weeks begin on sunday here; write two entries instead")


def _month_range(item: Any, field: str) -> Range:
    def read(word: str) -> int:
        number = MONTHS.index(word) + 1 if word in MONTHS else _number(word)
        if number is None or not 1 <= number <= 12:
            raise ConfigError(field, f"{word!r} is no month; write its name, or 1 to 12")
        return number

    return _ordered(*_two(item, field, read), field, "write two entries for past the end of the year")


def _year_range(item: Any, field: str) -> Range:
    def read(word: str) -> int:
        number = _number(word)
        if number is None or number < 1:
            raise ConfigError(field, f"{word!r} is no year; write it as in 2026 or 2026:2028")
        return number

    return _ordered(*_two(item, field, read), field, "write the earlier year first")


def _day_range(item: Any, field: str) -> Range:
    def read(word: str) -> int:
        number = _number(word)
        if number is None or not 1 <= abs(number) <= 31:
            raise ConfigError(
                field, f"{word!r} is no day of a month; write 1 to 31, or -1 to -31 from its end"
            )
        return number

    begin, end = _two(item, field, read)
    if begin < 0 < end:
        raise ConfigError(
            field, f"begins from the month's end, so it must end so too: {end} must be negative"
        )
    if _from_start(begin, _LONGEST_MONTH) > _from_start(end, _LONGEST_MONTH):
        raise ConfigError(field, f"day {end} is always before day {begin}")
    return begin, end


def _number(word: str) -> int | None:
    return int(word) if _NUMBER.fullmatch(word) else None


def _two(item: Any, field: str, read: Callable[[str], int]) -> Range:
    """Both ends of `begin:end`, or of a single one; any case, and numbers may be numbers."""
    if isinstance(item, bool) or not isinstance(item, str | int):
        raise ConfigError(field, f"must be text, such as begin:end, not {item!r}")
    words = [word.strip().lower() for word in str(item).split(":")]
    if len(words) > 2 or not all(words):
        raise ConfigError(field, f"{item!r} is neither one value nor a range begin:end")
    return read(words[0]), read(words[-1])


def _ordered(begin: int, end: int, field: str, advice: str) -> Range:
    if begin > end:
        raise ConfigError(field, f"the end is before the beginning; {advice}")
    return begin, end
