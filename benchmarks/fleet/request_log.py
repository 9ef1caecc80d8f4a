"""What was asked of one endpoint, and what it answered."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

KEPT = 20_000
UNANSWERED = 0


@dataclass(frozen=True, slots=True)
class Asked:
    """`at` in seconds since 1970; `status` 0 where the client left unanswered; `seconds` until the answer's head."""

    at: float
    method: str
    path: str
    status: int
    seconds: float


class RequestLog:
    """The last requests, and counters of all: by route ("GET /containers/{id}/json") and by status."""

    def __init__(self) -> None:
        self._kept: deque[Asked] = deque(maxlen=KEPT)
        self.routes: Counter[str] = Counter()
        self.statuses: Counter[int] = Counter()

    def __iter__(self) -> Iterator[Asked]:
        return iter(self._kept)

    def add(self, asked: Asked, route: str) -> None:
        self._kept.append(asked)
        self.routes[route] += 1
        self.statuses[asked.status] += 1

    def clear(self) -> None:
        self._kept.clear()
        self.routes.clear()
        self.statuses.clear()

    def report(self) -> dict[str, Any]:
        return {
            "requests": self.routes.total(),
            "kept": len(self._kept),
            "routes": dict(self.routes),
            "statuses": {str(status): count for status, count in self.statuses.items()},
        }

    def rows(self) -> list[dict[str, Any]]:
        return [asdict(asked) for asked in self._kept]
