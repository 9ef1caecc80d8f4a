"""Durations as Compose files write them: "1m30s", "500ms", "1.5h"."""

from __future__ import annotations

import re

_UNITS = {
    "ns": 1e-9,
    "us": 1e-6,
    "µs": 1e-6,
    "μs": 1e-6,
    "ms": 1e-3,
    "s": 1.0,
    "m": 60.0,
    "h": 3600.0,
    "d": 86_400.0,
}
_PART = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h|d)")
_FORM = re.compile(rf"(?:{_PART.pattern})+")


def parse_duration(raw: object) -> float:
    """Seconds of a Compose duration, 0 or more. Raise ValueError with a sentence that says what to write."""
    text = str(raw).strip()
    if text in ("0", "+0"):
        return 0.0
    if text.startswith("-"):
        raise ValueError(f"{text!r} is negative; write a duration such as 30s or 1m30s")
    if not _FORM.fullmatch(text):
        unit = "has no unit" if re.fullmatch(r"[\d.]+", text) else "is not a duration"
        raise ValueError(f"{text!r} {unit}; write a duration such as 30s, 1m30s or 500ms")
    return round(sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(text)), 9)
