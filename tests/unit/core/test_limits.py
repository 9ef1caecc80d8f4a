"""Budget and back-off."""

from __future__ import annotations

from typing import Any

import pytest

from healing.core.config import Config
from healing.core.limits import Budget, PastAttempt, attempts_in_row, backoff_before, budget
from tests.unit.core.build import NOW, at


def attempt(
    intent: float, *, ended: float | None = None, verified: bool = False, detected: float | None = None
) -> Any:
    """An attempt at so many seconds from NOW; it ended a second later where nothing else is said."""
    end = at(intent + 1 if ended is None else ended)
    return PastAttempt(
        at(intent), at(intent if detected is None else detected), end, end if verified else None
    )


def spent(
    *attempts: PastAttempt, detected: float = 0.0, released: float | None = None, **config: Any
) -> Budget:
    """The budget after these attempts, newest first."""
    released_at = None if released is None else at(released)
    return budget(attempts, at(detected), Config(**config), NOW, released_at)


@pytest.mark.parametrize(
    ("in_row", "seconds"),
    [(0, 0), (1, 10), (2, 20), (3, 40), (4, 80), (5, 160), (6, 300), (7, 300), (10_000, 300)],
)
def test_back_off_doubles(in_row: int, seconds: float) -> None:
    """No pause before the first attempt in a row, then 10 s doubling to 300 s."""
    assert backoff_before(in_row, Config()) == seconds


def test_back_off_is_never_under_its_first_value() -> None:
    """A longest pause that is shorter than the first one does not shorten the first one."""
    assert backoff_before(3, Config(backoff_initial=30, backoff_max=5)) == 30
    assert backoff_before(3, Config(backoff_initial=0)) == 0


def test_nothing_spent() -> None:
    """The first attempt has the whole budget and no pause."""
    free = spent()
    assert (free.in_window, free.in_row, free.not_before, free.frees_at) == (0, 0, None, None)
    assert not free.window_is_spent
    assert not free.row_is_spent


def test_the_window_slides() -> None:
    """Attempts count for restart_window seconds from their intent, and the window says when it has room again."""
    used = spent(attempt(-10), attempt(-100), attempt(-299), attempt(-300), max_restarts=3)
    assert (used.in_window, used.window_is_spent) == (3, True)
    assert used.frees_at == at(1)


def test_back_off_counts_from_the_end_of_the_last_attempt() -> None:
    """The pause follows the attempt's end; an attempt that has no end counts from its intent."""
    assert spent(attempt(-8, ended=-5, detected=0)).not_before == at(5)
    open_attempt = PastAttempt(at(-8), at(0))
    assert spent(open_attempt).not_before == at(2)


def test_a_row_goes_on_over_failures() -> None:
    """A recovery that did not hold for ten minutes does not end the row."""
    flapping = [attempt(-60, verified=True), attempt(-400, verified=True), attempt(-900, verified=True)]
    assert attempts_in_row(flapping, NOW) == 3


@pytest.mark.parametrize(("verified_at", "in_row"), [(-599, 2), (-600, 0), (-3600, 0)])
def test_ten_healthy_minutes_end_a_row(verified_at: float, in_row: int) -> None:
    """A recovery that held for ten minutes until the next failure was found resets row and back-off."""
    past = [
        attempt(verified_at - 1, ended=verified_at, verified=True),
        attempt(verified_at - 20, detected=verified_at - 30),
    ]
    used = spent(*past)
    assert used.in_row == in_row
    assert (used.backoff > 0) is bool(in_row)


def test_a_lasting_recovery_in_the_past_ends_the_row_there() -> None:
    """Only the attempts since the last lasting recovery are in the row."""
    past = [attempt(-30), attempt(-60, detected=-60), attempt(-2000, verified=True), attempt(-2100)]
    assert attempts_in_row(past, at(-60)) == 2


def test_a_release_ends_a_row() -> None:
    """What a person has released begins a new row, without back-off."""
    used = spent(attempt(-400), attempt(-500), attempt(-600), detected=-5, released=-10)
    assert (used.in_row, used.not_before) == (0, None)
    assert spent(attempt(-5), attempt(-500), released=-10).in_row == 1


def test_a_spent_row() -> None:
    """max_restarts in a row are spent although the window has long had room again."""
    used = spent(*(attempt(-400 * n, detected=-2000) for n in range(1, 6)), detected=-2000)
    assert (used.in_window, used.in_row) == (0, 5)
    assert used.row_is_spent


def test_a_release_leaves_the_window_as_it_is() -> None:
    """A release does not refill the window; what it holds of before is not held against the new row."""
    past = [attempt(-20), attempt(-40), attempt(-60)]
    after = spent(*past, released=-10, max_restarts=3)
    assert (after.in_window, after.window_is_spent, after.is_released) == (3, True, True)
    used_up = spent(*past, released=-70, max_restarts=3)
    assert (used_up.window_is_spent, used_up.is_released) == (True, False)
