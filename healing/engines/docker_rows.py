"""The engine's list, of which only the rows that have changed since the last one are decoded."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence

from healing.core.types import Summary
from healing.engines.docker_payloads import parse_summary

# No string of JSON can hold this: a quotation mark in a string has a backslash before it.
_BETWEEN = b'},{"Id":"'
_FIRST, _LAST = b'[{"Id":"', b"}]"


class ListedRows:
    """Keeps what the newest list was decoded to, by the bytes of each row. Safe for use by several threads."""

    def __init__(self) -> None:
        self._kept: Mapping[bytes, Summary] = {}

    def parse(self, body: bytes) -> Sequence[Summary]:
        """The rows of GET /containers/json. Raise ValueError for what is no JSON, TypeError for what is no list."""
        text = body.strip()
        if not (text.startswith(_FIRST) and text.endswith(_LAST)):
            return _parse_whole(text)
        known = self._kept
        found: dict[bytes, Summary] = {}
        try:
            for piece in text[len(_FIRST) : -len(_LAST)].split(_BETWEEN):
                key = hashlib.blake2b(piece, digest_size=16).digest()
                found[key] = known.get(key) or _parse_row(piece)
        except ValueError:
            return _parse_whole(text)  # an engine that nests what looks like a row: it is decoded as a whole
        self._kept = found
        return list(found.values())


def _parse_row(piece: bytes) -> Summary:
    return parse_summary(json.loads(b'{"Id":"' + piece + b"}"))


def _parse_whole(text: bytes) -> Sequence[Summary]:
    rows = json.loads(text)
    if not isinstance(rows, list):
        raise TypeError("the list of containers is no list")
    return [parse_summary(row if isinstance(row, Mapping) else {}) for row in rows]
