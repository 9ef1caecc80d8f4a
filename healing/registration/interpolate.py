"""Compose's variables: ${VAR}, ${VAR:-default}, ${VAR-default}, ${VAR:?error}, ${VAR:+other}, $VAR and $$. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_OPERATOR = re.compile(r":-|-|:\?|\?|:\+|\+")


class InterpolationError(ValueError):
    """A variable that is written wrongly, or is required and not set; the text is for people."""


def interpolate(text: str, variables: Mapping[str, str], unset: Callable[[str], None] | None = None) -> str:
    """The text with its variables replaced; `unset` is told each plain variable that has no value (it becomes empty).

    Raise InterpolationError for a bad form and for a required variable that is not set.
    """
    if "$" not in text:
        return text
    result, end = _expand(text, 0, variables, unset or (lambda name: None), inside=False)
    assert end == len(text)
    return result


def _expand(
    text: str, index: int, variables: Mapping[str, str], unset: Callable[[str], None], *, inside: bool
) -> tuple[str, int]:
    """Expand from `index` on; inside braces up to, and without, the closing brace."""
    parts: list[str] = []
    while index < len(text):
        if inside and text[index] == "}":
            return "".join(parts), index
        if text[index] != "$":
            parts.append(text[index])
            index += 1
            continue
        value, index = _variable(text, index + 1, variables, unset)
        parts.append(value)
    if inside:
        raise InterpolationError(
            f"{text!r}: a closing brace is missing; write ${{NAME}}, or $$ for a dollar sign"
        )
    return "".join(parts), index


def _variable(
    text: str, index: int, variables: Mapping[str, str], unset: Callable[[str], None]
) -> tuple[str, int]:
    """Expand what follows a dollar sign at `index - 1`."""
    if text[index : index + 1] == "$":
        return "$", index + 1
    braced = text[index : index + 1] == "{"
    name = _NAME.match(text, index + braced)
    if name is None:
        raise InterpolationError(
            f"{text!r}: a dollar sign without a name; write ${{NAME}}, or $$ for a dollar sign"
        )
    if braced:
        return _braced(text, name, variables, unset)
    return _plain(name[0], variables, unset), name.end()


def _plain(name: str, variables: Mapping[str, str], unset: Callable[[str], None]) -> str:
    if name not in variables:
        unset(name)
    return variables.get(name, "")


def _braced(
    text: str, name: re.Match[str], variables: Mapping[str, str], unset: Callable[[str], None]
) -> tuple[str, int]:
    if text[name.end() : name.end() + 1] == "}":
        return _plain(name[0], variables, unset), name.end() + 1
    operator = _OPERATOR.match(text, name.end())
    if operator is None:
        raise InterpolationError(
            f"{text!r}: ${{{name[0]}…}} is not understood; write ${{{name[0]}:-default}}"
        )
    present = bool(variables.get(name[0])) if operator[0].startswith(":") else name[0] in variables
    chosen = present if operator[0].endswith("+") else not present
    word_unset = unset if chosen and not operator[0].endswith("?") else (lambda name: None)
    try:
        word, end = _expand(text, operator.end(), variables, word_unset, inside=True)
    except InterpolationError:
        if chosen:
            raise
        word, end = "", _closing(text, operator.end())
    if operator[0].endswith("?") and not present:
        raise InterpolationError(
            f"the variable {name[0]} is required: {word or 'it is not set'}; set it and run again"
        )
    if operator[0].endswith("+"):
        return (word if present else ""), end + 1
    return (variables[name[0]] if present else word), end + 1


def _closing(text: str, index: int) -> int:
    """The brace that closes a word which is not used, and so need not make sense."""
    depth = 1
    for position in range(index, len(text)):
        depth += {"{": 1, "}": -1}.get(text[position], 0)
        if not depth:
            return position
    raise InterpolationError(
        f"{text!r}: a closing brace is missing; write ${{NAME}}, or $$ for a dollar sign"
    )
