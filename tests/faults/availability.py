"""What F24's probes say: the share of seconds in time, what each kind of fault has cost of it, and whether that is as promised."""

from __future__ import annotations

import os
from collections import defaultdict
from dataclasses import dataclass

from tests.faults.prober import BOUND, Sample
from tests.faults.told import ENDS_WITHIN
from tests.faults.world import seed

RECOVERED = 60.0
"""Seconds: a fault that came so long after the last one of ours is acted on in time."""
FLOOR = 0.95
"""The least share of seconds in time, in a run that has one fault after another."""
DATABASE_AWAY = ("PostgreSQL stopped", "PostgreSQL hangs")
"""While it is away nothing is restarted: what falls ill then is not promised to be acted on in time."""
DOUBLED = os.environ.get("FAULT_DOUBLED", "") == "1"
"""Two of every part of ours from the beginning: what does a second one take away?"""


@dataclass(frozen=True, slots=True)
class Strike:
    """One fault that was done, from `begun` to `ended` (seconds since 1970)."""

    name: str
    begun: float
    ended: float


def wrong_of(samples: list[Sample], strikes: list[Strike]) -> dict[str, str]:
    """For each thing that must hold of the probes what is wrong, or an empty text."""
    outside = [sample for sample in samples if not sample.in_time and not _beside(sample, strikes)]
    share = _share_in_time([sample for sample in samples if not _without_database(sample, strikes)])
    longest = max(sample.delay for sample in samples)
    bound = max(strike.ended - strike.begun for strike in strikes) + ENDS_WITHIN
    return {
        "late only beside a fault": f"late without a fault: {outside}" if outside else "",
        "late for a small share": f"in time: {share:.2%}" if share < FLOOR else "",
        "none waits for long": f"{longest:.0f} s, of {bound:.0f} s" if longest > bound else "",
    }


def _beside(sample: Sample, strikes: list[Strike]) -> bool:
    return any(strike.begun - BOUND <= sample.at <= strike.ended + RECOVERED for strike in strikes)


def _without_database(sample: Sample, strikes: list[Strike]) -> bool:
    """Whether it came upon an absence of the database, or upon what that has left to be done."""
    away = [strike for strike in strikes if strike.name in DATABASE_AWAY]
    return any(strike.begun - BOUND <= sample.at <= strike.ended + BOUND for strike in away)


def _share_in_time(samples: list[Sample]) -> float:
    total = sum(sample.seconds for sample in samples)
    return sum(sample.seconds for sample in samples if sample.in_time) / total


def _slowest(samples: list[Sample], strike: Strike) -> float:
    """The longest delay of those that waited at any time while the fault lasted."""
    beside = (s.delay for s in samples if s.at <= strike.ended and s.at + s.delay >= strike.begun)
    return max(beside, default=0.0)


def availability(samples: list[Sample], strikes: list[Strike]) -> dict[str, object]:
    """The share of seconds in which a new fault was acted on in time; and what each kind of fault has cost of it.

    A late second is the cost of the last fault that had begun when its fault came, or of the first one after it. The slowest
    of a kind is the longest that anything waited that was ill while such a fault lasted.
    """
    total = sum(sample.seconds for sample in samples)
    late = [sample for sample in samples if not sample.in_time]
    times, cost, slowest = defaultdict(int), defaultdict(float), defaultdict(float)
    for strike in strikes:
        times[strike.name] += 1
        slowest[strike.name] = max(slowest[strike.name], _slowest(samples, strike))
    for sample in late:
        before = [strike for strike in strikes if strike.begun <= sample.at + BOUND]
        cost[(before or strikes)[-1].name if strikes else ""] += sample.seconds
    delays = sorted(sample.delay for sample in samples)
    return {
        "seed": seed(),
        "doubled": DOUBLED,
        "seconds": round(total),
        "late": round(sum(sample.seconds for sample in late), 1),
        "availability": round(_share_in_time(samples), 5),
        "p50": round(delays[len(delays) // 2], 2),
        "p99": round(delays[len(delays) * 99 // 100], 2),
        "cost": {
            name: {"times": times[name], "late": round(cost[name], 1), "slowest": round(slowest[name], 1)}
            for name in sorted(times)
        },
    }
