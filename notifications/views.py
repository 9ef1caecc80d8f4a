"""The page behind a link out of a message: GET shows what would be done, POST does it.

Programs that follow the links of a mail to scan them only GET. Nobody need be logged in: the signature is the right.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import translation
from django.views.decorators.csrf import csrf_protect
from django.views.decorators.http import require_http_methods

from notifications import acting, links
from notifications.acting import Done, Subject
from notifications.clock import db_now
from notifications.links import Action, Unusable, Why
from notifications.messages.view import link_to, short
from notifications.messages.words import moment
from notifications.models import ActiveAlert
from notifications.page_words import say

LISTED = 20
NAME_LIMIT = 80
ENGLISH, CHINESE = "en", "zh-hans"
_OTHER = {ENGLISH: (CHINESE, "中文"), CHINESE: (ENGLISH, "English")}
_STATUS = {Why.TAMPERED: 404, Why.UNKNOWN: 404, Why.CHANGED: 409, Why.REFUSED: 409}
_GONE = 410

logger = logging.getLogger(__name__)


@csrf_protect
@require_http_methods(["GET", "HEAD", "POST"])
def link(request: HttpRequest) -> HttpResponse:
    """Show what the link in `t` asks, or do it."""
    now = db_now()
    given = request.POST if request.method == "POST" else request.GET
    token, language = given.get(links.PARAMETER, ""), _language(given.get("lang", ""))
    status = 200
    with translation.override(language):
        try:
            asked = links.read(token, now)
            if request.method == "POST":
                page = _done(
                    acting.do(asked, given.get("seen", ""), _who(request), _address(request), now), request
                )
            else:
                page = _question(acting.look(asked), request, now)
        except Unusable as refusal:
            _log_refusal(refusal)
            page, status = _refusal(refusal, language), _STATUS.get(refusal.why, _GONE)
        return _respond(request, {**page, "token": token}, language, status)


def _language(wanted: str = "") -> str:
    """The one that is wanted, else the active one, which is what the browser prefers."""
    name = wanted or translation.get_language() or ENGLISH
    return CHINESE if name.lower().startswith("zh") else ENGLISH


def _who(request: HttpRequest) -> str:
    """Whose name is put on record: who is logged in, else what was written, marked as such."""
    if request.user.is_authenticated:
        return request.user.get_username()[:NAME_LIMIT]
    written = "".join(
        character if character.isprintable() else " " for character in request.POST.get("who", "")
    )
    return f"{' '.join(written.split())[:NAME_LIMIT].strip() or say(ENGLISH, 'nobody')} (by link)"


def _address(request: HttpRequest) -> str:
    return str(request.META.get("REMOTE_ADDR", ""))


def _question(subject: Subject, request: HttpRequest, now: datetime) -> dict[str, Any]:
    language, action = _language(), subject.asked.action
    sentences = [say(language, f"{action}_effect")]
    also = subject.also_muted(now)
    if also:
        sentences.append(say(language, "silence_also", count=also))
    if request.user.is_authenticated:
        sentences.append(say(language, "as_user", by=request.user.get_username()))
    return {
        **_about(subject, language),
        "heading": say(language, f"{action}_question"),
        "sentences": sentences,
        "matchers": subject.matchers,
        "form": {
            "seen": subject.seen,
            "button": say(language, f"{action}_button"),
            "who": "" if request.user.is_authenticated else say(language, "who"),
            "limit": NAME_LIMIT,
            "is_grave": action in (Action.APPROVE, Action.REJECT),
        },
    }


def _done(done: Done, request: HttpRequest) -> dict[str, Any]:
    subject, language, by = done.subject, _language(), _who(request)
    action = subject.asked.action
    _log_use(done, by)
    sentences = list(done.sentences)
    if not action.decides:
        until = moment(done.until) if done.until else ""
        sentences.append(say(language, f"{action}_result", count=done.count, by=by, until=until))
    return {
        **_about(subject, language),
        "heading": say(language, f"{action}_done"),
        "sentences": sentences,
        "matchers": subject.matchers,
    }


def _refusal(refusal: Unusable, language: str) -> dict[str, Any]:
    values = {
        "by": refusal.by or say(language, "nobody"),
        "at": moment(refusal.at) if refusal.at else "",
        "text": refusal.text,
        "action": say(language, refusal.text) if refusal.why is Why.USED else "",
    }
    return {
        "heading": say(language, f"{refusal.why}_title"),
        "sentences": [say(language, f"{refusal.why}_text", **values)],
        "again": say(language, "look_again") if refusal.why is Why.CHANGED else "",
    }


def _about(subject: Subject, language: str) -> dict[str, Any]:
    """The alerts, the first of them listed, and the page of the gravest."""
    details = subject.lead.details if subject.lead else {}
    more = len(subject.alerts) - LISTED
    return {
        "about": say(language, "about"),
        "alerts": [_line(alert, language) for alert in subject.alerts[:LISTED]],
        "more": say(language, "more", count=more) if more > 0 else "",
        "page": link_to(settings.SELFHEAL_URL, details.get("path")),
        "open": say(language, "open"),
    }


def _line(alert: ActiveAlert, language: str) -> dict[str, str]:
    known: Mapping[str, Any] = short(alert.notification.told(), language, settings.SELFHEAL_URL)
    return {
        "level": str(known["level_name"]),
        "title": str(known["title"]),
        "where": str(known["where"]),
        "since": say(language, "since", at=moment(alert.starts_at)),
    }


def _respond(request: HttpRequest, page: Mapping[str, Any], language: str, status: int) -> HttpResponse:
    nonce = secrets.token_urlsafe(16)
    code, name = _OTHER[language]
    context = {**page, "language": language, "other": {"code": code, "name": name}, "nonce": nonce}
    response = render(request, "notifications/link.html", context, status=status)
    response["Content-Language"] = language
    response["Cache-Control"] = "no-store"
    response["X-Robots-Tag"] = "noindex, nofollow"
    # Not no-referrer: with it browsers call the form's origin "null", which the CSRF check refuses.
    response["Referrer-Policy"] = "same-origin"
    response["Content-Security-Policy"] = (
        f"default-src 'none'; style-src 'nonce-{nonce}'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )
    return response


def _log_use(done: Done, by: str) -> None:
    asked = done.subject.asked
    extra = {
        "action": "link_used",
        "link": asked.action.value,
        "message_id": str(asked.message_id),
        "alerts": [alert.pk for alert in done.subject.alerts[:LISTED]],
        "by": by,
    }
    if done.subject.approvals:
        extra["what"] = ", ".join(done.subject.approvals)
    logger.info("a link out of a message was used", extra=extra)


def _log_refusal(refusal: Unusable) -> None:
    asked = refusal.asked
    extra = {
        "action": "link_refused",
        "reason": refusal.why.value,
        "link": asked.action.value if asked else "",
        "message_id": str(asked.message_id) if asked else "",
    }
    logger.info("a link out of a message was not usable", extra=extra)
