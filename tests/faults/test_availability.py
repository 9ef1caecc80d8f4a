"""How the probes of F24 are counted and judged, and how the table of their runs is made."""

from __future__ import annotations

import pytest

from tests.faults.availability import DATABASE_AWAY, Strike, availability, wrong_of
from tests.faults.costs import tables
from tests.faults.prober import BOUND, Sample
from tests.faults.told import ENDS_WITHIN

pytestmark = pytest.mark.quick_fault


def test_availability_is_counted_by_seconds() -> None:
    """Late seconds are those of faults beyond the bound, and each is the cost of the fault that it came with."""
    samples = [Sample(at, BOUND + 1 if 10 <= at < 15 else 1.0, 1.0) for at in range(100)]
    strikes = [Strike("a", 10, 14), Strike("b", 50, 60)]
    figures = availability([Sample(s.at, s.delay, s.seconds) for s in samples], strikes)
    assert (figures["availability"], figures["late"]) == (0.95, 5)
    assert figures["cost"] == {
        "a": {"times": 1, "late": 5, "slowest": BOUND + 1},
        "b": {"times": 1, "late": 0, "slowest": 1},
    }


def test_the_probes_are_judged_by_what_is_promised() -> None:
    """What is late long after a fault fails, and so does too much that is late, but for an absence of the database."""
    strikes = [Strike(DATABASE_AWAY[0], 100, 130), Strike("b", 200, 210)]
    late = {
        at: [Sample(n, BOUND + 1 if at <= n < at + 30 else 1.0, 1.0) for n in range(400)]
        for at in (100, 200, 300)
    }
    found = {
        at: {name for name, why in wrong_of(samples, strikes).items() if why} for at, samples in late.items()
    }
    assert found == {
        100: set(),
        200: {"late for a small share"},
        300: {*found[200], "late only beside a fault"},
    }
    waits = [*late[100], Sample(400, 30 + ENDS_WITHIN + 1, 1.0)]
    assert wrong_of(waits, strikes)["none waits for long"]


def test_the_table_reads_runs_of_before() -> None:
    """A run that was written down without the slowest probes stands in the table with those that have them."""
    figures = availability([Sample(at, 2.0, 1.0) for at in range(100)], [Strike("a", 10, 14)])
    figures["doubled"] = False
    before = {**figures, "cost": {"a": {"times": 1, "late": 4}}}
    assert "| a | 2.0 | 0.8% | 2.0 |  |" in tables([figures, before])
    assert "| a | 4.0 | 1.5% |  |  |" in tables([before])
