"""The pure parts of the notifications app."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from healing.core import types
from notifications.core.alert import BODY_LIMIT, TITLE_LIMIT, Alert, AlertKind, AlertLevel
from notifications.core.retry import (
    GIVE_UP_AFTER,
    LONGEST_PAUSE,
    GiveUp,
    RetryAt,
    next_try,
    parse_retry_after,
)

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("tries", "seconds"),
    [(0, 10), (1, 10), (2, 20), (3, 40), (9, 2560), (10, 3600), (100, 3600), (10**9, 3600)],
)
def test_pause_doubles_to_an_hour(tries: int, seconds: int) -> None:
    """Protects receivers that are down from being hammered."""
    assert next_try(tries, NOW, NOW) == RetryAt(NOW + timedelta(seconds=seconds))


@pytest.mark.parametrize(("asked", "seconds"), [(None, 10), (0, 10), (5, 10), (300, 300), (-5, 10)])
def test_retry_after_makes_the_pause_longer_only(asked: float | None, seconds: int) -> None:
    """Protects receivers that say when to come back."""
    assert next_try(1, NOW, NOW, asked) == RetryAt(NOW + timedelta(seconds=seconds))


def test_given_up_after_a_day() -> None:
    """Protects people from alerts about yesterday."""
    late = NOW + GIVE_UP_AFTER - timedelta(minutes=59)
    verdict = next_try(30, NOW, late)
    assert isinstance(verdict, GiveUp)
    assert "30 tries in 23.0 h" in verdict.reason
    assert isinstance(next_try(1, NOW, NOW, 10**12), RetryAt)


@settings(deadline=None)
@given(st.integers(0, 10**6), st.floats(0, 10**6), st.one_of(st.none(), st.floats(allow_nan=False)))
def test_every_delivery_ends(tries: int, age: float, retry_after: float | None) -> None:
    """Protects the table: the next try is later than now and within the day, or there is none."""
    now = NOW + timedelta(seconds=age)
    verdict = next_try(tries, NOW, now, retry_after)
    if isinstance(verdict, RetryAt):
        assert now < verdict.at <= NOW + GIVE_UP_AFTER
        assert retry_after is not None or verdict.at - now <= LONGEST_PAUSE


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (None, None),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("30", 30),
        (" 30 ", 30),
        ("9" * 5000, 86_400),
        ("Thu, 01 Jan 2026 12:01:00 GMT", 60),
        ("Thu, 01 Jan 2026 11:00:00 GMT", 0),
        ("Thu, 01 Jan 2026 12:01:00 -0000", 60),
    ],
)
def test_retry_after_header(text: str | None, seconds: float | None) -> None:
    """Protects from headers that are odd or hostile."""
    assert parse_retry_after(text, NOW) == seconds


@pytest.mark.parametrize("level", list(AlertLevel))
@pytest.mark.parametrize("minimum", list(AlertLevel))
def test_levels_have_an_order(level: AlertLevel, minimum: AlertLevel) -> None:
    """Protects the minimum level of a channel."""
    order = ["info", "warning", "error", "critical"]
    assert level.reaches(minimum) is (order.index(level) >= order.index(minimum))


def test_levels_are_those_of_healing() -> None:
    """Protects the one arrow between the apps: both have the same words in the same order."""
    assert [level.value for level in AlertLevel] == [level.value for level in types.AlertLevel]
    alert = Alert(level=types.AlertLevel.ERROR, title="x")  # type: ignore[arg-type]
    assert alert.level is AlertLevel.ERROR


def test_words_are_taken_and_unknown_ones_refused() -> None:
    """Protects from levels that nobody listens to."""
    alert = Alert(level="warning", title="x", kind="resolved")  # type: ignore[arg-type]
    assert (alert.level, alert.kind) == (AlertLevel.WARNING, AlertKind.RESOLVED)
    with pytest.raises(ValueError, match="loud"):
        Alert(level="loud", title="x")  # type: ignore[arg-type]


def test_texts_are_cut_and_made_storable() -> None:
    """Protects the caller's transaction: what a container printed cannot make the row impossible."""
    alert = Alert(
        level=AlertLevel.INFO, title="t" * 1000, body="\0b\ud800" + "b" * 20_000, container="c" * 300
    )
    assert (len(alert.title), len(alert.body), len(alert.container)) == (TITLE_LIMIT, BODY_LIMIT, 255)
    assert alert.body.startswith("b?b")
