"""The tags and filters that templates may use; no other is known to the sandbox.

A filter gets `run`: what is being rendered. None makes its value longer by a number that the template chooses.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.template import Library
from django.template.base import Node, Token
from django.template.defaulttags import comment, do_for, do_if, do_with
from django.utils.html import conditional_escape
from django.utils.safestring import SafeData, mark_safe

from notifications.messages.values import VALUE_LIMIT, Run, shown
from notifications.messages.words import UNKNOWN_TIME, day, moment, parsed_time, words_of

register = Library()


def _block(compile_tag: Callable[[Any, Token], Node]) -> Callable[[Any, Token], Node]:
    def compile_within_limits(parser: Any, token: Token) -> Node:
        parser.refuse_depth()
        return compile_tag(parser, token)

    return compile_within_limits


register.tag("if", _block(do_if))
register.tag("for", _block(do_for))
register.tag("with", _block(do_with))
register.tag("comment", comment)


@register.filter
def default(value: Any, instead: Any, *, run: Run) -> Any:
    """`instead` where the value is empty or missing."""
    return value or instead


@register.filter
def upper(value: Any, *, run: Run) -> str:
    return shown(value).upper()


@register.filter
def lower(value: Any, *, run: Run) -> str:
    return shown(value).lower()


@register.filter
def title(value: Any, *, run: Run) -> str:
    return shown(value).title()


@register.filter
def length(value: Any, *, run: Run) -> int:
    return len(value) if isinstance(value, str | list | tuple | dict) else 0


@register.filter
def first(value: Any, *, run: Run) -> Any:
    return value[0] if isinstance(value, list | tuple) and value else None


@register.filter
def last(value: Any, *, run: Run) -> Any:
    return value[-1] if isinstance(value, list | tuple) and value else None


@register.filter
def head(value: Any, number: Any, *, run: Run) -> Any:
    """The first entries of a list."""
    return value[: _whole(number)] if isinstance(value, list | tuple) else value


@register.filter
def tail(value: Any, number: Any, *, run: Run) -> Any:
    """The last entries of a list."""
    return value[max(0, len(value) - _whole(number)) :] if isinstance(value, list | tuple) else value


@register.filter
def join(value: Any, separator: Any, *, run: Run) -> str:
    """The entries of a list with a text between them; what is too long for one value is left out."""
    if not isinstance(value, list | tuple):
        return shown(value)
    between = conditional_escape(shown(separator)) if run.is_html else shown(separator)
    pieces: list[str] = []
    size = 0
    for entry in value:
        text = conditional_escape(shown(entry)) if run.is_html else shown(entry)
        size += len(text) + len(between)
        run.spend(1 + len(text) // 64)
        if size > VALUE_LIMIT:
            break
        pieces.append(text)
    joined = str(between).join(pieces)
    return _safe(joined) if run.is_html else joined


@register.filter
def truncatechars(value: Any, number: Any, *, run: Run) -> str:
    text, limit = shown(value), _whole(number)
    return text if len(text) <= limit else text[: max(0, limit - 1)] + "…"


@register.filter
def linebreaks(value: Any, *, run: Run) -> str:
    """In HTML a `<br>` for every end of a line; the rest is escaped."""
    text = shown(value)
    if not run.is_html:
        return text
    safe = text if isinstance(text, SafeData) else conditional_escape(text)
    return _safe(str(safe).replace("\n", "<br>\n"))


@register.filter
def escape(value: Any, *, run: Run) -> str:
    return conditional_escape(shown(value))


@register.filter
def number(value: Any, *, run: Run) -> str:
    """`1960` as `1,960`."""
    return f"{value:,}" if isinstance(value, int | float) else shown(value)


@register.filter
def date(value: Any, *, run: Run) -> str:
    """The day of a time, such as `2026-03-01`."""
    at = parsed_time(value)
    return day(at) if at else UNKNOWN_TIME


@register.filter
def time(value: Any, *, run: Run) -> str:
    """A time to the second, such as `2026-03-01 03:12:05 UTC`."""
    at = parsed_time(value)
    return moment(at) if at else UNKNOWN_TIME


@register.filter
def clock(value: Any, *, run: Run) -> str:
    """The time of day, such as `03:12:05`."""
    at = parsed_time(value)
    return f"{at:%H:%M:%S}" if at else UNKNOWN_TIME


@register.filter
def timesince(value: Any, *, run: Run) -> str:
    """How long ago a time was, in the template's language, such as `4 min 10 s`."""
    at = parsed_time(value)
    return words_of(run.language).duration((run.now - at).total_seconds()) if at else UNKNOWN_TIME


@register.filter
def duration(value: Any, *, run: Run) -> str:
    """Seconds in words, such as `4 min 10 s`."""
    return words_of(run.language).duration(value if isinstance(value, int | float) else None)


def _whole(value: Any) -> int:
    try:
        return max(0, int(value))
    except (ValueError, TypeError, OverflowError):
        return 0


def _safe(text: str) -> str:
    return mark_safe(text)  # noqa: S308 - every piece of it is escaped above
