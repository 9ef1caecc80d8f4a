"""What templates see of a message: plain texts, numbers, lists and dicts, cut to what a person reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from notifications.core.alert import Alert, AlertKind, Link, Message, Told
from notifications.messages.sentences import sentence
from notifications.messages.words import Words, parsed_time, plain, words_of

LISTED = 20
"""So many alerts of a group are listed beside the gravest, which is told in full; the others are counted."""
LINES, LINE, NOTES = 15, 400, 30
"""Lines of a log or of evidence, characters of one, lines of the alert's own text."""
TRIED = 10
_READ = 200

_COLOURS = {"info": "#2f6fab", "warning": "#b7791f", "error": "#c05621", "critical": "#c53030"}
_RESOLVED_COLOUR = "#2f855a"
_TOLD_APART = ("It failed at ", "Done: ", "It was failing for ", "It was in quarantine from ")
"""Beginnings of lines that say again what the details hold."""


_PLAIN_REASONS = frozenset({"first notification of the group", "all resolved"})
"""What goes without saying."""
_IN_TITLE = ("flapping", "unchanged, repeated", "not acknowledged", "summary of")
"""How reasons begin that make a message another one than its headline says."""


def view(message: Message, language: str, base_url: str, now: datetime) -> dict[str, Any]:
    """The variables. Whatever is not known is empty."""
    words = words_of(language)
    told = _in_order(message)
    lead, others = _lead(message, told)
    firing = sum(each.alert.is_firing for each in told)
    alert = full(lead, language, base_url, now)
    is_over = message.status is AlertKind.RESOLVED
    reasons = _reasons(message.reason)
    return {
        "title": alert["title"],
        "level": alert["level"],
        "level_name": alert["level_name"],
        "status": message.status.value,
        "status_name": words.statuses[message.status.value],
        "badge": words.statuses["resolved"] if is_over else alert["level_name"],
        "colour": _RESOLVED_COLOUR if is_over else _COLOURS[alert["level"]],
        "is_group": len(told) > 1,
        "count": len(told),
        "firing": firing,
        "resolved": len(told) - firing,
        "counts": words.counts(firing, len(told) - firing),
        "reason": _why(reasons, words),
        "urgent_reason": _why([each for each in reasons if each.startswith(_IN_TITLE)], words),
        "group": _pairs(message.group_labels),
        "receiver": _line(message.receiver),
        "alert": alert,
        "others": [short(each, language, base_url) for each in others[:LISTED]],
        "more": max(0, len(others) - LISTED),
        **_links(message, alert["link"], language),
        "now": now.isoformat(),
    }


def short(told: Told, language: str, base_url: str) -> dict[str, Any]:
    """An alert in one line of a list."""
    alert, words = told.alert, words_of(language)
    since = parsed_time(alert.details.get("since"))
    return {
        "name": _line(alert.alertname),
        "level": alert.level.value,
        "level_name": words.levels[alert.level.value],
        "status": alert.kind.value,
        "status_name": words.statuses[alert.kind.value],
        "badge": words.levels[alert.level.value] if alert.is_firing else words.statuses["resolved"],
        "title": _line(sentence(alert, language)),
        "host": _line(alert.host),
        "project": _line(alert.project),
        "service": _line(alert.service),
        "container": _line(alert.container),
        "tenant": _line(alert.tenant),
        "where": _where(alert),
        "failure_type": _line(alert.failure_type),
        "failure": _line(words.of(words.failures, alert.failure_type)),
        "outcome": alert.outcome.value,
        "outcome_name": words.of(words.outcomes, alert.outcome.value),
        "since": since.isoformat() if since else "",
        "link": link_to(base_url, alert.details.get("path")),
    }


def full(told: Told, language: str, base_url: str, now: datetime) -> dict[str, Any]:
    """An alert with all that is known of it."""
    alert, words = told.alert, words_of(language)
    details = alert.details
    cause, evidence = _line(_text(details.get("cause"))), _lines(details.get("evidence"))
    seconds = _seconds(told, now)
    following = _line(_text(details.get("next")), 1_000)
    facts = {
        "seconds": seconds,
        "lasted": words.duration(seconds) if seconds is not None else "",
        "ended": _ended(told),
        "cause": cause,
        "evidence": [line for line in evidence if line != cause],
        "log_tail": _lines(details.get("log_tail"))[-LINES:],
        "health_output": _lines(details.get("health_output"))[-LINES:],
        "tried": _tried(details.get("tried"), words),
        "next": following,
        "labels": _pairs(alert.labels),
    }
    return {
        **short(told, language, base_url),
        **facts,
        "notes": _notes(alert, [cause, *evidence, following]),
    }


def _links(message: Message, page: str, language: str) -> dict[str, Any]:
    links = [
        {"action": link.action, "label": _line(link.label), "url": link.url}
        for link in labelled(message.links, language)
        if _is_web(link.url)
    ]
    is_among_them = any(link["url"] == page for link in links)
    return {"link": page, "links": links, "details_link": "" if is_among_them else page}


def labelled(links: Sequence[Link], language: str) -> tuple[Link, ...]:
    """The same links with their labels in the language."""
    words = words_of(language)
    return tuple(replace(link, label=words.link(link.action, link.label)) for link in links)


def link_to(base_url: str, path: Any) -> str:
    """The address of a page of ours; empty where either is missing."""
    if not isinstance(path, str) or not path:
        return ""
    url = f"{base_url.rstrip('/')}/{path.lstrip('/')}"
    return url if _is_web(url) else ""


def _reasons(reason: str) -> list[str]:
    """Its parts, without what goes without saying."""
    parts = reason.replace("unchanged; repeated", "unchanged, repeated").split("; ")
    return [part for part in parts if part and part not in _PLAIN_REASONS]


def _why(reasons: list[str], words: Words) -> str:
    return _line(words.semicolon.join(words.reason(each) for each in reasons))


def _in_order(message: Message) -> list[Told]:
    """What fires first, the graver first, the older first."""
    return sorted(
        message.all, key=lambda told: (not told.alert.is_firing, -told.alert.level.rank, told.created_at)
    )


def _lead(message: Message, told: list[Told]) -> tuple[Told, list[Told]]:
    """The alert that is told in full, and the others."""
    place = next((place for place, each in enumerate(told) if each.alert is message.alert), None)
    if place is None:
        place = next((place for place, each in enumerate(told) if each.alert == message.alert), None)
    if place is None:
        return Told(message.id, message.created_at, message.alert), told
    return told[place], told[:place] + told[place + 1 :]


def _where(alert: Alert) -> str:
    """`shop / web / shop-web-1 @ node-1`, as far as it is known."""
    names = [name for name in (alert.project, alert.service, alert.container) if name]
    place = " / ".join(dict.fromkeys(names))
    return _line(f"{place} @ {alert.host}" if place and alert.host else place or alert.host)


def _seconds(told: Told, now: datetime) -> float | None:
    """How long it lasts, or lasted."""
    details = told.alert.details
    since = parsed_time(details.get("since"))
    if not told.alert.is_firing and _is_number(details.get("seconds")):
        return max(0.0, float(details["seconds"]))
    if since is None:
        return None
    end = now if told.alert.is_firing else parsed_time(_ended(told)) or now
    return max(0.0, (end - since).total_seconds())


def _ended(told: Told) -> str:
    """When it ended; for want of better, when that was written."""
    if told.alert.is_firing:
        return ""
    ended = parsed_time(told.alert.details.get("ended"))
    return (ended or told.created_at).isoformat()


def _tried(value: Any, words: Words) -> list[dict[str, Any]]:
    rows = [row for row in value if isinstance(row, Mapping)] if isinstance(value, list | tuple) else []
    return [_attempt(row, words) for row in rows[-TRIED:]]


def _attempt(row: Mapping[str, Any], words: Words) -> dict[str, Any]:
    action, result, seconds = _text(row.get("action")), _text(row.get("result")), row.get("seconds")
    at = parsed_time(row.get("at"))
    return {
        "action": _line(words.of(words.actions, action)),
        "result": _line(words.of(words.results, result)),
        "at": at.isoformat() if at else "",
        "why": _line(_text(row.get("why"))),
        "seconds": float(seconds) if seconds is not None and _is_number(seconds) else None,
        "took": words.duration(float(seconds)) if seconds is not None and _is_number(seconds) else "",
    }


def _notes(alert: Alert, said: list[str]) -> list[str]:
    """The lines of the alert's own text that say more than its details."""
    known = {_bare(text) for text in said}
    lines = [line for line in _lines(alert.body) if _bare(line) not in known]
    apart = (*_TOLD_APART, "Next: ") if "next" in alert.details else _TOLD_APART
    if "since" in alert.details:
        lines = [line for line in lines if not line.startswith(apart)]
    return lines[:NOTES]


def _bare(text: str) -> str:
    return text.strip(" .").casefold()


def _pairs(labels: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"name": _line(name), "value": _line(str(labels[name]))} for name in sorted(labels)]


def _lines(value: Any) -> list[str]:
    """Lines of a text, or of a list of texts; without empty ones."""
    texts = value[-_READ:] if isinstance(value, list | tuple) else [value]
    lines = [line for text in texts for line in plain(_text(text)).strip("\n").split("\n")]
    return [_cut(line.rstrip()) for line in lines if line.strip()]


def _line(text: str, limit: int = LINE) -> str:
    return _cut(" ".join(plain(text).split()), limit)


def _cut(text: str, limit: int = LINE) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return "" if value is None or isinstance(value, Mapping | list | tuple) else str(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_web(url: str) -> bool:
    """An address of a page, without a character that ends a link where it is read as text."""
    return url.startswith(("https://", "http://")) and not any(c <= " " or c in '"<>\\\x7f' for c in url)
