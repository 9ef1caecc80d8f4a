"""How values are put before people."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from healing.core.wording import duration, share, shown, visible


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, "–"),
        ("", "–"),
        (True, "yes"),
        (False, "no"),
        (0, "0"),
        (30.0, "30"),
        (0.25, "0.25"),
        (1234567.0, "1234567"),
        ("stopped_by_hand", "stopped by hand"),
        ("shop-web_1", "shop-web_1"),
        ("My_Name", "My_Name"),
        (datetime(2026, 3, 1, 12, 0, 5, tzinfo=UTC), "2026-03-01 12:00:05"),
    ],
)
def test_shown(value: object, expected: str) -> None:
    """Words lose their underscores, names keep them, nothing is a dash and zero is not nothing."""
    assert shown(value) == expected


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (None, "–"),
        (0.0, "0 ms"),
        (0.4513, "451 ms"),
        (12.34, "12.3 s"),
        (300, "0:05:00"),
        (90_000, "1 day, 1:00:00"),
    ],
)
def test_duration(seconds: float | None, expected: str) -> None:
    """Durations are readable from milliseconds to days."""
    assert duration(seconds) == expected


@pytest.mark.parametrize(
    ("value", "expected"), [(None, "–"), (0.0, "0.0%"), (0.756, "75.6%"), (1.0, "100.0%")]
)
def test_share(value: float | None, expected: str) -> None:
    """An unknown rate is not shown as 0%."""
    assert share(value) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain text\n\twith lines 中文 é", "plain text\n\twith lines 中文 é"),
        ("\x1b[2Jgone", "\\x1b[2Jgone"),
        ("a\rb\x00", "a\\x0db\\x00"),
        ("\u202egnp.exe", "\\u202egnp.exe"),
        ("\U000e0041", "\\U000e0041"),
    ],
)
def test_visible_shows_what_would_hide_or_reorder(text: str, expected: str) -> None:
    """A log line cannot clear the terminal, overwrite a line, or turn the reading direction."""
    assert visible(text) == expected
