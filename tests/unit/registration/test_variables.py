"""Variables in Compose files, and the .env files that give them values."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from healing.registration.envfile import parse_env
from healing.registration.interpolate import InterpolationError, interpolate
from healing.registration.rows import RegistrationError

VARIABLES = {"A": "1", "EMPTY": ""}


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("plain", "plain"),
        ("$A-${A}", "1-1"),
        ("$$A", "$A"),
        ("${B:-d}", "d"),
        ("${B-d}", "d"),
        ("${EMPTY:-d}", "d"),
        ("${EMPTY-d}", ""),
        ("${A:-d}", "1"),
        ("${A:+x}", "x"),
        ("${EMPTY:+x}", ""),
        ("${EMPTY+x}", "x"),
        ("${B:+x}", ""),
        ("${B:-${A}${C:-c}}", "1c"),
        ("${A:?needed}", "1"),
        ("${EMPTY?needed}", ""),
        ("${A:-$(date)}", "1"),
        ("$B", ""),
    ],
)
def test_variables_are_replaced_as_compose_does(text: str, result: str) -> None:
    """Each form of Compose's interpolation gives Compose's result."""
    assert interpolate(text, VARIABLES) == result


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("${B:?set B in .env}", "B is required: set B in .env"),
        ("${EMPTY:?}", "EMPTY is required: it is not set"),
        ("${A", "is not understood"),
        ("${A:-x", "brace is missing"),
        ("cost: $5", r"\$\$ for a dollar sign"),
        ("${}", "without a name"),
    ],
)
def test_bad_variables_are_refused(text: str, words: str) -> None:
    """A wrong form or a missing required variable is an error that says what to do."""
    with pytest.raises(InterpolationError, match=words):
        interpolate(text, VARIABLES)


def test_unset_variables_are_told_only_where_they_matter() -> None:
    """A variable that is not set is named once it is used, not where a default covers it."""
    unset: list[str] = []
    interpolate("${X} ${Y:-d} ${A:-${Z}}", VARIABLES, unset.append)
    assert unset == ["X"]


@given(st.text())
def test_any_text_is_replaced_or_refused(text: str) -> None:
    """No text whatever makes the parser fail otherwise than by its own error."""
    try:
        interpolate(text, VARIABLES)
    except InterpolationError as error:
        assert str(error)


def test_env_files_are_read_as_compose_does() -> None:
    """Comments, export, quotes, escapes, later lines using earlier ones, and names without a value."""
    text = (
        "# comment\n\nexport A=1\nB = two words # note\nC='$A raw'\nD=\"$A\\t${E:-x}\"\nHOME\nF=a#b\n"
        'G="two\nlines"\nH=\n'
    )
    assert parse_env(text, ".env", {"HOME": "/root"}) == {
        "A": "1",
        "B": "two words",
        "C": "$A raw",
        "D": "1\tx",
        "HOME": "/root",
        "F": "a#b",
        "G": "two\nlines",
        "H": "",
    }


@pytest.mark.parametrize("line", ["no value here", "=x", "A='open", 'A="open', "A=${B:?x}"])
def test_a_bad_line_of_an_env_file_is_named(line: str) -> None:
    """What cannot be read is refused with its line."""
    with pytest.raises(RegistrationError) as raised:
        parse_env(f"OK=1\n{line}\n", ".env", {})
    assert raised.value.finding.place.line == 2
