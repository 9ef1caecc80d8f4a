"""Matchers as Alertmanager's: a label's name, an operator and a value, read from text and tried on labels."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import re2

from notifications.core.errors import ConfigError
from notifications.core.quoting import NEVER_CLOSED, bare_value, quote, quoted

OPERATORS = ("=~", "!~", "!=", "=")
TEXT_LIMIT = 16_000
"""Characters of all matchers together."""
COUNT_LIMIT = 64
"""Matchers in one text."""
NAME_LIMIT = 255
VALUE_LIMIT = 1_000
PATTERN_MEMORY = 4 << 20
"""Bytes that one compiled regular expression may take."""

_RESERVED = frozenset("{}!=~,\\\"'`")


@dataclass(frozen=True, slots=True)
class Matcher:
    """One condition on one label: `=`, `!=`, `=~`, `!~`. A label that is absent counts as empty.

    Regular expressions are RE2's and match the whole value. An operator or a value that cannot be used raises
    ConfigError.
    """

    name: str
    op: str
    value: str
    _pattern: Any = field(init=False, repr=False, compare=False, default=None)

    def __post_init__(self) -> None:
        if self.op not in OPERATORS:
            raise ConfigError("matchers", f"{self.op!r} is no operator; use one of = != =~ !~")
        if not 0 < len(self.name) <= NAME_LIMIT:
            raise ConfigError("matchers", f"a label's name has 1 to {NAME_LIMIT} characters")
        if len(self.value) > VALUE_LIMIT:
            raise ConfigError(
                "matchers", f"the value for {self.name} is longer than {VALUE_LIMIT} characters"
            )
        if self.op in ("=~", "!~"):
            object.__setattr__(self, "_pattern", _compile(self.name, self.value))

    def matches(self, labels: Mapping[str, str]) -> bool:
        value = labels.get(self.name, "")
        if self._pattern is None:
            return (value == self.value) is (self.op == "=")
        return (self._pattern.fullmatch(value) is not None) is (self.op == "=~")

    def __str__(self) -> str:
        """The matcher as text, from which `parse_matchers` makes the same."""
        is_bare = not any(character in _RESERVED or character.isspace() for character in self.name)
        return f"{self.name if is_bare else quote(self.name)}{self.op}{quote(self.value)}"


def all_match(matchers: Iterable[Matcher], labels: Mapping[str, str]) -> bool:
    """Whether every matcher matches; true where there is none."""
    return all(matcher.matches(labels) for matcher in matchers)


def is_selective(matchers: Iterable[Matcher]) -> bool:
    """Whether at least one matcher asks for a label, so that an alert without labels is not meant.

    What mutes must be selective: no matchers, or such as match anything, must not mute everything.
    """
    return not all_match(matchers, {})


def parse_matchers(text: str, field: str = "matchers") -> tuple[Matcher, ...]:
    """Read matchers: one a line, or several separated by commas, in braces or without.

    Values may be bare or in double quotes; `\\"`, `\\\\` and `\\n` are escapes in both. ConfigError at `field` names the
    line and what is wrong with it.
    """
    if len(text) > TEXT_LIMIT:
        raise ConfigError(field, f"has {len(text)} characters; at most {TEXT_LIMIT} are read")
    found: list[Matcher] = []
    for line, piece in _pieces(text, field):
        if len(found) == COUNT_LIMIT:
            raise ConfigError(field, f"line {line}: these are more than {COUNT_LIMIT} matchers")
        try:
            found.append(_parse_one(piece))
        except ConfigError as error:
            raise ConfigError(field, f"line {line}: {error.reason}") from None
        except ValueError as error:
            raise ConfigError(field, f"line {line}: {error}") from None
    return tuple(found)


def _compile(name: str, pattern: str) -> Any:
    options = re2.Options()
    options.log_errors = False
    options.max_mem = PATTERN_MEMORY
    try:
        return re2.compile(pattern, options)
    except (re2.error, UnicodeError) as error:
        reason = error.args[0].decode("utf-8", "replace") if isinstance(error.args[0], bytes) else error
        raise ConfigError("matchers", f"the regular expression for {name} cannot be used: {reason}") from None


def _pieces(text: str, field: str) -> Iterator[tuple[int, str]]:
    """Each matcher's text and the line that it begins in; braces around matchers are taken off."""
    opened_at = 0
    for line, raw, separator in _cut(text, field):
        piece = raw.strip()
        if piece.startswith("{") and not opened_at:
            opened_at, piece = line, piece[1:].lstrip()
        if piece.endswith("}") and _closers(piece) > 0:
            if not opened_at:
                raise ConfigError(
                    field,
                    f"line {line}: }} closes no brace; open it with {{ before the first matcher, or leave it out",
                )
            opened_at, piece = 0, piece[:-1].rstrip()
        if piece:
            yield line, piece
        elif separator == ",":
            raise ConfigError(field, f"line {line}: a matcher is missing before the comma")
    if opened_at:
        raise ConfigError(field, f"line {opened_at}: the brace {{ is never closed; end the matchers with }}")


def _cut(text: str, field: str) -> Iterator[tuple[int, str, str]]:
    """Cut at commas and line ends outside of quotes: the first line of each part, the part, and what ended it."""
    line = start_line = 1
    start = 0
    quoted_at = 0
    is_escaped = False
    for position, character in enumerate(text):
        if character == '"' and not is_escaped:
            quoted_at = 0 if quoted_at else line
        is_escaped = character == "\\" and not is_escaped
        if character == "\n":
            line += 1
        if character in ",\n" and not quoted_at:
            yield start_line, text[start:position], character
            start, start_line = position + 1, line
    if quoted_at:
        raise ConfigError(field, f"line {quoted_at}: {NEVER_CLOSED}")
    yield start_line, text[start:], ""


def _closers(piece: str) -> int:
    """How many more braces are closed than opened outside of quotes."""
    depth = 0
    is_quoted = is_escaped = False
    for character in piece:
        if character == '"' and not is_escaped:
            is_quoted = not is_quoted
        is_escaped = character == "\\" and not is_escaped
        if not is_quoted:
            depth += (character == "}") - (character == "{")
    return depth


def _parse_one(piece: str) -> Matcher:
    name, rest, is_quoted = _name(piece)
    rest = rest.lstrip()
    op = next((each for each in OPERATORS if rest.startswith(each)), "")
    if not op:
        raise ValueError(f"after the label's name {name!r} comes one of = != =~ !~, such as {name}=value")
    rest = rest[len(op) :].strip()
    if not rest:
        raise ValueError(f'the value after {name}{op} is missing; write {name}{op}"" for the empty value')
    if not rest.startswith('"'):
        return Matcher(name, op, bare_value(rest))
    value, left = quoted(rest, is_quoted)
    if left.strip():
        raise ValueError(f"{left.strip()!r} follows the quoted value of {name}; separate matchers by a comma")
    return Matcher(name, op, value)


def _name(piece: str) -> tuple[str, str, bool]:
    """The label's name, what follows, and whether the name was quoted."""
    if piece.startswith('"'):
        name, rest = quoted(piece, True)
        return name, rest, True
    end = next(
        (at for at, character in enumerate(piece) if character in _RESERVED or character.isspace()),
        len(piece),
    )
    if end == 0:
        raise ValueError(f"{piece!r} does not begin with a label's name; write it as in severity=critical")
    return piece[:end], piece[end:], False
