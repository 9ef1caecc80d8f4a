"""HTML for read-only fields. What containers say (log lines, labels, errors) is hostile input: always escaped."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from django.utils import timezone
from django.utils.formats import localize
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.timesince import timesince

from healing.core.wording import NOTHING, shown, visible

_COLOURS = {
    "success": "bg-green-100 text-green-700 dark:bg-green-500/20 dark:text-green-400",
    "danger": "bg-red-100 text-red-700 dark:bg-red-500/20 dark:text-red-400",
    "warning": "bg-orange-100 text-orange-700 dark:bg-orange-500/20 dark:text-orange-400",
    "info": "bg-blue-100 text-blue-700 dark:bg-blue-500/20 dark:text-blue-400",
}
_PLAIN = "bg-base-500/8 text-base-700 dark:bg-base-500/20 dark:text-base-200"
_BADGE = (
    "inline-block font-semibold rounded-default text-[11px] uppercase whitespace-nowrap h-6 leading-6 px-2"
)
_LONGEST = 20_000


def preformatted(text: str) -> SafeString:
    """Text as it is, in a box that scrolls; very long text is cut."""
    cut = text if len(text) <= _LONGEST else text[:_LONGEST] + f"\n… {len(text) - _LONGEST} more characters"
    return format_html('<pre class="sh-pre">{}</pre>', visible(cut))


def evidence(details: object) -> SafeString:
    """A record's details: each part under its name, lists of lines as lines, everything else as indented JSON."""
    if not details:
        return format_html("{}", NOTHING)
    if not isinstance(details, Mapping):
        return preformatted(_text(details))
    return format_html_join(
        "",
        '<div class="sh-part"><div class="sh-name">{}</div>{}</div>',
        (
            (visible(str(name)).replace("_", " "), preformatted(_text(value)))
            for name, value in details.items()
        ),
    )


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list) and value and all(isinstance(line, str) for line in value):
        return "\n".join(value)
    return json.dumps(value, indent=2, ensure_ascii=False, default=str)


def table(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> SafeString:
    """A plain table; cells are escaped unless they are safe strings already. No header where all its names are empty."""
    head = format_html_join("", "<th>{}</th>", ((name,) for name in header)) if any(header) else ""
    body = format_html_join(
        "",
        "<tr>{}</tr>",
        ((format_html_join("", "<td>{}</td>", ((_cell(c),) for c in row)),) for row in rows),
    )
    return format_html(
        '<table class="sh-table"><thead><tr>{}</tr></thead><tbody>{}</tbody></table>', head, body
    )


def _cell(value: Any) -> Any:
    return visible(value) if isinstance(value, str) and not isinstance(value, SafeString) else value


def items(lines: Iterable[str]) -> SafeString:
    """A list of sentences, or a dash."""
    rows = [(visible(line),) for line in lines]
    if not rows:
        return format_html("{}", NOTHING)
    return format_html('<ul class="sh-list">{}</ul>', format_html_join("", "<li>{}</li>", rows))


def badge(value: str, colours: Mapping[str, str]) -> SafeString:
    """A word in its colour, as lists show it; a dash for none."""
    if not value:
        return format_html("{}", NOTHING)
    return format_html(
        '<span class="{} {}">{}</span>', _BADGE, _COLOURS.get(colours.get(value, ""), _PLAIN), shown(value)
    )


def ago(at: datetime | None) -> SafeString:
    """How long ago, with the time itself on hover; a dash for never."""
    if at is None:
        return format_html("{}", NOTHING)
    recent = (timezone.now() - at).total_seconds() < 60
    text = "just now" if recent else f"{timesince(at, depth=1)} ago"
    return format_html('<span class="sh-ago" title="{}">{}</span>', localize(at), text)


def link(url: str, text: str) -> SafeString:
    """A link within the admin."""
    return format_html('<a class="sh-link" href="{}">{}</a>', url, visible(text))
