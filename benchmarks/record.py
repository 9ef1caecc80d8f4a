"""What the engine says about some containers, written down while it says it."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from benchmarks.healers import UNHEALTHY
from tests.testbed.containers import Containers


@dataclass(frozen=True, slots=True)
class Seen:
    """One event; `at` in seconds since the epoch, by the engine's clock."""

    at: float
    container: str
    action: str


class Record:
    """The events `health_status: …` and `start` of these containers, in their order; it grows meanwhile."""

    def __init__(self, containers: Collection[str]) -> None:
        self._containers = frozenset(containers)
        self._events: list[Seen] = []

    def add(self, event: dict[str, Any]) -> None:
        if event["id"] in self._containers:
            self._events.append(Seen(event["timeNano"] / 1e9, event["id"], event["Action"]))

    @property
    def events(self) -> Sequence[Seen]:
        return tuple(self._events)

    @property
    def first_sick(self) -> float | None:
        """When the first of them turned unhealthy."""
        return next((seen.at for seen in self.events if seen.action == UNHEALTHY), None)

    def sick(self) -> list[float]:
        """When each turned unhealthy first, in seconds after the first of all."""
        return sorted(at - self._begin() for at in self._firsts().values())

    def started(self) -> list[float]:
        """When each was started first after it had turned unhealthy, in seconds after the first of all."""
        sick = self._firsts()
        started: dict[str, float] = {}
        for seen in self.events:
            if seen.action == "start" and seen.container in sick and seen.at >= sick[seen.container]:
                started.setdefault(seen.container, seen.at)
        return sorted(at - self._begin() for at in started.values())

    def starts(self) -> list[float]:
        """Every start from the first sick on, in seconds after it."""
        return [
            seen.at - self._begin() for seen in self.events if seen.action == "start" and self._counts(seen)
        ]

    def most_starts(self) -> int:
        """How often the one was started that was started most."""
        counted = [seen.container for seen in self.events if seen.action == "start" and self._counts(seen)]
        return max(map(counted.count, set(counted)), default=0)

    def _counts(self, seen: Seen) -> bool:
        return self.first_sick is not None and seen.at >= self.first_sick

    def _begin(self) -> float:
        return self.first_sick or 0.0

    def _firsts(self) -> dict[str, float]:
        firsts: dict[str, float] = {}
        for seen in self.events:
            if seen.action == UNHEALTHY:
                firsts.setdefault(seen.container, seen.at)
        return firsts


@contextmanager
def recording(containers: Containers, ids: Collection[str]) -> Iterator[Record]:
    """Write the engine's events down until the end of the block."""
    record = Record(ids)
    filters = {"type": "container", "event": ["health_status", "start"]}
    events = containers.client.events(decode=True, filters=filters)

    def listen() -> None:
        for event in events:
            record.add(event)

    thread = threading.Thread(target=listen, daemon=True)
    thread.start()
    try:
        yield record
    finally:
        events.close()
        thread.join(timeout=5)
