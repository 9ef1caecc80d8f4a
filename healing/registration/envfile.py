"""The .env file of Compose: NAME=value lines, quotes, comments, `export`. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping

from healing.registration.interpolate import InterpolationError, interpolate
from healing.registration.rows import Place, RegistrationError

_LINE = re.compile(r"(?:export\s+)?([A-Za-z_][A-Za-z0-9_.-]*)\s*(?:=\s*(.*))?", re.DOTALL)
_ESCAPES = {"\\n": "\n", "\\t": "\t", "\\r": "\r", '\\"': '"', "\\\\": "\\", "\\$": "$$"}


def parse_env(text: str, file: str, environment: Mapping[str, str]) -> dict[str, str]:
    """The variables of an env file. `environment` serves variables inside values, and names without a value.

    Raise RegistrationError with the line of what is not NAME=value.
    """
    result: dict[str, str] = {}
    lines = text.removeprefix("\ufeff").splitlines()
    number = 0
    while number < len(lines):
        first = number
        line = lines[number].strip()
        number += 1
        if not line or line.startswith("#"):
            continue
        found = _LINE.fullmatch(line)
        if found is None:
            raise RegistrationError(
                Place(file, first + 1), "", f"{line!r} is not NAME=value; write one variable a line"
            )
        raw = found[2]
        while raw and raw[0] in "\"'" and not _closed(raw) and number < len(lines):
            raw += "\n" + lines[number]
            number += 1
        if raw is None:
            if found[1] in environment:
                result[found[1]] = environment[found[1]]
            continue
        result[found[1]] = _value(raw, Place(file, first + 1), {**result, **environment})
    return result


def _closed(raw: str) -> bool:
    return re.match(r"'[^']*'" if raw[0] == "'" else r'"(?:\\.|[^"\\])*"', raw, re.DOTALL) is not None


def _value(raw: str, place: Place, variables: Mapping[str, str]) -> str:
    if raw[:1] in ("'", '"') and not _closed(raw):
        raise RegistrationError(place, "", f"the quote {raw[0]} is not closed; close it")
    if raw.startswith("'"):
        return raw[1 : raw.index("'", 1)]
    if raw.startswith('"'):
        found = re.match(r'"((?:\\.|[^"\\])*)"', raw, re.DOTALL)
        inner = found[1] if found else ""
        raw = re.sub(r"\\.", lambda match: _ESCAPES.get(match[0], match[0]), inner, flags=re.DOTALL)
    else:
        raw = re.split(r"\s+#", raw, maxsplit=1)[0].strip()
    try:
        return interpolate(raw, variables)
    except InterpolationError as error:
        raise RegistrationError(place, "", str(error)) from None
