"""The text forms of probes and their options."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from healing.core.errors import ConfigError
from healing.core.probeoptions import BodyMatch
from healing.core.probespec import (
    ExecSettings,
    HttpSettings,
    PluginSettings,
    Settings,
    TcpSettings,
    parse_probe,
)

GOOD: list[tuple[str, str, Settings]] = [
    ("http://:8080/path", "http", HttpSettings("", 8080, "/path")),
    ("http://:8080", "http", HttpSettings("", 8080, "/")),
    ("http://web/health?full=1", "http", HttpSettings("web", 80, "/health?full=1")),
    ("https://host:8443/", "http", HttpSettings("host", 8443, "/", tls=True)),
    ("https:///", "http", HttpSettings("", 443, "/", tls=True)),
    ("http://[::1]:8080/", "http", HttpSettings("::1", 8080, "/")),
    ("HTTP://:80/", "http", HttpSettings("", 80, "/")),
    ("  tcp://:5432 ", "tcp", TcpSettings("", 5432)),
    ("tcp://db.internal:5432", "tcp", TcpSettings("db.internal", 5432)),
    ("exec:test -f /tmp/ok", "exec", ExecSettings(("test", "-f", "/tmp/ok"))),
    ("exec:/bin/check", "exec", ExecSettings(("/bin/check",))),
    (
        "exec:sh -c 'curl -f localhost || exit 1'",
        "exec",
        ExecSettings(("sh", "-c", "curl -f localhost || exit 1")),
    ),
    ("exec:grep '|' file", "exec", ExecSettings(("grep", "|", "file"))),
]

BAD = [
    ("", "write http://:8080/path"),
    ("8080", "write http://:8080/path"),
    ("exec:", "write http://:8080/path"),
    ("ftp://x", "there is no probe of kind 'ftp'"),
    ("http:8080", "lacks the slashes"),
    ("tcp://:0", "the port is missing"),
    ("tcp://db", "the port is missing"),
    ("http://web:/", "the port is missing"),
    ("tcp://:70000", "from 1 to 65535"),
    ("tcp://:http", "from 1 to 65535"),
    ("tcp://:5432/", "has a path"),
    ("http://[::1/", "Invalid IPv6 URL"),
    ("http://user:secret@web/", "user name or password"),
    ("http://:80/#top", "fragment"),
    ("http://:80/a b", "percent-encode"),
    ("http://:80/\r\nX: y", "percent-encode"),
    ("http://w,eb/", "is not a host name"),
    ("exec:'unclosed", "close the quote"),
    ("exec:''", "there is no command"),
    ("exec://bin/check", "without slashes"),
    ("exec:curl -f localhost || exit 1", "needs a shell"),
]


@pytest.mark.parametrize(("text", "kind", "settings"), GOOD)
def test_good_text_is_parsed(text: str, kind: str, settings: Settings) -> None:
    """Protects the written forms, which people have in labels and Compose files."""
    spec = parse_probe("web", text)
    assert (spec.name, spec.kind, spec.text, spec.settings) == ("web", kind, text.strip(), settings)
    assert (spec.interval, spec.timeout) == (None, None)


@pytest.mark.parametrize(("text", "reason"), BAD)
def test_bad_text_is_refused_with_the_remedy(text: str, reason: str) -> None:
    """Protects people from a probe that silently checks something else."""
    with pytest.raises(ConfigError) as refusal:
        parse_probe("web", text)
    assert refusal.value.field == "probe.web"
    assert reason in refusal.value.reason


@pytest.mark.parametrize("name", ["", "a b", "-x", "ü", "x" * 64])
def test_bad_name_is_refused(name: str) -> None:
    """Protects the name, which becomes part of labels and JSON keys."""
    with pytest.raises(ConfigError, match="name"):
        parse_probe(name, "tcp://:1")


def test_options_of_http() -> None:
    """Protects the meaning of each option of the http probe."""
    options = {
        "status": "200-299, 304",
        "body_match": "/ready|up/",
        "tls_verify": "false",
        "interval": 5,
        "timeout": "1.5",
    }
    spec = parse_probe("web", "https://:8443/", options)
    assert spec.settings == HttpSettings(
        "", 8443, "/", True, False, ((200, 299), (304, 304)), BodyMatch("ready|up", is_regex=True)
    )
    assert (spec.interval, spec.timeout) == (5.0, 1.5)


@pytest.mark.parametrize(
    ("option", "value", "reason"),
    [
        ("status", "abc", "200-299,304"),
        ("status", "99", "200-299,304"),
        ("status", True, "200-299,304"),
        ("status", "399-200", "write 200-399"),
        ("body_match", "/(/", "not a regular expression"),
        ("body_match", 5, "must be text"),
        ("tls_verify", "maybe", "true or false"),
        ("interval", 0, "from 0.1"),
        ("interval", 0.09, "from 0.1"),
        ("interval", [], "from 0.1"),
        ("timeout", -1, "above 0"),
        ("timeout", "nan", "above 0"),
        ("timeout", "1e99", "above 0"),
        ("timeout", "soon", "above 0"),
        ("retries", 3, "no such option; it has status, body_match, tls_verify, interval, timeout"),
    ],
)
def test_bad_option_is_refused_at_its_field(option: str, value: object, reason: str) -> None:
    """Protects forms and reports, which show the error beside the field."""
    with pytest.raises(ConfigError) as refusal:
        parse_probe("web", "http://:80/", {option: value})
    assert refusal.value.field == f"probe.web.{option}"
    assert reason in refusal.value.reason


@pytest.mark.parametrize("text", ["tcp://:1", "exec:true"])
def test_option_of_another_kind_is_refused(text: str) -> None:
    """Protects from options that would have no effect."""
    with pytest.raises(ConfigError, match="no such option"):
        parse_probe("web", text, {"status": "200"})


def test_empty_options_mean_the_defaults() -> None:
    """Protects forms, which send empty strings for what was left out."""
    empty = {"status": "", "body_match": None, "tls_verify": "", "interval": "", "timeout": None}
    assert parse_probe("web", "http://:80/", empty) == parse_probe("web", "http://:80/")


def test_kind_of_a_plug_in_is_left_to_it() -> None:
    """Protects plug-ins: their text and options reach them unparsed."""
    spec = parse_probe("cache", "redis://:6379/0", {"password": "x", "timeout": 2}, plugin_kinds=("redis",))
    assert spec.kind == "redis"
    assert spec.settings == PluginSettings("//:6379/0", {"password": "x"})
    assert spec.timeout == 2.0


@pytest.mark.parametrize(
    ("match", "body", "found"),
    [
        (BodyMatch("ok"), "all ok", True),
        (BodyMatch("o."), "all ok", False),
        (BodyMatch("o.", is_regex=True), "all ok", True),
    ],
)
def test_body_match(match: BodyMatch, body: str, found: bool) -> None:
    """Protects the difference between plain text and a regular expression."""
    assert match.found_in(body) is found


@settings(deadline=None)
@given(st.one_of(st.text(), st.from_regex(r"(https?|tcp|exec):(//)?.*")))
def test_any_text_is_parsed_or_refused(text: str) -> None:
    """Protects the sweep: no label, however odd, raises anything but ConfigError."""
    with suppress(ConfigError):
        assert parse_probe("web", text).text == text.strip()
