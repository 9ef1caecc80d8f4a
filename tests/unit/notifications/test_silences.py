"""Silences: when one holds, and for what."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from notifications.core.matchers import parse_matchers
from notifications.core.muting import Muted, SilenceRule, silenced

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
WEB = {"service": "web", "host": "a"}


def silence(
    matchers: str = "service=web",
    starts_at: datetime = NOW - HOUR,
    ends_at: datetime = NOW + HOUR,
    id: int = 1,
) -> SilenceRule:
    return SilenceRule(id, parse_matchers(matchers), starts_at, ends_at, "ann", "new disks")


@pytest.mark.parametrize(
    ("starts", "ends", "holds"),
    [(-2, -1, False), (-1, 0, False), (-1, 1, True), (0, 1, True), (1, 2, False)],
)
def test_pending_active_expired(starts: int, ends: int, holds: bool) -> None:
    """Protects from a silence that holds too early, or longer than it says; one ended now is over now."""
    found = silenced(WEB, [silence(starts_at=NOW + starts * HOUR, ends_at=NOW + ends * HOUR)], NOW)
    assert (found is not None) is holds


@pytest.mark.parametrize(
    ("matchers", "holds"),
    [
        ("service=web", True),
        ("service=web, host=a", True),
        ("service=web, host=b", False),
        ("service=~w.*", True),
        ("service=~w", False),
        ("service=web, team!=blue", True),
        ("service=web, team=blue", False),
        ('service=web, team=""', True),
        ("service!~db|cache, host=a", True),
        ("service!~db|web, host=a", False),
        ("host=~.+", True),
    ],
)
def test_all_matchers_must_match(matchers: str, holds: bool) -> None:
    """Protects alerts that were not meant."""
    assert (silenced(WEB, [silence(matchers)], NOW) is not None) is holds


@pytest.mark.parametrize("matchers", ["", 'team=""', "host=~.*", "team!=blue", "team!=blue, host=~.*"])
def test_a_silence_of_everything_mutes_nothing(matchers: str) -> None:
    """Protects people from silence over everything by a slip: at least one matcher must ask for a label."""
    assert silenced(WEB, [silence(matchers)], NOW) is None


def test_says_who_why_and_until_when() -> None:
    """Protects the record of an alert that was not sent; of several silences the last to end says so."""
    until = NOW + 3 * HOUR
    found = silenced(WEB, [silence(), silence("host=a", ends_at=until, id=7), silence("a=b", id=9)], NOW)
    reason = "silence 7 by ann until 2026-01-01 15:00 UTC: new disks"
    assert found == Muted("silence", "7", reason, until)


def test_without_author_and_comment() -> None:
    """Protects the reason from empty words."""
    bare = SilenceRule(3, parse_matchers("host=a"), NOW, NOW + HOUR)
    found = silenced(WEB, [bare], NOW)
    assert found is not None
    assert found.reason == "silence 3 until 2026-01-01 13:00 UTC"
