"""The HEALTHCHECK's log, worked out when somebody asks: thousands of containers that are well cost no timer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from benchmarks.fleet.container import NANOSECONDS, Container

ENTRIES = 5
_RUN_NS = NANOSECONDS // 10


def health_state(container: Container, now_ns: int, timestamp: Callable[[int], str]) -> dict[str, Any]:
    """`State.Health` of inspect."""
    runs = _runs(container, now_ns)
    streak = 0
    for _, failed in reversed(runs):
        if not failed:
            break
        streak += 1
    log = [_entry(container, start, failed, timestamp) for start, failed in runs]
    return {"Status": container.health, "FailingStreak": streak, "Log": log}


def _runs(container: Container, now_ns: int) -> list[tuple[int, bool]]:
    """The last runs of the health command, oldest first: start and whether it failed."""
    check = container.spec.check
    if check is None or container.health == "starting" or not container.verdict_ns:
        return []
    interval = max(round(check.interval * NANOSECONDS), 1)
    until = now_ns if container.is_up else max(container.finished_ns, container.verdict_ns)
    last = container.verdict_ns + (until - container.verdict_ns) // interval * interval
    starts = [last - interval * number for number in reversed(range(ENTRIES))]
    return [
        (start, _failed(container, start, interval, check.retries))
        for start in starts
        if start >= min(container.started_ns + interval // 2, container.verdict_ns)
    ]


def _failed(container: Container, start: int, interval: int, retries: int) -> bool:
    """A verdict of unhealthy rests on the `retries` failed runs that led to it; before it was the other."""
    if container.complaint and container.health == "unhealthy":
        return start >= container.verdict_ns - interval * (retries - 1)
    return container.was_unhealthy and start < container.verdict_ns


def _entry(container: Container, start: int, failed: bool, timestamp: Callable[[int], str]) -> dict[str, Any]:
    return {
        "Start": timestamp(start),
        "End": timestamp(start + _RUN_NS),
        "ExitCode": 1 if failed else 0,
        "Output": f"{container.complaint}\n" if failed and container.complaint else "",
    }
