"""A message in words: from the built-in templates of a language, or from those that people wrote instead."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from notifications.core.alert import TITLE_LIMIT, Message, Text
from notifications.core.errors import ConfigError
from notifications.messages import sandbox
from notifications.messages.markup import refuse_markup
from notifications.messages.sample import SAMPLE_URL, sample_message
from notifications.messages.view import view
from notifications.messages.words import LANGUAGES, language_of, one_line

KINDS: Mapping[str, int] = {"title": 2_000, "body": 20_000, "html": 120_000}
"""What a message is made of, and the characters that each may have; a title is cut further, to one line."""

_TEMPLATES = Path(__file__).with_name("templates")
_FILES = {"title": "title.txt", "body": "body.txt", "html": "body.html"}
_EMPTY_LINES = re.compile(r"\n(?:[ \t]*\n){2,}")

logger = logging.getLogger(__name__)


def render(
    message: Message, language: str, overrides: Mapping[str, str] | None, base_url: str, *, now: datetime
) -> Text:
    """The message in words. `overrides` replace single built-in templates (`title`, `body`, `html`); one that cannot be
    used is logged, and the built-in one speaks instead. Never raises: a message is not lost because of its words."""
    language = language_of(language)
    try:
        data = view(message, language, base_url, now)
        texts = {kind: _part(kind, data, language, overrides or {}, now) for kind in KINDS}
        return Text(texts["title"], texts["body"], texts["html"])
    except Exception:
        logger.exception(
            "a message could not be put into words and is sent as it was written",
            extra={"action": "template_failed", "notification": message.id},
        )
        return Text(one_line(message.alert.title, TITLE_LIMIT), message.alert.body)


def check_template(source: str, kind: str) -> None:
    """Raise ConfigError at `kind` where a template cannot be used: with the line, what is wrong, and what is allowed.

    It is also rendered with a made-up message, because some faults show only then.
    """
    if kind not in KINDS:
        raise ConfigError("kind", f"must be one of {', '.join(KINDS)}")
    bound = sandbox.refuse(source, kind, _variables())
    if kind == "html":
        refuse_markup(source, kind, bound)
    for language in LANGUAGES:
        _sampled(source, kind, language)


def preview(source: str, kind: str, language: str) -> str:
    """What a template makes of a made-up message. Raise ConfigError as `check_template` does.

    Show HTML in a frame with an empty `sandbox` attribute.
    """
    check_template(source, kind)
    return _sampled(source, kind, language_of(language))


def built_in(language: str, name: str) -> str:
    """The source of a built-in template, by its kind; of the digest's, by the name of its file."""
    return _source(language_of(language), _FILES.get(name, name))


def finish(text: str, kind: str) -> str:
    """A title is one line without control characters; a body has no space at line ends and no two empty lines in a row."""
    if kind == "title":
        return one_line(text, TITLE_LIMIT)
    text = "\n".join(line.rstrip() for line in text.split("\n"))
    return _EMPTY_LINES.sub("\n\n", text).strip("\n")


def _part(
    kind: str, data: Mapping[str, Any], language: str, overrides: Mapping[str, str], now: datetime
) -> str:
    own = overrides.get(kind, "")
    if own.strip():
        try:
            text = _made(own, kind, data, language, now)
            if text or kind != "title":
                return text
            raise ConfigError(kind, "it makes an empty title")
        except ConfigError as error:
            logger.warning(
                "a template for messages cannot be used, and the built-in one speaks instead: %s",
                error,
                extra={"action": "template_failed", "template": kind, "language": language},
            )
    return _made(built_in(language, kind), kind, data, language, now)


def _made(source: str, kind: str, data: Mapping[str, Any], language: str, now: datetime) -> str:
    return finish(sandbox.run(source, kind, data, language=language, limit=KINDS[kind], now=now), kind)


def _sampled(source: str, kind: str, language: str) -> str:
    message = sample_message(language)
    now = message.created_at + timedelta(seconds=5)
    return _made(source, kind, view(message, language, SAMPLE_URL, now), language, now)


@cache
def _variables() -> frozenset[str]:
    message = sample_message("en")
    return frozenset(view(message, "en", SAMPLE_URL, message.created_at))


@cache
def _source(language: str, name: str) -> str:
    return (_TEMPLATES / language / name).read_text(encoding="utf-8")
