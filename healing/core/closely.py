"""Probes at intervals shorter than the container's checks: when each runs, and when what they say calls for a check. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from healing.core.config import Config
from healing.core.probespec import ProbeSpec
from healing.core.types import Lifecycle, ProbeVerdict

RETELL = 1.0
"""Seconds after which a check is asked for again, where the last one has left no trace; doubled each time."""
LONGEST_RETELL = 8.0

_AWAKE = frozenset({Lifecycle.NEW, Lifecycle.STARTING, Lifecycle.RUNNING, Lifecycle.RESTARTING})
_SPREAD = 0.6180339887498949


@dataclass(frozen=True, slots=True)
class Streak:
    """What is remembered of one container between two results.

    `failures` counts those in a row by probe, none where the last one has passed. `told_at`: since when checks should
    know that it fails, in seconds of the caller's clock; None while there is nothing to be known. `tells`: how often
    they were told.
    """

    failures: Mapping[str, int] = field(default_factory=dict)
    told_at: float | None = None
    tells: int = 0


@dataclass(frozen=True, slots=True)
class Ask:
    """A check is called for. `counted`: so many failures in a row went before it, without its own look."""

    counted: int = 0


def is_close(spec: ProbeSpec, config: Config) -> bool:
    """Whether a probe runs oftener than the container's checks."""
    return spec.interval is not None and spec.interval < config.check_interval


def is_awake(lifecycle: Lifecycle) -> bool:
    """Whether a container is to be asked at all: not one that is stopped, paused, quarantined or gone."""
    return lifecycle in _AWAKE


def phase(container_id: int, interval: float) -> float:
    """Where within the interval a container's turn is, so that not all come at one moment."""
    return (container_id * _SPREAD % 1.0) * interval


def next_turn(now: float, interval: float, offset: float) -> float:
    """The next turn after `now`, all in epoch seconds: the same whoever counts, so that nothing is handed over.

    Turns that passed while the last look went on are left out.
    """
    return (math.floor((now - offset) / interval + 1e-6) + 1) * interval + offset


def note(
    streak: Streak, probe: str, verdict: ProbeVerdict, threshold: int, now: float
) -> tuple[Streak, Ask | None]:
    """One result. A check is asked for once when a probe has failed `threshold` times in a row, and once when none fails.

    The check looks itself before it believes it, and its look stands for the last of them. `unknown` says nothing.
    """
    if verdict is ProbeVerdict.UNKNOWN:
        return streak, None
    if verdict is ProbeVerdict.PASSED:
        return _passed(streak, probe)
    count = streak.failures.get(probe, 0) + 1
    failing = replace(streak, failures={**streak.failures, probe: count})
    if streak.told_at is not None or count < threshold:
        return failing, None
    return replace(failing, told_at=now, tells=streak.tells + 1), Ask(counted=threshold - 1)


def _passed(streak: Streak, probe: str) -> tuple[Streak, Ask | None]:
    if probe not in streak.failures:
        return streak, None
    rest = {name: count for name, count in streak.failures.items() if name != probe}
    if rest:
        return replace(streak, failures=rest), None
    return Streak(), Ask() if streak.told_at is not None else None


def reconcile(streak: Streak, is_failing: bool, now: float) -> Streak:
    """With what checks have written: a failure that they know needs no telling, one that they do not know is told again.

    A check may have been lost, or dropped because another had written meanwhile, or may have found the container in its
    start period, or working at that moment.
    """
    if is_failing:
        return streak if streak.told_at is not None else replace(streak, told_at=now)
    patience = min(RETELL * 2 ** max(streak.tells - 1, 0), LONGEST_RETELL)
    if streak.told_at is not None and now - streak.told_at >= patience:
        return replace(streak, told_at=None)
    return streak
