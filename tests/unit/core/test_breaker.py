"""The breaker's rule: when it opens, when it closes, and what it holds."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from healing.core.breaker import CALM, LEAST, Breaker, BreakerMode, Count, Move, hold, is_calm, move, trips
from healing.core.common import Sufferer, in_common

NOON = datetime(2030, 1, 1, 12, 0, tzinfo=UTC)
OPEN = Breaker("host h1", since=NOON)


@pytest.mark.parametrize(
    ("failing", "running", "share", "expected"),
    [
        (4, 10, 0.4, False),  # exactly the share is not more than it
        (5, 10, 0.4, True),
        (2, 2, 0.4, False),  # fewer than three are never a storm
        (3, 3, 0.4, True),
        (3, 8, 0.4, False),
        (3, 7, 0.4, True),
        (3, 1000, 0.0, True),
        (10, 10, 1.0, False),  # a share of 1 is never exceeded: it never opens
        (0, 0, 0.0, False),
    ],
)
def test_it_opens_above_its_share_and_from_three_on(
    failing: int, running: int, share: float, expected: bool
) -> None:
    """Both conditions count, and the share itself is still allowed."""
    assert trips(Count(failing, running), share) is expected


def test_in_a_grace_what_is_stopped_or_starting_does_not_open_it() -> None:
    """An engine that has just come back starts its containers itself; what is unhealthy although it runs counts."""
    count = Count(failing=8, running=10, unsettled=4)
    assert trips(count, 0.4)
    assert not trips(count, 0.4, in_grace=True)
    assert trips(replace(count, unsettled=3), 0.4, in_grace=True)


@pytest.mark.parametrize(
    ("failing", "running", "expected"),
    [(0, 0, True), (0, 5, True), (1, 4, False), (1, 5, True), (2, 10, True), (3, 10, False)],
)
def test_it_is_calm_up_to_half_the_share(failing: int, running: int, expected: bool) -> None:
    """Half of 40% of ten is two: two are calm, three are not; none is always calm."""
    assert is_calm(Count(failing, running), 0.4) is expected


def test_it_closes_when_it_has_been_calm_for_a_minute() -> None:
    """Calm begins, is broken by a look that is not calm, and closes only after all of its time."""
    calm, edge = Count(1, 10), Count(3, 10)
    assert move(OPEN, calm, NOON) is Move.CALM
    assert move(OPEN, edge, NOON) is Move.NONE
    resting = replace(OPEN, calm_since=NOON)
    assert move(resting, edge, NOON) is Move.DISTURBED
    assert move(resting, calm, NOON + CALM - timedelta(seconds=1)) is Move.NONE
    assert move(resting, calm, NOON + CALM) is Move.CLOSE


def test_what_each_mode_holds() -> None:
    """Closed and in slow start nothing; in hold everything; in approval all but while a person lets it go on."""
    count = Count(6, 10)
    for mode in BreakerMode:
        assert hold(replace(OPEN, since=None, mode=mode), NOON, count) is None
    assert hold(OPEN, NOON, count) is None
    held = hold(replace(OPEN, mode=BreakerMode.HOLD), NOON, count)
    assert held is not None
    assert held.reason == "breaker of host h1: 6 of 10 containers fail at once"
    asking = replace(OPEN, mode=BreakerMode.APPROVAL)
    waits = hold(asking, NOON, count)
    assert waits is not None
    assert waits.reason == "breaker of host h1 waits for approval"
    approved = replace(asking, approved_until=NOON + timedelta(hours=1))
    assert hold(approved, NOON, count) is None
    assert hold(approved, NOON + timedelta(hours=1), count) is not None


counts = st.builds(
    lambda running, failing, unsettled: Count(
        min(failing, running), running, min(unsettled, failing, running)
    ),
    st.integers(0, 50),
    st.integers(0, 50),
    st.integers(0, 50),
)
looks = st.lists(st.tuples(counts, st.integers(0, 90), st.booleans()), max_size=40)


def after(breaker: Breaker, made: Move, now: datetime) -> Breaker:
    """The breaker with a move made, as the database keeps it."""
    match made:
        case Move.OPEN:
            return replace(breaker, since=now, calm_since=None)
        case Move.CALM:
            return replace(breaker, calm_since=now)
        case Move.DISTURBED:
            return replace(breaker, calm_since=None)
        case Move.CLOSE:
            return replace(breaker, since=None, calm_since=None)
    return breaker


@given(looks, st.floats(0.0, 1.0))
def test_it_never_flutters(history: list[tuple[Count, int, bool]], share: float) -> None:
    """Whatever is seen: it opens only on what trips it, closes only after a minute of nothing but calm, and a look
    that is repeated at the same moment changes nothing more."""
    breaker, now, calm_from = Breaker("the fleet", share=share), NOON, NOON
    for count, seconds, in_grace in history:
        now += timedelta(seconds=seconds)
        was_calm = is_calm(count, share)
        made = move(breaker, count, now, in_grace=in_grace)
        if not was_calm:
            calm_from = now + timedelta(seconds=1)
        if made is Move.OPEN:
            assert count.failing >= LEAST
            assert count.failing > share * count.running
        if made is Move.CLOSE:
            assert was_calm
            assert now - calm_from >= CALM - timedelta(seconds=1)
        if made is Move.CALM:
            calm_from = now
        breaker = after(breaker, made, now)
        assert move(breaker, count, now, in_grace=in_grace) in (Move.NONE, Move.CALM)


def test_what_they_have_in_common_is_told() -> None:
    """A message, an image, a project that at least half share; what one or few have is not told."""
    sick = [
        Sufferer(f"web-{n}", project="shop", image=f"web:{n % 2}", message="connection  refused")
        for n in range(4)
    ]
    sick += [Sufferer("db", project="store", image="db:1", message="exit code 1")]
    assert in_common(sick, NOON) == [
        "4 of 5 say: connection refused",
        "4 of 5 belong to project shop",
    ]
    assert in_common(sick[:1], NOON) == []


def test_a_recent_change_of_images_is_told() -> None:
    """A deployment within the last hour is the likeliest cause of all."""
    old, new = NOON - timedelta(hours=2), NOON - timedelta(minutes=5)
    sick = [
        Sufferer("a", image_changed_at=new),
        Sufferer("b", image_changed_at=new),
        Sufferer("c", image_changed_at=old),
    ]
    assert in_common(sick, NOON) == ["2 of 3 were given another image within the last hour"]
