"""The judge of heals: when each scripted fault came, and when the engine started the container again."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.fleet.container import NANOSECONDS, Container


@dataclass(slots=True)
class Fault:
    """One fault. Times are the engine's clock in seconds since 1970; None for what has not happened yet."""

    engine: str
    container: str
    name: str
    kind: str
    at: float
    heals: bool
    started_at: float | None = None
    healthy_at: float | None = None
    starts: int = 0


class HealLog:
    """A container has one open fault at most; it is closed when it works again."""

    def __init__(self) -> None:
        self.faults: list[Fault] = []
        self._open: dict[str, Fault] = {}

    def fault(self, engine: str, container: Container, kind: str, at_ns: int, heals: bool) -> None:
        fault = Fault(engine, container.id, container.name, kind, at_ns / NANOSECONDS, heals)
        self.faults.append(fault)
        self._open[container.id] = fault

    def is_faulty(self, container: Container) -> bool:
        return container.id in self._open

    def started(self, container: Container, at_ns: int) -> None:
        fault = self._open.get(container.id)
        if fault is None:
            return
        fault.starts += 1
        if fault.started_at is None:
            fault.started_at = at_ns / NANOSECONDS
        if fault.heals and container.spec.check is None:
            self.works(container, at_ns)

    def works(self, container: Container, at_ns: int) -> None:
        """The engine says healthy, or there is nothing to say it."""
        fault = self._open.pop(container.id, None)
        if fault is not None:
            fault.healthy_at = at_ns / NANOSECONDS

    def removed(self, container: Container) -> None:
        self._open.pop(container.id, None)

    def report(self, now_ns: int) -> dict[str, Any]:
        """Counts, and seconds from fault to start; `waiting` have not been started yet, the oldest for so long."""
        delays = sorted(fault.started_at - fault.at for fault in self.faults if fault.started_at is not None)
        waiting = [fault for fault in self.faults if fault.started_at is None and fault.healthy_at is None]
        now = now_ns / NANOSECONDS
        return {
            "faults": len(self.faults),
            "kinds": dict(Counter(fault.kind for fault in self.faults)),
            "started": len(delays),
            "waiting": len(waiting),
            "longest_waiting": max((now - fault.at for fault in waiting), default=0.0),
            "works_again": sum(fault.healthy_at is not None for fault in self.faults),
            "fault_to_start": {
                "p50": percentile(delays, 50),
                "p90": percentile(delays, 90),
                "p99": percentile(delays, 99),
                "max": delays[-1] if delays else None,
            },
        }

    def rows(self) -> list[dict[str, Any]]:
        return [asdict(fault) for fault in self.faults]


def percentile(ordered: Sequence[float], share: float) -> float | None:
    """The nearest-rank percentile of a sorted sequence; None of an empty one."""
    if not ordered:
        return None
    return ordered[max(math.ceil(len(ordered) * share / 100) - 1, 0)]
