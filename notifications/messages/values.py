"""Values in templates: how they are looked up, what they cost, how they are put out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.template.base import Variable

WORK_LIMIT = 60_000
"""Values that are looked at, entries that are looped over, and every 64 characters of a value."""
VALUE_LIMIT = 20_000
"""Characters of one value."""


class TooCostly(Exception):
    """The template has used up the work that one message may cost."""


class Full(Exception):
    """The output has reached its limit."""


@dataclass(slots=True)
class Run:
    """One rendering: what filters may know, what it has cost, and what it has put out so far."""

    now: datetime
    language: str
    is_html: bool
    limit: int
    work: int = 0
    size: int = 0
    pieces: list[str] = field(default_factory=list)

    def spend(self, work: int) -> None:
        self.work += work
        if self.work > WORK_LIMIT:
            raise TooCostly(f"it does more than {WORK_LIMIT:,} steps")

    def write(self, text: str) -> None:
        """Put out a piece. Raise Full where there was no more room for all of it."""
        self.pieces.append(text[: self.limit - self.size])
        self.size += len(text)
        self.spend(1 + len(text) // 64)
        if self.size > self.limit:
            raise Full


def value_of(written: Any, context: Any) -> Any:
    """A literal, or what a path leads to through dicts and lists; None where it leads nowhere.

    To Django a literal text is safe HTML; here it is escaped as any value is.
    """
    if not isinstance(written, Variable):
        return _plain(written)
    if written.lookups is None:
        return written.literal  # a number
    value = context.get(written.lookups[0])
    for step in written.lookups[1:]:
        value = _step(value, step)
    return value


def _step(value: Any, step: str) -> Any:
    if isinstance(value, dict):
        return list(value.items()) if step == "items" and step not in value else value.get(step)
    if isinstance(value, list | tuple) and step.isascii() and step.isdecimal() and int(step) < len(value):
        return value[int(step)]
    return None


def cost_of(value: Any) -> int:
    if isinstance(value, str):
        return 1 + len(value) // 64
    return 1 + len(value) if isinstance(value, list | tuple | dict) else 1


def cut(value: Any) -> Any:
    return value[:VALUE_LIMIT] if isinstance(value, str) and len(value) > VALUE_LIMIT else value


def shown(value: Any) -> str:
    """What is put out for a value: nothing for None and for dicts, a list with commas."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, list | tuple):
        return ", ".join(shown(item) for item in value[:100] if not isinstance(item, list | tuple))[
            :VALUE_LIMIT
        ]
    return ""


def plain_dict(data: Mapping[str, Any]) -> dict[str, Any]:
    return {str(key): _plain(value) for key, value in data.items()}


def _plain(value: Any) -> Any:
    """Exactly str, int, float, bool, None, list and dict; a text that claims to be safe HTML becomes a plain one."""
    if value is None or type(value) in (str, int, float, bool):
        return value
    if isinstance(value, Mapping):
        return plain_dict(value)
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return "".join(str(value))
