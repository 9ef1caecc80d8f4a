"""Matchers: the tables of Alertmanager's own tests of its two parsers, and what is stricter here."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from notifications.core.errors import ConfigError
from notifications.core.matchers import (
    COUNT_LIMIT,
    TEXT_LIMIT,
    VALUE_LIMIT,
    Matcher,
    all_match,
    is_selective,
    parse_matchers,
)

MATCHES = [
    ("=", "bar", "bar", True),
    ("=", "bar", "foo-bar", False),
    ("!=", "bar", "bar", False),
    ("!=", "bar", "foo-bar", True),
    ("=~", "bar", "bar", True),
    ("=~", "bar", "foo-bar", False),
    ("=~", "bar", "bar-foo", False),
    ("=~", ".*bar", "foo-bar", True),
    ("!~", "bar", "bar", False),
    ("!~", "bar", "foo-bar", True),
    ("!~", ".*bar", "foo-bar", False),
    ("=~", "foo.bar", "foo-bar", True),
    ("=~", r"foo\.bar", "foo-bar", False),
    ("=~", r"foo\.bar", "foo.bar", True),
    ("=", "foo\nbar", "foo\nbar", True),
    ("=~", "foo.bar", "foo\nbar", False),
    ("=~", "(?s)foo.bar", "foo\nbar", True),
    ("=", '~!="', '~!="', True),
    ("=~", "a|b", "ab", False),
    ("=~", "a|b", "b", True),
    ("=~", "^a$", "a", True),
    ("=~", "(?i)web", "WEB", True),
    ("=~", "服务.+", "服务一", True),
]

ABSENT = [
    ("=", "", True),
    ("=", "a", False),
    ("!=", "", False),
    ("!=", "a", True),
    ("=~", "", True),
    ("=~", ".*", True),
    ("=~", ".+", False),
    ("!~", ".+", True),
    ("!~", ".*", False),
    ("!~", "a", True),
]

PARSED = [
    ("", []),
    ("{}", []),
    (" \n \n", []),
    ("{foo=bar}", [("foo", "=", "bar")]),
    ("{foo=bar,}", [("foo", "=", "bar")]),
    ("{foo!=bar}", [("foo", "!=", "bar")]),
    ("{foo=~[a-z]+}", [("foo", "=~", "[a-z]+")]),
    ("{foo!~[a-z]+}", [("foo", "!~", "[a-z]+")]),
    ("{foo=🙂}", [("foo", "=", "🙂")]),
    ("{foo=🙂bar}", [("foo", "=", "🙂bar")]),
    ("{foo🙂=bar,bar=baz🙂}", [("foo🙂", "=", "bar"), ("bar", "=", "baz🙂")]),
    ("foo=bar", [("foo", "=", "bar")]),
    ("foo=bar,", [("foo", "=", "bar")]),
    ("foo!=bar", [("foo", "!=", "bar")]),
    ("foo=~[a-z]+", [("foo", "=~", "[a-z]+")]),
    ("foo!~[a-z]+", [("foo", "!~", "[a-z]+")]),
    ('{"foo"="bar"}', [("foo", "=", "bar")]),
    ('{"foo"="bar",}', [("foo", "=", "bar")]),
    ('{"foo"!="bar"}', [("foo", "!=", "bar")]),
    ('{"foo"=~"[a-z]+"}', [("foo", "=~", "[a-z]+")]),
    ('{"foo"!~"[a-z]+"}', [("foo", "!~", "[a-z]+")]),
    ('{"foo"="🙂"}', [("foo", "=", "🙂")]),
    (r'{"foo"="\xf0\x9f\x99\x82"}', [("foo", "=", "🙂")]),
    (r'{"foo"="\U0001f642"}', [("foo", "=", "🙂")]),
    (r'{"foo"="\u00e9\101"}', [("foo", "=", "éA")]),
    (r'{"foo"="bar\n"}', [("foo", "=", "bar\n")]),
    (r'{"foo"="bar\t"}', [("foo", "=", "bar\t")]),
    (r'{"foo"="\"bar\""}', [("foo", "=", '"bar"')]),
    (r'{"foo"="bar\\"}', [("foo", "=", "bar\\")]),
    ('"foo"="bar"', [("foo", "=", "bar")]),
    ('"foo bar"="baz"', [("foo bar", "=", "baz")]),
    ("{foo=bar,bar!=baz}", [("foo", "=", "bar"), ("bar", "!=", "baz")]),
    ('{foo="bar",bar!="baz"}', [("foo", "=", "bar"), ("bar", "!=", "baz")]),
    ("foo=bar,bar!=baz", [("foo", "=", "bar"), ("bar", "!=", "baz")]),
    ('foo="bar",bar!="baz"', [("foo", "=", "bar"), ("bar", "!=", "baz")]),
    ('{foo=~"bar.*"}', [("foo", "=~", "bar.*")]),
    ('{foo!~"bar.*"}', [("foo", "!~", "bar.*")]),
    ('{foo="bar", baz!~"quux.*"}', [("foo", "=", "bar"), ("baz", "!~", "quux.*")]),
    (
        '{foo="bar",baz!~".*quux", derp="wat"}',
        [("foo", "=", "bar"), ("baz", "!~", ".*quux"), ("derp", "=", "wat")],
    ),
    ('{foo="bar", instance=~"some-api.*"}', [("foo", "=", "bar"), ("instance", "=~", "some-api.*")]),
    ('{foo=""}', [("foo", "=", "")]),
    ('{foo="bar,quux", job="job1"}', [("foo", "=", "bar,quux"), ("job", "=", "job1")]),
    ('{foo = "bar", dings != "bums", }', [("foo", "=", "bar"), ("dings", "!=", "bums")]),
    ("foo=bar,dings!=bums", [("foo", "=", "bar"), ("dings", "!=", "bums")]),
    (
        '{quote="She said: \\"Hi, ladies! That\'s gender-neutral…\\""}',
        [("quote", "=", 'She said: "Hi, ladies! That\'s gender-neutral…"')],
    ),
    ('statuscode=~"5.."', [("statuscode", "=~", "5..")]),
    ("tricky=~~~", [("tricky", "=~", "~~")]),
    (r"trickier==\\=\=\"", [("trickier", "=", '=\\=\\="')]),
    (
        r'contains_quote != "\"" , contains_comma !~ "foo,bar" , ',
        [("contains_quote", "!=", '"'), ("contains_comma", "!~", "foo,bar")],
    ),
    ('{invalid-name = "valid label"}', [("invalid-name", "=", "valid label")]),
    (r"foo=!bar\n", [("foo", "=", "!bar\n")]),
    (r"{foo=!bar,bar=$baz\n}", [("foo", "=", "!bar"), ("bar", "=", "$baz\n")]),
    (r'foo="\xf0\x9f\x99\x82"', [("foo", "=", r"\xf0\x9f\x99\x82")]),
    (r"{foo=\n}", [("foo", "=", "\n")]),
    (r"{foo=\t}", [("foo", "=", r"\t")]),
    (r"{foo=bar\t}", [("foo", "=", r"bar\t")]),
    (r"{foo=\"}", [("foo", "=", '"')]),
    (r"{foo=bar\"}", [("foo", "=", 'bar"')]),
    ("{foo='}", [("foo", "=", "'")]),
    ("{foo=bar}}", [("foo", "=", "bar}")]),
    (r'{foo="bar\w"}', [("foo", "=", r"bar\w")]),
    ('foo="new\nline"', [("foo", "=", "new\nline")]),
    (r'com.example.team=~"\d+-.*"', [("com.example.team", "=~", r"\d+-.*")]),
    ("foo=~a{2}", [("foo", "=~", "a{2}")]),
    ("{foo=~a{2}, bar=baz}", [("foo", "=~", "a{2}"), ("bar", "=", "baz")]),
    ('{foo="}", bar=baz}', [("foo", "=", "}"), ("bar", "=", "baz")]),
    ("host=a\r\nservice=b\r\n", [("host", "=", "a"), ("service", "=", "b")]),
    (
        "host=a\n\n{service=b, project=c}\n",
        [("host", "=", "a"), ("service", "=", "b"), ("project", "=", "c")],
    ),
    ('{\n  host="a",\n  service=b\n}', [("host", "=", "a"), ("service", "=", "b")]),
]

REFUSED = [
    (",", "line 1: a matcher is missing before the comma"),
    ("{,}", "line 1: a matcher is missing before the comma"),
    ("a=b,,c=d", "line 1: a matcher is missing before the comma"),
    ("{", "line 1: the brace { is never closed"),
    ("}", "line 1: } closes no brace"),
    ("foo=bar}", "line 1: } closes no brace"),
    ("{foo=bar", "line 1: the brace { is never closed"),
    ("a=b\n{foo=bar", "line 2: the brace { is never closed"),
    ("{{foo=", "does not begin with a label's name"),
    ("{foo=}b", "the brace { is never closed"),
    ("=bar", "does not begin with a label's name"),
    ("foo", "after the label's name 'foo' comes one of"),
    ("foo!bar", "after the label's name 'foo' comes one of"),
    ("{foo!bar}", "after the label's name 'foo' comes one of"),
    ("severity critical", "after the label's name 'severity' comes one of"),
    ("job=", 'line 1: the value after job= is missing; write job=""'),
    ("{foo=,bar=}}", "the value after foo= is missing"),
    ('job="value', "line 1: a quote"),
    ('a=b\njob="value\nc=d', "line 2: a quote"),
    ('job=value"', "line 1: a quote"),
    (r'trickier==\\=\=\""', "line 1: a quote"),
    ('a=foo"b"ar', 'has a quote " in it'),
    ('{foo=:"bar"}', 'has a quote " in it'),
    ('contains_unescaped_quote = foo"bar', "line 1: a quote"),
    ('foo="bar" baz', "'baz' follows the quoted value of foo; separate matchers by a comma"),
    ("severity='critical'", 'must be in double quotes: "critical"'),
    ('{foo=~"invalid[regexp"}', "line 1: the regular expression for foo cannot be used: missing ]"),
    ("a=b\nc=~(", "line 2: the regular expression for c cannot be used"),
    ("a=~foo)|(bar", "the regular expression for a cannot be used"),
    ("a=~(?!b)", "the regular expression for a cannot be used"),
    (r'{"foo"="\xf0\x9f"}', "is no valid UTF-8"),
    (r'"foo"="\Uffffffff"', "is no character"),
    (r'"foo"="\ud800"', "is no character"),
    (r'"{foo=\"bar"}', "} closes no brace"),
    (r'"foo=\"bar"', "after the label's name"),
    (r'"foo=\"bar\""', "after the label's name"),
    (r'"foo=\"bar\"', "a quote"),
    (r'"{foo=\"bar\"}"', "after the label's name"),
    ('"foo="bar""', "after the label's name"),
    ('""=bar', "a label's name has 1 to 255 characters"),
]

WRITTEN = [
    ("foo", "=", "bar", 'foo="bar"'),
    ("foo", "!=", "bar", 'foo!="bar"'),
    ("foo", "=~", "bar", 'foo=~"bar"'),
    ("foo", "!~", "bar", 'foo!~"bar"'),
    ("foo", "=", r"back\slash", r'foo="back\\slash"'),
    ("foo", "=", 'double"quote', r'foo="double\"quote"'),
    ("foo", "=", "new\nline", r'foo="new\nline"'),
    ("foo", "=", "tab\tstop", 'foo="tab\tstop"'),
    ("foo", "=", "🙂", 'foo="🙂"'),
    ("foo!", "!=", "bar", '"foo!"!="bar"'),
    ("foo🙂", "=", "bar", 'foo🙂="bar"'),
    ("foo bar", "=", "baz", '"foo bar"="baz"'),
]


@pytest.mark.parametrize(("op", "pattern", "value", "expected"), MATCHES)
def test_matches(op: str, pattern: str, value: str, expected: bool) -> None:
    """Protects the meaning of the four operators, and that regular expressions match the whole value."""
    assert Matcher("a", op, pattern).matches({"a": value}) is expected


@pytest.mark.parametrize(("op", "pattern", "expected"), ABSENT)
def test_absent_is_empty(op: str, pattern: str, expected: bool) -> None:
    """Protects matchers on labels that an alert does not have."""
    assert Matcher("a", op, pattern).matches({}) is expected
    assert Matcher("a", op, pattern).matches({"a": ""}) is expected


@pytest.mark.parametrize(("text", "expected"), PARSED)
def test_parsed(text: str, expected: list[tuple[str, str, str]]) -> None:
    """Protects people who bring their matchers from Alertmanager."""
    assert [(each.name, each.op, each.value) for each in parse_matchers(text)] == expected


@pytest.mark.parametrize(("text", "message"), REFUSED)
def test_refused(text: str, message: str) -> None:
    """Protects from matchers that would silently match nothing, or everything."""
    with pytest.raises(ConfigError) as caught:
        parse_matchers(text, "source_matchers")
    assert caught.value.field == "source_matchers"
    assert message in caught.value.reason


@pytest.mark.parametrize(("name", "op", "value", "text"), WRITTEN)
def test_written(name: str, op: str, value: str, text: str) -> None:
    """Protects silences made from an alert: what is shown is what was meant."""
    assert str(Matcher(name, op, value)) == text


@settings(deadline=None, max_examples=200)
@given(
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20),
    st.sampled_from(["=", "!="]),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
)
def test_text_and_back(name: str, op: str, value: str) -> None:
    """Protects matchers that are stored as text: any label and value comes back as it was."""
    matcher = Matcher(name, op, value)
    assert parse_matchers(str(matcher)) == (matcher,)
    assert parse_matchers(f"a=b\n{{{matcher},}}\n") == (Matcher("a", "=", "b"), matcher)


@settings(deadline=None, max_examples=200)
@given(st.text("ab\"\\{}=~!,\n'` ", max_size=30))
def test_any_text_is_read_or_refused(text: str) -> None:
    """Protects pages from breaking on what people type: there is either a result or a ConfigError."""
    try:
        found = parse_matchers(text)
    except ConfigError as error:
        assert error.reason.startswith("line ")
    else:
        assert parse_matchers("\n".join(map(str, found))) == found


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a=" + "b" * (VALUE_LIMIT + 1), "is longer than 1000 characters"),
        ("a" * 256 + "=b", "1 to 255 characters"),
        ("a=b\n" * (COUNT_LIMIT + 1), "line 65: these are more than 64 matchers"),
        ("a" * (TEXT_LIMIT + 1), "at most 16000"),
        ('a=~"a{1001}"', "cannot be used"),
        ('a=~"((a{30}){30}){30}"', "cannot be used"),
        ('a=~"' + r"(\\pL{50}){20}" + '"', "too large"),
    ],
)
def test_limits(text: str, message: str) -> None:
    """Protects memory from patterns and texts without measure."""
    with pytest.raises(ConfigError, match=message):
        parse_matchers(text)


def test_no_pattern_takes_long() -> None:
    """Protects the flush from an expression that would take for ever in a backtracking engine."""
    assert not Matcher("a", "=~", "(a*)*b").matches({"a": "a" * 255})
    assert not Matcher("a", "=~", "(x+x+)+y").matches({"a": "x" * 255})


def test_operators_are_four() -> None:
    """Protects from a matcher made by code with a misspelt operator."""
    with pytest.raises(ConfigError, match="'==' is no operator"):
        Matcher("a", "==", "b")


def test_all_match() -> None:
    """Protects that matchers are joined by and, and that none at all match."""
    both = parse_matchers("a=1, b=2")
    assert all_match(both, {"a": "1", "b": "2"})
    assert not all_match(both, {"a": "1"})
    assert all_match((), {"a": "1"})


@pytest.mark.parametrize(
    ("text", "expected"),
    [("", False), ('a=""', False), ("a=~.*", False), ("a!=b", False), ("a=~.+", True), ("a=~.*\nb=c", True)],
)
def test_selective(text: str, expected: bool) -> None:
    """Protects from silences that would mute everything."""
    assert is_selective(parse_matchers(text)) is expected
