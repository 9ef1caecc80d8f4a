"""Overload is shed by importance: when, what, and for how long."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from healing.core.config import Priority
from healing.core.shedding import (
    CALM,
    HOLD,
    LATE,
    LONGEST_HOLD,
    RANKS,
    VERY_LATE,
    Level,
    Pressure,
    is_shed,
    lateness,
    level,
    may_heal,
    rank,
)
from tests.unit.core.build import NOW

SECONDS = st.floats(0, 100)
COURSES = st.lists(st.tuples(st.sampled_from([0.0, 1.0, 2.0, 5.0, 60.0]), st.floats(0.5, 30)), max_size=60)


def course(*late_by: float, every: float = 1.0, before: Pressure | None = None) -> Pressure:
    """The pressure after these measurements, `every` seconds apart."""
    pressure, now = before or Pressure(), NOW
    for seconds in late_by:
        pressure = level(pressure, seconds, now)
        now += timedelta(seconds=every)
    return pressure


def test_the_order_is_that_of_the_choices() -> None:
    """Critical goes before default, and that before non-critical."""
    assert [rank(priority) for priority in Priority] == [0, 1, 2]
    assert RANKS == (Priority.CRITICAL, Priority.DEFAULT, Priority.NON_CRITICAL)


@pytest.mark.parametrize(
    ("at_level", "shed"),
    [(Level.NONE, []), (Level.NON_CRITICAL, [2]), (Level.DEFAULT, [1, 2])],
)
def test_what_is_shed(at_level: Level, shed: list[int]) -> None:
    """Each level sheds one priority more, from below, and none sheds critical ones."""
    assert [its_rank for its_rank in range(3) if is_shed(its_rank, at_level)] == shed


@pytest.mark.parametrize(
    ("late_by", "reached"),
    [
        ((LATE + 1,), Level.NONE),
        ((LATE + 1,) * 3, Level.NONE),
        ((LATE + 1,) * 4, Level.NON_CRITICAL),
        ((VERY_LATE + 1,) * 4, Level.DEFAULT),
        ((LATE + 1, LATE + 1, 0.0, LATE + 1, LATE + 1), Level.NONE),
        ((LATE,) * 9, Level.NONE),
        ((2.0,) * 4 + (5.0, 5.0), Level.NON_CRITICAL),
        ((2.0,) * 4 + (5.0, 5.0, 5.0), Level.DEFAULT),
    ],
)
def test_up(late_by: tuple[float, ...], reached: Level) -> None:
    """Lateness that persists raises the level, a hiccup does not, and one step has time to show what it does."""
    assert course(*late_by).level is reached


def test_down() -> None:
    """One step down after each half minute of calm; what is neither late nor calm keeps the level."""
    high = course(*[9.0] * 4)
    assert course(*[0.0] * 30, before=high).level is Level.DEFAULT
    assert course(*[0.0] * 31, before=high).level is Level.NON_CRITICAL
    assert course(*[0.0] * 61, before=high).level is Level.NONE
    assert course(*[CALM + 0.1] * 200, before=high).level is Level.DEFAULT
    assert course(*[0.0, CALM + 0.1] * 100, before=high).level is Level.DEFAULT


def test_what_comes_back_is_held_longer() -> None:
    """Overload that is back soon after a step down is held twice as long each time, up to ten minutes."""
    pressure, holds = course(*[2.0] * 4), []
    for _ in range(8):
        holds.append(pressure.hold)
        calm = [0.0] * (int(pressure.hold.total_seconds()) + 1)
        pressure = course(*calm, *[2.0] * 4, before=replace(pressure, raised_at=None))
        assert pressure.level is Level.NON_CRITICAL
    assert holds[:4] == [HOLD, HOLD * 2, HOLD * 4, HOLD * 8]
    assert holds[-1] == LONGEST_HOLD


@pytest.mark.parametrize(
    ("waits", "total", "seconds"),
    [
        ([], 10, 0.0),
        ([8.0], 1, 8.0),
        ([60.0], 10, 0.0),
        ([60.0, 3.0], 10, 3.0),
        ([1.0, 2.0, 3.0, 4.0], 20, 1.0),
        ([5.0, 9.0], 2, 9.0),
    ],
)
def test_one_late_host_is_no_overload(waits: list[float], total: int, seconds: float) -> None:
    """What counts is how late a fifth of the hosts is at least."""
    assert lateness(waits, total) == seconds


def test_the_last_places_are_for_the_more_important() -> None:
    """Of 64 heals at once critical ones may be all, default ones 57, non-critical ones 48."""
    most = [max(n for n in range(65) if may_heal(its_rank, n - 1, 64)) for its_rank in range(3)]
    assert most == [64, 57, 48]
    assert all(may_heal(its_rank, 0, 1) for its_rank in range(3))


@given(COURSES)
def test_critical_is_never_shed_and_calm_ends_it(measured: list[tuple[float, float]]) -> None:
    """Whatever is measured: critical is not shed, and an hour of calm ends all shedding."""
    pressure, now = Pressure(), NOW
    for late_by, pause in measured:
        now += timedelta(seconds=pause)
        pressure = level(pressure, late_by, now)
        assert not is_shed(0, pressure.level)
        assert HOLD <= pressure.hold <= LONGEST_HOLD
    for _ in range(360):
        now += timedelta(seconds=10)
        pressure = level(pressure, 0.0, now)
    assert pressure.level is Level.NONE


def test_sweeps_cut_short_for_long_are_overload_too() -> None:
    """Checks are taken up in time and yet not all done: after a quarter of a minute of that it is called overload."""
    pressure, now = Pressure(), NOW
    for _ in range(15):
        pressure = level(pressure, 0.0, now, is_cut_short=True)
        assert pressure.level is Level.NONE
        now += timedelta(seconds=1)
    assert level(pressure, 0.0, now, is_cut_short=True).level is Level.NON_CRITICAL


@given(COURSES, SECONDS, SECONDS)
def test_more_pressure_never_sheds_less(
    measured: list[tuple[float, float]], one: float, other: float
) -> None:
    """From any state, the later of two measurements leads to no lower level."""
    pressure, now = Pressure(), NOW
    for late_by, pause in measured:
        now += timedelta(seconds=pause)
        pressure = level(pressure, late_by, now)
    now += timedelta(seconds=1)
    low, high = (level(pressure, late_by, now).level for late_by in sorted((one, other)))
    assert low <= high
