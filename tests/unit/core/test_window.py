"""The slow-start window: it opens with what works, closes with what does not, and is never shut."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from healing.core.window import INITIAL, LARGEST, QUIET, SMALLEST, Window, after_failed, after_verified
from tests.unit.core.build import NOW, at


@pytest.mark.parametrize(
    ("window", "size"),
    [
        (Window(), INITIAL),
        (Window(1.0, at(-1)), 1),
        (Window(20.0, at(-1)), 20),
        (Window(1.0, NOW - QUIET), INITIAL),
        (Window(1.0, NOW - QUIET + timedelta(seconds=1)), 1),
    ],
)
def test_ten_quiet_minutes_restore_it(window: Window, size: float) -> None:
    """What a storm has left of the window holds for ten minutes after its last move."""
    assert window.size_at(NOW) == size


@pytest.mark.parametrize(
    ("window", "in_row", "room"),
    [
        (Window(first=7), 0, True),
        (Window(first=8), 0, False),
        (Window(1.5, at(-1), first=1), 0, False),
        (Window(first=8, repeated=0), 3, True),
        (Window(first=0, repeated=1), 1, False),
        (Window(first=0, repeated=9), 0, True),
    ],
)
def test_who_finds_room(window: Window, in_row: int, room: bool) -> None:
    """First attempts share the window; later ones share a slot of their own, so that neither starves the other."""
    assert window.has_room(in_row, NOW) is room


@given(st.lists(st.booleans(), max_size=200))
def test_it_is_never_shut_and_never_without_end(outcomes: list[bool]) -> None:
    """Whatever happens, at least one heal may go on and at most the largest number."""
    size = INITIAL
    for worked in outcomes:
        size = after_verified(size) if worked else after_failed(size)
        assert SMALLEST <= size <= LARGEST
        assert Window(size, NOW).has_room(0, NOW)


def test_few_failures_close_it() -> None:
    """Where acting does not help, three failed heals leave room for one."""
    size = INITIAL
    for _ in range(3):
        size = after_failed(size)
    assert size == SMALLEST
