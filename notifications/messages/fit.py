"""Cuts a message to what a service takes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from notifications.core.alert import Text
from notifications.messages.words import CHINESE, ENGLISH, language_of

_NOTE = {ENGLISH: "[… {} characters cut off]", CHINESE: "[…… 已截去 {} 个字符]"}
_LEAST = 20
"""A line that is cut keeps at least so much, or is left out."""


def utf8(text: str) -> int:
    """The size for services that count bytes."""
    return len(text.encode())


def fit(text: Text, limit: int, *, language: str = ENGLISH, size: Callable[[str], int] = len) -> Text:
    """The same text with title, end of line and body within `limit`, as `size` counts. `html` stays.

    The title stays, then the links at the end, then as many of the first lines as there is room for; a line says how
    much was cut off. A link is kept whole or not at all.
    """
    if size(text.title) + 1 + size(text.body) <= limit:
        return text
    title = _beginning(text.title, limit, size)
    room = limit - size(title) - 1
    return replace(text, title=title, body=_cut_body(text.body, room, language_of(language), size))


def _cut_body(body: str, room: int, language: str, size: Callable[[str], int]) -> str:
    lines = body.split("\n")
    links = _links(lines)
    note = _NOTE[language]
    room -= size(note.format(f"{len(body):,}"))
    if room < 0:
        return ""
    kept: list[str] = []
    for link in links:
        if size(link) + 1 <= room:
            kept.append(link)
            room -= size(link) + 1
    first = _first(lines[: len(lines) - len(links)], room, size)
    cut = len(body) - sum(len(line) + 1 for line in (*first, *kept))
    return "\n".join([*first, note.format(f"{max(cut, 1):,}"), *kept])


def _links(lines: list[str]) -> list[str]:
    """The lines with addresses that end the body."""
    place = len(lines)
    while place and (not lines[place - 1].strip() or "://" in lines[place - 1]):
        place -= 1
    return [line for line in lines[place:] if line.strip()]


def _first(lines: list[str], room: int, size: Callable[[str], int]) -> list[str]:
    taken: list[str] = []
    for line in lines:
        if size(line) + 1 > room:
            part = _beginning(line, room - 1, size)
            if len(part) >= _LEAST and "://" not in line:
                taken.append(part)
            break
        taken.append(line)
        room -= size(line) + 1
    while taken and not taken[-1].strip():
        taken.pop()
    return taken


def _beginning(text: str, limit: int, size: Callable[[str], int]) -> str:
    """As much of a text as fits, with a mark where that is not all."""
    if size(text) <= limit:
        return text
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if size(text[:middle] + "…") <= limit else (low, middle - 1)
    return text[:low] + "…" if low else ""
