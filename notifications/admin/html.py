"""HTML for read-only fields. What alerts and services say is hostile input: always escaped."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Model
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import localize
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.timesince import timesince, timeuntil

from notifications.messages.words import plain

NOTHING = "–"
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
_UNITS = (("w", 604_800), ("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1))


def nothing() -> SafeString:
    return format_html("{}", NOTHING)


def preformatted(text: str) -> SafeString:
    """Text as it is, in a box that scrolls; a dash for none."""
    return format_html('<pre class="sh-pre">{}</pre>', plain(text)) if text else nothing()


def table(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> SafeString:
    """A plain table, or a dash; cells are escaped unless they are safe already. No header where its names are empty."""
    lines = [(_line(row),) for row in rows]
    if not lines:
        return nothing()
    head = format_html_join("", "<th>{}</th>", ((name,) for name in header)) if any(header) else ""
    body = format_html_join("", "<tr>{}</tr>", lines)
    return format_html(
        '<table class="sh-table"><thead><tr>{}</tr></thead><tbody>{}</tbody></table>', head, body
    )


def _line(row: Sequence[Any]) -> SafeString:
    return format_html_join("", "<td>{}</td>", ((_cell(value),) for value in row))


def _cell(value: Any) -> Any:
    return plain(value) if isinstance(value, str) and not isinstance(value, SafeString) else value


def items(lines: Iterable[Any]) -> SafeString:
    """A list of sentences, or a dash."""
    rows = [(_cell(line),) for line in lines]
    if not rows:
        return nothing()
    return format_html('<ul class="sh-list">{}</ul>', format_html_join("", "<li>{}</li>", rows))


def badge(value: str, colours: Mapping[str, str]) -> SafeString:
    """A word in its colour, as lists show it; a dash for none."""
    if not value:
        return nothing()
    colour = _COLOURS.get(colours.get(value, ""), _PLAIN)
    return format_html('<span class="{} {}">{}</span>', _BADGE, colour, value.replace("_", " "))


def pairs(labels: Mapping[str, str]) -> SafeString:
    """Labels as `name="value"`, each unbroken; a dash for none."""
    if not labels:
        return nothing()
    return format_html_join(
        " ", '<code class="sh-label">{}="{}"</code>', ((plain(k), plain(str(v))) for k, v in labels.items())
    )


def ago(at: datetime | None) -> SafeString:
    """How long ago, or ahead, with the time itself on hover; a dash for never."""
    if at is None:
        return nothing()
    now = timezone.now()
    if abs((now - at).total_seconds()) < 60:
        text = "just now" if at <= now else "within a minute"
    else:
        text = f"{timesince(at, depth=1)} ago" if at < now else f"in {timeuntil(at, depth=2)}"
    return format_html('<span class="sh-ago" title="{}">{}</span>', localize(timezone.localtime(at)), text)


def link(url: str, text: str) -> SafeString:
    """A link within the admin."""
    return format_html('<a class="sh-link" href="{}">{}</a>', url, plain(text))


def row_link(row: Model | None, text: str = "") -> SafeString:
    """A link to a row's page; a dash for none."""
    if row is None:
        return nothing()
    url = reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_change", args=(row.pk,))
    return link(url, text or str(row))


def muted(text: str) -> SafeString:
    """What a row does not say itself but has from elsewhere, in grey."""
    return format_html('<span class="sh-inherited" title="inherited">{}</span>', plain(text))


def span(value: timedelta | None) -> str:
    """A duration as people and Alertmanager write it: `30s`, `5m`, `1h30m`; a dash for none."""
    if value is None:
        return NOTHING
    rest, parts = round(value.total_seconds()), []
    for unit, size in _UNITS:
        number, rest = divmod(rest, size)
        if number:
            parts.append(f"{number}{unit}")
    return "".join(parts) or "0s"
