"""Quotes and escapes in the text of matchers, as Alertmanager reads them."""

from __future__ import annotations

import re

NEVER_CLOSED = 'a quote " is opened and never closed; write \\" for one that is meant'

_ESCAPES = {"n": "\n", '"': '"', "\\": "\\"}
_MORE_ESCAPES = {"a": 7, "b": 8, "f": 12, "n": 10, "r": 13, "t": 9, "v": 11, '"': 34, "\\": 92}
_ESCAPED = re.compile(r"\\(x[0-9A-Fa-f]{2}|u[0-9A-Fa-f]{4}|U[0-9A-Fa-f]{8}|[0-3][0-7]{2}|.)", re.DOTALL)
_STRING = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)


def quote(text: str) -> str:
    """The text in double quotes, with what must be escaped escaped."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def quoted(text: str, all_escapes: bool) -> tuple[str, str]:
    """The string in double quotes that `text` begins with, and what follows it.

    With `all_escapes` those of Go are read, as Alertmanager does where a label's name is quoted; else three of them,
    and a backslash before anything else stands for itself, so that regular expressions need no second one.
    """
    found = _STRING.match(text)
    if found is None:
        raise ValueError(NEVER_CLOSED)
    inner = found.group(1)
    return (_unescape_all(inner) if all_escapes else _unescape(inner)), text[found.end() :]


def bare_value(text: str) -> str:
    """A value without quotes; a quote in it must be escaped."""
    if re.search(r'(?:^|[^\\])(?:\\\\)*"', text):
        raise ValueError(
            f'{text!r} has a quote " in it; quote the whole value, and write \\" for one that is meant'
        )
    if len(text) > 1 and text[0] == text[-1] and text[0] in "'`":
        raise ValueError(f'{text} must be in double quotes: "{text[1:-1]}"')
    return _unescape(text)


def _unescape(text: str) -> str:
    return re.sub(r"\\(.)", lambda found: _ESCAPES.get(found.group(1), found.group(0)), text, flags=re.DOTALL)


def _unescape_all(text: str) -> str:
    raw = bytearray()
    end = 0
    for found in _ESCAPED.finditer(text):
        raw += text[end : found.start()].encode() + _bytes_of(found.group(1))
        end = found.end()
    raw += text[end:].encode()
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise ValueError(f'"{text}" is no valid UTF-8') from None


def _bytes_of(escape: str) -> bytes:
    if escape in _MORE_ESCAPES:
        return bytes([_MORE_ESCAPES[escape]])
    if len(escape) == 1:
        return f"\\{escape}".encode()
    if escape[0] == "x":
        return bytes([int(escape[1:], 16)])
    if escape[0] in "uU":
        try:
            return chr(int(escape[1:], 16)).encode()
        except (ValueError, OverflowError):
            raise ValueError(f"\\{escape} is no character") from None
    return bytes([int(escape, 8)])
