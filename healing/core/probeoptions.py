"""The options of a probe that do not fit into its text. Values come from forms, JSON, YAML or text; None means not given."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

from healing.core.errors import ConfigError

StatusRanges = tuple[tuple[int, int], ...]

_RANGE = re.compile(r"([1-5]\d\d)(?:\s*-\s*([1-5]\d\d))?")
_WORDS = {
    "true": True,
    "yes": True,
    "on": True,
    "1": True,
    "false": False,
    "no": False,
    "off": False,
    "0": False,
}
SHORTEST_INTERVAL = 0.1
_LONGEST = 86_400.0


@dataclass(frozen=True, slots=True)
class BodyMatch:
    """What the body must hold: a piece of text, or with `is_regex` a regular expression found anywhere in it."""

    pattern: str
    is_regex: bool = False

    def found_in(self, body: str) -> bool:
        if self.is_regex:
            return re.search(self.pattern, body) is not None
        return self.pattern in body


def read_seconds(field_name: str, value: Any, lowest: float = 0.0) -> float | None:
    """A positive number of seconds, at least `lowest` and at most a day."""
    if value is None or value == "":
        return None
    low = f"from {lowest:g}" if lowest else "above 0"
    wrong = ConfigError(field_name, f"{value!r} must be a number of seconds {low} and at most {_LONGEST:.0f}")
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise wrong
    try:
        seconds = float(value)
    except (ValueError, OverflowError):
        raise wrong from None
    if not math.isfinite(seconds) or seconds <= 0 or not lowest <= seconds <= _LONGEST:
        raise wrong
    return seconds


def read_bool(field_name: str, value: Any, default: bool) -> bool:
    if value is None or value == "":
        return default
    if isinstance(value, bool):
        return value
    word = str(value).strip().lower()
    if word not in _WORDS:
        raise ConfigError(field_name, f"{value!r} must be true or false")
    return _WORDS[word]


def read_status(field_name: str, value: Any, default: StatusRanges) -> StatusRanges:
    """Status codes and ranges of them, with commas between: 200, "200-399" or "200-299,304"."""
    if value is None or value == "":
        return default
    ranges = []
    for part in str(value).split(","):
        found = _RANGE.fullmatch(part.strip())
        if found is None or isinstance(value, bool):
            raise ConfigError(field_name, f"{value!r} must be status codes or ranges, such as 200-299,304")
        low, high = int(found[1]), int(found[2] or found[1])
        if low > high:
            raise ConfigError(field_name, f"{part.strip()!r} runs backwards; write {high}-{low}")
        ranges.append((low, high))
    return tuple(ranges)


def read_body_match(field_name: str, value: Any) -> BodyMatch | None:
    """A piece of text, or a regular expression between slashes."""
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise ConfigError(field_name, f"{value!r} must be text, or a regular expression between slashes")
    if len(value) < 3 or not (value.startswith("/") and value.endswith("/")):
        return BodyMatch(value)
    try:
        re.compile(value[1:-1])
    except re.error as error:
        raise ConfigError(field_name, f"{value!r} is not a regular expression: {error}") from None
    return BodyMatch(value[1:-1], is_regex=True)
