"""De-duplication: the table of Alertmanager's own test, the reasons, and what must hold for any history."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from notifications.core.dedup import LogEntry, Verdict, needs_update

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
EVER = datetime(1, 1, 1, tzinfo=UTC)
REPEAT = timedelta(minutes=10)
NEVER_TOLD = None
FIRST = "first notification of the group"


def entry(firing: str = "", resolved: str = "", minutes: int = 9) -> LogEntry:
    return LogEntry(frozenset(firing), frozenset(resolved), NOW - timedelta(minutes=minutes))


# what the channel was told last, what fires, what has resolved, whether it takes resolutions, whether it is told
UPDATES = [
    (NEVER_TOLD, "234", "", False, True, FIRST),
    (NEVER_TOLD, "", "234", False, False, "nothing fires, and nothing was told"),
    (entry("123"), "234", "", False, True, "new alerts fire"),
    (
        LogEntry(frozenset("123"), frozenset(), EVER),
        "123",
        "",
        False,
        True,
        "unchanged; repeated after 10 min",
    ),
    (entry("123"), "123", "", False, False, "unchanged since 2026-01-01 11:51:00 UTC"),
    (entry("123", minutes=11), "123", "", False, True, "unchanged; repeated after 10 min"),
    (entry("", "123", 11), "", "345", True, False, "came and went between two notifications"),
    (entry("12", "3"), "1", "23", False, False, "unchanged since 2026-01-01 11:51:00 UTC"),
    (entry("12", "3"), "1", "23", True, True, "some resolved"),
    (entry("12", "3"), "", "123", False, True, "all resolved"),
    (entry("12", "3"), "", "123", True, True, "all resolved"),
    (entry("", "123"), "1", "23", True, True, FIRST),
    (entry("123"), "12", "", True, False, "unchanged since 2026-01-01 11:51:00 UTC"),
    (entry("123", minutes=10), "123", "", True, False, "unchanged since 2026-01-01 11:50:00 UTC"),
    (entry("12", "3"), "4", "123", True, True, "new alerts fire"),
]


def ask(
    last: LogEntry | None, firing: str, resolved: str, send_resolved: bool, repeat: timedelta = REPEAT
) -> Verdict:
    return needs_update(
        last, frozenset(firing), frozenset(resolved), repeat, NOW, send_resolved=send_resolved
    )


@pytest.mark.parametrize(("last", "firing", "resolved", "send_resolved", "send", "reason"), UPDATES)
def test_needs_update(
    last: LogEntry | None, firing: str, resolved: str, send_resolved: bool, send: bool, reason: str
) -> None:
    """Protects people from missing a change, and from hearing of none."""
    assert ask(last, firing, resolved, send_resolved) == Verdict(send, reason, "repeated" in reason)


@pytest.mark.parametrize(
    ("repeat", "words"),
    [
        (timedelta(hours=4), "4 h"),
        (timedelta(days=2), "2 d"),
        (timedelta(minutes=90), "90 min"),
        (timedelta(seconds=90), "90 s"),
        (timedelta(0), "0 s"),
    ],
)
def test_reason_of_a_repeat(repeat: timedelta, words: str) -> None:
    """Protects people from wondering why they are told again."""
    old = LogEntry(frozenset("1"), frozenset(), NOW - timedelta(days=3))
    assert ask(old, "1", "", True, repeat) == Verdict(
        True, f"unchanged; repeated after {words}", is_repeat=True
    )


def test_no_repeat_where_asked() -> None:
    """Protects people from a quarantine's alert every four hours; changes are told all the same."""
    old = entry("12", minutes=10_000)
    asked = {"repeat_interval": REPEAT, "now": NOW, "send_resolved": True, "repeats": False}
    assert not needs_update(old, frozenset("12"), frozenset(), **asked).send  # type: ignore[arg-type]
    assert needs_update(old, frozenset("123"), frozenset(), **asked).send  # type: ignore[arg-type]
    assert needs_update(old, frozenset(), frozenset("12"), **asked).send  # type: ignore[arg-type]


def test_never_and_always() -> None:
    """Protects from settings at the ends of what a duration can be."""
    old = LogEntry(frozenset("1"), frozenset(), NOW - timedelta(microseconds=1))
    assert not ask(old, "1", "", True, timedelta.max).send
    assert ask(old, "1", "", True, timedelta(0)).send


KEYS = st.frozensets(st.sampled_from("abcd"))
CHANGES = st.lists(st.tuples(KEYS, st.integers(0, 30)), max_size=12)


@settings(deadline=None, max_examples=200)
@given(CHANGES, st.booleans(), st.booleans())
def test_channel_knows_what_fires(
    changes: list[tuple[frozenset[str], int]], send_resolved: bool, repeats: bool
) -> None:
    """Protects any history: after each flush the channel knows of all that fires, and of the end of all it was told of.

    A flush that changes nothing, right after one that sent, never sends.
    """
    last: LogEntry | None = None
    ended: frozenset[str] = frozenset()
    before: frozenset[str] = frozenset()
    at = NOW
    options = {"send_resolved": send_resolved, "repeats": repeats}
    for firing, minutes in changes:
        at += timedelta(minutes=minutes)
        ended, before = (ended | before) - firing, firing
        if needs_update(last, firing, ended, REPEAT, at, **options).send:
            last = LogEntry(firing, ended, at)
            assert not needs_update(last, firing, ended, REPEAT, at, **options).send
        told = last.firing if last else frozenset()
        assert firing <= told
        assert firing or not told
        assert not send_resolved or told == firing
