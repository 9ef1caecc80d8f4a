"""The digest in words."""

from __future__ import annotations

from datetime import datetime, tzinfo
from typing import Any

from notifications.core.alert import AlertLevel, Text
from notifications.core.digest import DigestFigures, HeldMessage
from notifications.messages import sandbox
from notifications.messages.texts import KINDS, built_in, finish
from notifications.messages.view import link_to
from notifications.messages.words import Words, language_of, one_line, words_of

LISTED = 20
WORST = 5
_FILES = {"title": "digest_title.txt", "body": "digest.txt", "html": "digest.html"}


def render_digest(figures: DigestFigures, language: str, base_url: str) -> Text:
    """The figures of a day or a week, as plain text and as HTML; times are in the zone of `figures.start`."""
    language = language_of(language)
    data = _view(figures, language, base_url)
    made = {kind: _made(kind, data, language, figures.end) for kind in KINDS}
    return Text(made["title"], made["body"], made["html"])


def _made(kind: str, data: dict[str, Any], language: str, now: datetime) -> str:
    source = built_in(language, _FILES[kind])
    return finish(sandbox.run(source, kind, data, language=language, limit=KINDS[kind], now=now), kind)


def _view(figures: DigestFigures, language: str, base_url: str) -> dict[str, Any]:
    words = words_of(language)
    return {
        "kind": figures.kind.value,
        "day": f"{figures.start:%Y-%m-%d}",
        "start": _zoned(figures.start),
        "end": _zoned(figures.end),
        "is_quiet": not (figures.failures or figures.held or figures.restarts),
        "failures": figures.failures,
        "healed": figures.healed,
        "gave_up": figures.gave_up,
        "still_open": max(0, figures.failures - figures.healed - figures.gave_up),
        "restarts": figures.restarts,
        "measures": [
            {"name": name, "value": words.duration(seconds)}
            for name, seconds in (("MTTD", figures.mttd), ("MTTR", figures.mttr), ("MTBF", figures.mtbf))
            if seconds is not None
        ],
        **_lists(figures, words),
        "sent": figures.sent,
        "muted": [
            {"reason": one_line(words.muted(reason), 200), "number": number}
            for reason, number in sorted(figures.muted.items(), key=lambda item: (-item[1], item[0]))[:LISTED]
        ],
        "muted_total": sum(figures.muted.values()),
        "link": link_to(base_url, figures.path or "/admin/"),
    }


def _lists(figures: DigestFigures, words: Words) -> dict[str, Any]:
    first = sorted(figures.healed_at_first, key=lambda each: (-each.times, each.host, each.name))
    return {
        "worst": [
            {
                "name": one_line(each.name, 255),
                "host": one_line(each.host, 255),
                "failures": each.failures,
                "restarts": each.restarts,
                "downtime": words.duration(each.downtime),
            }
            for each in figures.worst[:WORST]
        ],
        "healed_at_first": [
            {"name": one_line(each.name, 255), "host": one_line(each.host, 255), "times": each.times}
            for each in first[:LISTED]
        ],
        "healed_at_first_total": sum(each.times for each in first),
        "healed_at_first_more": max(0, len(first) - LISTED),
        "held": [_held(each, words, figures.start.tzinfo) for each in figures.held[:LISTED]],
        "held_total": len(figures.held),
        "held_more": max(0, len(figures.held) - LISTED),
    }


def _zoned(at: datetime) -> str:
    """In its own time zone."""
    return f"{at:%Y-%m-%d %H:%M} {at.tzname() or ''}".rstrip()


def _held(held: HeldMessage, words: Words, zone: tzinfo | None) -> dict[str, Any]:
    level = held.level if held.level in set(AlertLevel) else AlertLevel.INFO.value
    return {
        "at": _zoned(held.at.astimezone(zone)),
        "level": level,
        "level_name": words.levels[level],
        "title": one_line(held.title, 300),
        "where": one_line(held.where, 300),
    }
