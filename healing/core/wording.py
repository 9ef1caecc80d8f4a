"""How values are put before people: words, durations, and text that cannot play tricks."""

from __future__ import annotations

import unicodedata
from datetime import datetime, timedelta

NOTHING = "–"


def shown(value: object) -> str:
    """What people read for a value: yes and no, a dash for nothing, words without underscores, times in UTC."""
    if value is None or value == "":
        return NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M:%S")
    if isinstance(value, float):
        return f"{value:.10g}"
    text = visible(str(value))
    return (
        text.replace("_", " ") if isinstance(value, str) and text.isidentifier() and text.islower() else text
    )


def duration(seconds: float | None) -> str:
    """`850 ms`, `12.3 s`, `0:05:00`, `2 days, 0:00:00`; a dash for None."""
    if seconds is None:
        return NOTHING
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    return f"{seconds:.1f} s" if seconds < 60 else str(timedelta(seconds=round(seconds)))


def share(value: float | None) -> str:
    """A rate from 0 to 1 as a percentage."""
    return NOTHING if value is None else f"{value:.1%}"


def visible(text: str) -> str:
    """Control and direction characters as escapes: a log line must not hide or reorder what a person reads."""
    return "".join(
        c if c in "\n\t" or unicodedata.category(c) not in ("Cc", "Cf", "Cs") else _escape(c) for c in text
    )


def storable(text: str) -> str:
    """Without what no database stores: NUL, and halves of a character. Whatever a container says goes through here."""
    if "\0" in text:
        text = text.replace("\0", "")
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def _escape(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}" if code < 65_536 else f"\\U{code:08x}"
