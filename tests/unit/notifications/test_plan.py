"""What a group tells a channel: the table beyond Alertmanager's own, and what holds for every history."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from notifications.core.alert import AlertLevel, Outcome
from notifications.core.dedup import LogEntry
from notifications.core.muting import Muted
from notifications.core.noise import PATIENCE, Tell, held_back
from notifications.core.plan import Audience, Item, Plan, plan

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
REPEAT = timedelta(hours=4)
SILENCED = Muted("silence", "1", "silenced by mia: moving", NOW + timedelta(hours=1))
WEB = Item("web", AlertLevel.WARNING, "container_failed", NOW - timedelta(minutes=1))
DB = replace(WEB, key="db")
OVER = replace(WEB, ends_at=NOW, outcome=Outcome.HEALED_AT_FIRST)


def known(*tokens: str, at: datetime = NOW) -> LogEntry:
    return LogEntry(frozenset(tokens), frozenset(), at)


def made(
    *items: Item, entry: LogEntry | None = None, now: datetime = NOW, audience: Audience | None = None
) -> Plan:
    return plan(items, audience or Audience(), entry, REPEAT, now)


@pytest.mark.parametrize(
    ("items", "entry", "told"),
    [
        pytest.param([WEB], None, {"web"}, id="the first"),
        pytest.param([WEB], known("web@container_failed/warning"), set(), id="unchanged"),
        pytest.param([WEB, DB], known("web@container_failed/warning"), {"web", "db"}, id="a new one takes along what fires"),
        pytest.param([replace(WEB, level=AlertLevel.ERROR)], known("web@container_failed/warning"), {"web"}, id="a level that rose"),
        pytest.param([replace(WEB, alertname="x")], known("web@container_failed/warning"), {"web"}, id="another name"),
        pytest.param([OVER], known("web@container_failed/warning"), {"web"}, id="the end"),
        pytest.param([replace(OVER, muted=SILENCED)], known("web@container_failed/warning"), {"web"}, id="a muted end that is owed"),
        pytest.param([OVER], None, {"web"}, id="came and went"),
        pytest.param([replace(OVER, muted=SILENCED)], None, set(), id="came and went under a silence"),
        pytest.param([replace(WEB, muted=SILENCED)], None, set(), id="silenced"),
        pytest.param([replace(WEB, muted=SILENCED), DB], None, {"db"}, id="one of two silenced"),
        pytest.param([replace(WEB, muted=SILENCED)], known("web@container_failed/warning"), set(), id="silenced after it was told"),
        pytest.param([replace(OVER, flaps="12 times")], known("web@container_failed/warning"), {"web"}, id="flapping is news"),
        pytest.param([replace(OVER, flaps="13 times")], known("web@container_failed/warning!flapping"), set(), id="flapping on"),
        pytest.param([OVER], known("web@container_failed/warning!flapping"), {"web"}, id="calm again"),
    ],
)  # fmt: skip
def test_what_is_told(items: list[Item], entry: LogEntry | None, told: set[str]) -> None:
    """Protects what each channel hears, case by case."""
    found = made(*items, entry=entry)
    assert found.told == told
    assert found.send == bool(told)


def test_silenced_alert_stays_known_until_its_end() -> None:
    """Protects the promise that who was told hears the end, also where others of the group were told in between."""
    quiet = replace(WEB, muted=SILENCED)
    later = made(quiet, DB, entry=known("web@container_failed/warning"))
    assert later.told == {"db"}
    assert later.entry is not None
    end = made(replace(OVER, muted=SILENCED), DB, entry=later.entry)
    assert "web" in end.told


@pytest.mark.parametrize(
    "change", [{"acknowledged": True}, {"is_event": True}, {"alertname": "quarantined"}], ids=str
)
def test_what_does_not_repeat(change: dict[str, object]) -> None:
    """Protects from repeats of what somebody does already, what has no end, and what waits for a person anyway."""
    item = replace(WEB, **change)  # type: ignore[arg-type]
    entry = known(item.token, at=NOW - 2 * REPEAT)
    assert made(item, entry=entry).send is False
    assert made(WEB, entry=known("web@container_failed/warning", at=NOW - 2 * REPEAT)).is_repeat
    together = made(item, DB, entry=known(item.token, DB.token, at=NOW - 2 * REPEAT))
    assert (together.told, together.is_repeat) == ({"db"}, True)
    assert together.entry is not None
    assert together.entry.firing == {item.token, DB.token}
    assert made(replace(item, ends_at=NOW), DB, entry=together.entry).told >= {"web"}


def test_channel_without_ends_hears_the_next_begin() -> None:
    """Protects a channel with send_resolved off: it is not told the end, and the next begin is news."""
    audience = Audience(send_resolved=False)
    ended = made(OVER, entry=known("web@container_failed/warning"), audience=audience)
    assert (ended.send, ended.told) == (False, frozenset())
    assert ended.entry is not None
    assert made(WEB, entry=ended.entry, audience=audience).told == {"web"}


@pytest.mark.parametrize(
    ("tell", "level", "outcome", "age", "firing", "held"),
    [
        (Tell.ALL, AlertLevel.WARNING, Outcome.NONE, 1, True, False),
        (Tell.FIRST_HEALS_IN_DIGEST, AlertLevel.WARNING, Outcome.NONE, 1, True, True),
        (Tell.FIRST_HEALS_IN_DIGEST, AlertLevel.WARNING, Outcome.NONE, PATIENCE.total_seconds(), True, False),
        (Tell.FIRST_HEALS_IN_DIGEST, AlertLevel.WARNING, Outcome.HEALED_AT_FIRST, 9, False, True),
        (Tell.FIRST_HEALS_IN_DIGEST, AlertLevel.WARNING, Outcome.HEALED, 9, False, False),
        (Tell.FIRST_HEALS_IN_DIGEST, AlertLevel.ERROR, Outcome.HEALED_AT_FIRST, 9, False, False),
        (Tell.GAVE_UP, AlertLevel.WARNING, Outcome.HEALED, 9, False, True),
        (Tell.GAVE_UP, AlertLevel.ERROR, Outcome.NONE, 9_999, True, True),
        (Tell.GAVE_UP, AlertLevel.CRITICAL, Outcome.NONE, 9, True, False),
        (Tell.GAVE_UP, AlertLevel.WARNING, Outcome.GAVE_UP, 9, True, False),
    ],
)
def test_switches_about_healing(
    tell: Tell, level: AlertLevel, outcome: Outcome, age: float, firing: bool, held: bool
) -> None:
    """Protects both switches: nothing that healing gave up on is ever held back, first heals are."""
    found = held_back(tell, "container_failed", level, outcome, timedelta(seconds=age), firing=firing)
    assert (found is not None) == held
    assert held_back(tell, "host_down", level, outcome, timedelta(seconds=age), firing=firing) is None


MUTES = st.sampled_from([None, SILENCED])
LEVELS = st.sampled_from(list(AlertLevel))


@st.composite
def histories(draw: st.DrawFn) -> list[list[Item]]:
    """Turn after turn, three alerts that begin, rise, are muted, flap, end."""
    turns = []
    for _ in range(draw(st.integers(1, 8))):
        turns.append(
            [
                replace(
                    WEB,
                    key=key,
                    level=draw(LEVELS),
                    ends_at=draw(st.sampled_from([None, NOW])),
                    muted=draw(MUTES),
                    flaps=draw(st.sampled_from(["", "", "12 times"])),
                )
                for key in draw(st.sets(st.sampled_from(["a", "b", "c"]), min_size=1))
            ]
        )
    return turns


@settings(max_examples=200, deadline=None)
@given(histories())
def test_who_was_told_hears_the_end(turns: list[list[Item]]) -> None:
    """Protects from alerts that stay open: in every history the first end after a begin that was told is told."""
    entry: LogEntry | None = None
    open_there: set[str] = set()
    for items in turns:
        found = plan(items, Audience(), entry, REPEAT, NOW)
        for item in items:
            if not item.fires and item.key in open_there:
                assert item.key in found.told
                open_there.discard(item.key)
            elif item.fires and item.key in found.told:
                open_there.add(item.key)
        present = {item.key for item in items}
        open_there &= present
        entry = found.entry or entry
        if entry is not None:
            gone = [token for token in entry.firing if token.rpartition("@")[0] not in present]
            entry = LogEntry(entry.firing - set(gone), entry.resolved, entry.sent_at)


@settings(max_examples=200, deadline=None)
@given(histories())
def test_nothing_is_sent_empty_and_every_alert_has_its_reason(turns: list[list[Item]]) -> None:
    """Protects people from empty messages, and the record from alerts of which nothing is said."""
    for items in turns:
        found = plan(items, Audience(), None, REPEAT, NOW)
        assert found.send == bool(found.told)
        assert found.reason or not found.send
        assert {item.key for item in items} == found.told | set(found.silent or {})
