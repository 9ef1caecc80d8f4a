"""Secrets do not stand in what people read."""

from __future__ import annotations

import pytest

from notifications.core.masking import mask, mask_url, secrets_of

URL = "https://user:pa55word@hooks.example.org/services/T0KEN123456/B99?key=abc%2Fdef9&x=1"


@pytest.mark.parametrize(
    "text",
    [
        f"could not POST {URL}",
        "404 for /services/T0KEN123456/B99?key=abc%2Fdef9&x=1",
        "unknown token T0KEN123456",
        "key abc/def9 is wrong",
        "user pa55word refused",
    ],
)
def test_no_part_of_a_secret_address_is_shown(text: str) -> None:
    """Protects webhook addresses, whose path is the password, when a library or a receiver quotes them."""
    shown = mask(text, [URL])
    assert "***" in shown
    assert not any(part in shown for part in ("T0KEN123456", "pa55word", "def9"))


@pytest.mark.parametrize(
    ("text", "secrets", "shown"),
    [
        ("token s3cret/+ refused", ["s3cret/+"], "token *** refused"),
        ("token s3cret%2F%2B refused", ["s3cret/+"], "token *** refused"),
        ("abc is in abcd", ["abc"], "*** is in abcd"),
        ("longer-secret", ["longer", "longer-secret"], "***"),
        ("nothing", ["", "x"], "nothing"),
    ],
)
def test_secrets_are_masked_in_every_form(text: str, secrets: list[str], shown: str) -> None:
    """Protects secrets in percent-encoding, and the text from short ones."""
    assert mask(text, secrets) == shown


def test_secrets_are_found_within_lists_and_objects() -> None:
    """Protects headers and lists of addresses."""
    config = {"urls": ["https://a/1", "https://b/2"], "headers": {"X": "y"}, "port": 5, "name": "n"}
    assert secrets_of(config, {"urls", "headers", "port", "absent"}) == ("y", "https://a/1", "https://b/2")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (URL, "https://hooks.example.org/***"),
        ("http://[::1]:8080/", "http://[::1]:8080"),
        ("https://h?token=1", "https://h/***"),
        ("tgram://123:token/chat", "***"),
        ("nonsense", "***"),
    ],
)
def test_address_as_it_may_be_shown(url: str, shown: str) -> None:
    """Protects lists of channels, which say where a channel leads."""
    assert mask_url(url) == shown


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("bad token abcdef123456", "Bearer abcdef123456"),
        (r'{"got": "p\"w\u00e9rd\/x9"}', 'p"wérd/x9'),
        (r'{"got": "p\"wérd/x9"}', 'p"wérd/x9'),
        ("<p>a&amp;b&lt;cdef</p>", "a&b<cdef"),
        ("the answer ends in abcdef12", "abcdef123456"),
    ],
)
def test_secrets_are_masked_as_services_quote_them(text: str, secret: str) -> None:
    """Protects tokens that are quoted without their `Bearer`, in JSON, in HTML, or cut at the end of an answer."""
    shown = mask(text, [secret])
    assert "***" in shown
    assert not any(part in shown for part in ("abcdef", "w\\u00e9rd", "wérd", "cdef"))


def test_an_end_that_only_begins_like_an_address_is_kept() -> None:
    """Protects ordinary ends of texts: what every address begins with is no secret."""
    assert mask("use https://hooks", ["https://hooks.example.org/T0KEN123456"]) == "use https://hooks"
