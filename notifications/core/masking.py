"""Secrets are taken out of texts that people read: errors, answers, logs."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import quote, quote_plus, unquote, urlsplit

MASK = "***"
SHORTEST = 4
"""A secret shorter than this is masked only where it stands as a word: elsewhere it would garble the text."""
_PART = 6
"""Parts of an address (a path's segments, a query's values) of at least this length are taken for secrets."""


def mask(text: str, secrets: Iterable[str]) -> str:
    """`text` with every secret replaced, also where it stands percent-encoded, in JSON or in HTML, or where only a part of
    it is quoted: a token without the word before it; of a secret address its password, a long segment of its path, a
    value of its query. A text that was cut within a secret ends before it.
    """
    forms = {form for secret in secrets if secret for form in _forms(secret)}
    for form in sorted(forms, key=len, reverse=True):
        if len(form) >= SHORTEST:
            text = text.replace(form, MASK)
        else:
            text = re.sub(rf"(?<!\w){re.escape(form)}(?!\w)", MASK, text)
    return _without_begun(text, forms)


def _without_begun(text: str, forms: Iterable[str]) -> str:
    """Addresses begin with what is no secret, so of them only the parts count."""
    longest = 0
    for form in forms:
        if "/" not in form:
            sizes = range(min(len(form) - 1, len(text)), _PART - 1, -1)
            longest = max(longest, next((size for size in sizes if text.endswith(form[:size])), 0))
    return text[: len(text) - longest] + MASK if longest else text


def secrets_of(config: Mapping[str, Any], names: Iterable[str]) -> tuple[str, ...]:
    """The texts in the secret fields of a configuration, those in lists and objects too, for `mask`."""
    return tuple(text for name in sorted(names) for text in _texts(config.get(name)))


def mask_url(url: str) -> str:
    """An address as it may be shown: scheme, host and port, everything after them masked."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return MASK
    if not host:
        return MASK
    shown = f"[{host}]" if ":" in host else host
    rest = f"/{MASK}" if parts.path.strip("/") or parts.query or parts.fragment else ""
    return f"{parts.scheme}://{shown}{f':{port}' if port else ''}{rest}"


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _texts(item)


def _forms(secret: str) -> Iterator[str]:
    for part in (secret, *_words_of(secret), *_parts_of_address(secret)):
        yield from (
            part,
            quote(part, safe=""),
            quote(part),
            quote_plus(part),
            unquote(part),
            html.escape(part),
        )
        for written in (json.dumps(part)[1:-1], json.dumps(part, ensure_ascii=False)[1:-1]):
            yield from (written, written.replace("/", "\\/"))


def _words_of(secret: str) -> Iterator[str]:
    """`Bearer …`: services quote the token alone."""
    words = secret.split()
    yield from (word for word in words if len(words) > 1 and len(word) > _PART)


def _parts_of_address(secret: str) -> Iterator[str]:
    if "://" not in secret:
        return
    _scheme, _, rest = secret.partition("://")
    before, _, query = rest.partition("?")
    authority, _, path = before.partition("/")
    credentials = authority.rpartition("@")[0]
    yield from (part for part in credentials.split(":")[-1:] if len(part) >= SHORTEST)
    values = [pair.partition("=")[2] or pair for pair in re.split(r"[&;#]", query)]
    yield from (part for part in (path, *path.split("/"), *values) if len(part) >= _PART)
    yield rest
    if query:
        yield f"{path}?{query}"
