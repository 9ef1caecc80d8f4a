"""JSON with line numbers: the entries of a top-level list, or of the list under "containers", one by one."""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from collections.abc import Iterator
from typing import Any

from healing.registration.rows import Place, RegistrationError

_SPACE = re.compile(r"[ \t\r\n]*")
_STRING = re.compile(r'("(?:\\.|[^"\\])*")(\s*:)?')

Entry = tuple[Any, Place, dict[str, int]]


def json_entries(text: str, file: str) -> Iterator[Entry]:
    """(value, its place, the line of each key in it). Raise RegistrationError for a syntax error, before the first entry."""
    try:
        document = json.loads(text, object_pairs_hook=_no_twins)
    except json.JSONDecodeError as error:
        raise RegistrationError(
            Place(file, error.lineno), "", f"JSON syntax error: {error.msg}; mend it and run again"
        ) from None
    except (ValueError, RecursionError) as error:
        raise RegistrationError(
            Place(file), "", f"cannot be used as JSON: {error}; mend it and run again"
        ) from None
    entries = document.get("containers") if isinstance(document, dict) else document
    if not isinstance(entries, list):
        raise RegistrationError(
            Place(file, 1), "", 'write a list of containers, or an object with the list "containers"'
        )
    return _positioned(text, file, _list_start(text, document))


def _no_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        keys = [key for key, _ in pairs]
        twin = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the key {twin!r} is there twice in one object")
    return result


def _skip(text: str, index: int) -> int:
    found = _SPACE.match(text, index)
    return found.end() if found else index


def _list_start(text: str, document: Any) -> int:
    """The index behind the opening bracket of the list; the text is known to be valid."""
    decoder = json.JSONDecoder()
    index = _skip(text, 0) + 1
    if isinstance(document, list):
        return index
    while True:
        key, index = decoder.raw_decode(text, _skip(text, index))
        index = _skip(text, _skip(text, index) + 1)
        if key == "containers":
            return index + 1
        _, index = decoder.raw_decode(text, index)
        index = _skip(text, index) + 1


def _positioned(text: str, file: str, index: int) -> Iterator[Entry]:
    decoder = json.JSONDecoder()
    breaks = [found.start() for found in re.finditer("\n", text)]
    index = _skip(text, index)
    while text[index] != "]":
        start = index
        value, index = decoder.raw_decode(text, start)
        lines: dict[str, int] = {}
        for found in _STRING.finditer(text, start, index):
            if found[2]:
                lines.setdefault(json.loads(found[1]), bisect_right(breaks, found.start()) + 1)
        yield value, Place(file, bisect_right(breaks, start) + 1), lines
        index = _skip(text, index)
        if text[index] == ",":
            index = _skip(text, index + 1)
