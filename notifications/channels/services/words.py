"""A message in words, within what a service takes."""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Callable

from notifications.core.alert import Link, Message

Measure = Callable[[str], int]
_NOTE_ROOM = 40


def in_bytes(text: str) -> int:
    """Length in UTF-8."""
    return len(text.encode("utf-8", "replace"))


def in_utf16(text: str) -> int:
    """Length as JavaScript and Telegram count it."""
    return len(text.encode("utf-16-le", "replace")) // 2


def in_json(text: str) -> int:
    """Length in a request's body, where line breaks and quotes take two bytes."""
    return len(json.dumps(text, ensure_ascii=False).encode("utf-8", "replace"))


def cut(text: str, limit: int, measure: Measure = in_utf16) -> str:
    """`text` within `limit`; where something is left out, the end says how much."""
    if measure(text) <= limit:
        return text
    room = max(limit - _NOTE_ROOM, 0)
    kept = bisect_right(range(len(text) + 1), room, key=lambda n: measure(text[:n])) - 1
    note = f"… ({len(text) - max(kept, 0)} more characters)"
    return text[: max(kept, 0)] + note if measure(note) <= limit else text[:limit]


def sayable(text: str) -> str:
    """Without the spaces around it, and without what has no UTF-8."""
    return text.strip().encode("utf-8", "replace").decode("utf-8")


def one_line(text: str) -> str:
    """For titles, subjects and headers."""
    return " ".join("".join(c if c.isprintable() or c.isspace() else "?" for c in text).split())


def title_of(message: Message) -> str:
    """The title on one line, never empty: no service takes a message without a word."""
    return one_line(message.title) or one_line(message.alert.title) or "Selfheal"


def link_line(link: Link) -> str:
    return f"{link.label}: {link.url}"


def links_within(
    message: Message,
    limit: int,
    measure: Measure = in_utf16,
    show: Callable[[Link], str] = link_line,
) -> tuple[Link, ...]:
    """The first links, as many as find room."""
    links = message.links
    while links and measure("\n".join(show(link) for link in links)) + 2 > limit:
        links = links[:-1]
    return links


def body_and_links(
    message: Message,
    limit: int,
    measure: Measure = in_utf16,
    show: Callable[[Link], str] = link_line,
    clean: Callable[[str], str] = str,
) -> str:
    """The body and a line for each link. Links are whole or left out; the body is cut to the room that they leave."""
    tail = "\n".join(show(link) for link in links_within(message, limit // 2, measure, show))
    body = cut(clean(sayable(message.body)), limit - measure(tail) - 2, measure)
    return "\n\n".join(part for part in (body, tail) if part)


def whole(message: Message, limit: int, measure: Measure = in_utf16) -> str:
    """Title, body and links as one plain text."""
    title = cut(title_of(message), limit // 4, measure)
    rest = body_and_links(message, limit - measure(title) - 2, measure)
    return f"{title}\n\n{rest}".strip()


def short(message: Message, limit: int) -> str:
    """The title and the first link, for telephones."""
    link = next((link.url for link in message.links if link.action == "open"), "")
    link = link or next((link.url for link in message.links), "")
    if len(link) + 20 > limit:
        link = ""
    title = cut(title_of(message), limit - len(link) - 1)
    return f"{title} {link}".strip()
