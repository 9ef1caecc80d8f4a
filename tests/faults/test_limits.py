"""How I3's judge counts what was called at once."""

from __future__ import annotations

import pytest

from tests.faults.limits import too_many_at_once
from tests.testbed.proxy import Asked

pytestmark = pytest.mark.quick_fault


def calls(name: str, number: int) -> list[Asked]:
    """So many that overlap, of containers of their own."""
    return [Asked(f"POST /v1.41/containers/{name}{n}/restart?t=1", 10 + n / 100, 15.0) for n in range(number)]


@pytest.mark.parametrize(
    ("first", "repeated", "cured", "wrong"),
    [
        (8, 1, [], ""),
        (9, 0, [], "9 calls at once at 10.080, with room for 8"),
        (9, 1, [9.0], ""),
        (10, 1, [9.0], "10 calls at once at 10.090, with room for 9"),
        (9, 0, [11.0], "9 calls at once at 10.080, with room for 8"),
        (1, 2, [9.0], "2 later attempts at once"),
    ],
)
def test_the_window_and_the_slot_of_later_attempts(
    first: int, repeated: int, cured: list[float], wrong: str
) -> None:
    """What the window has no room for is red, also where the slot is free; and so are two in the slot."""
    later = [(f"again{n}", 9.99 + n / 100) for n in range(repeated)]
    found = too_many_at_once([*calls("once", first), *calls("again", repeated)], later, cured)
    assert found.startswith(wrong) if wrong else not found


def test_a_container_at_its_first_attempt_again_takes_a_place_of_the_window() -> None:
    """A later attempt of long ago does not make a later one of what has come to itself since."""
    later = [(f"once{n}", 1.0) for n in range(9)]
    assert too_many_at_once(calls("once", 9), later, []).startswith("9 calls at once")
