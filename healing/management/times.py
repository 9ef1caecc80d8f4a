"""Durations and times as people type them."""

from __future__ import annotations

import re
from argparse import ArgumentTypeError
from datetime import datetime, timedelta

from django.utils import timezone
from django.utils.dateparse import parse_datetime

_UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}
_PART = re.compile(r"(\d+(?:\.\d+)?)([smhdw]?)")
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?[smhdw])+|\d+(?:\.\d+)?")
_LONGEST = timedelta(days=3650)


def parse_duration(text: str) -> timedelta:
    """`90`, `90s`, `15m`, `1h30m`, `2d`: more than nothing, at most ten years. Raise ArgumentTypeError."""
    compact = text.strip().lower()
    if not _DURATION.fullmatch(compact):
        raise ArgumentTypeError(f"{text!r} is not a duration; write it like 90s, 15m, 1h30m or 2d")
    seconds = sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(compact))
    if not 0 < seconds <= _LONGEST.total_seconds():
        raise ArgumentTypeError(
            f"{text!r} is out of range; write a duration over 0 and up to {_LONGEST.days}d"
        )
    return timedelta(seconds=seconds)


def parse_time(text: str) -> datetime:
    """An ISO 8601 time; without an offset it is UTC. Raise ArgumentTypeError."""
    try:
        value = parse_datetime(text.strip())
    except ValueError:
        value = None
    if value is None:
        raise ArgumentTypeError(
            f"{text!r} is not a time; write it like 2026-01-31T18:00 (UTC) or 2026-01-31T18:00+08:00"
        )
    return value if timezone.is_aware(value) else timezone.make_aware(value, timezone.get_default_timezone())


def parse_since(text: str) -> datetime:
    """The beginning of a period: a time, or how long ago it began (`7d`). Raise ArgumentTypeError."""
    if _DURATION.fullmatch(text.strip().lower()):
        return timezone.now() - parse_duration(text)
    try:
        return parse_time(text)
    except ArgumentTypeError:
        raise ArgumentTypeError(
            f"{text!r} is neither a time nor a duration; write it like 2026-01-31T18:00, or 7d for the last seven days"
        ) from None


def positive(text: str) -> int:
    """A whole number from 1 up. Raise ArgumentTypeError."""
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise ArgumentTypeError(f"{text!r} is not a whole number from 1 up")
    return int(text)
