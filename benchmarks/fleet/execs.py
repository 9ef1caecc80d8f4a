"""Commands that were asked to be run in containers."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field

from benchmarks.fleet.container import Container
from benchmarks.fleet.errors import Refusal

KEPT = 1000


@dataclass(slots=True)
class Exec:
    """One exec instance; `exit_code` is None until it has ended."""

    container: Container
    argv: tuple[str, ...]
    streams: frozenset[int]
    id: str = field(default_factory=lambda: f"{uuid.uuid4().hex}{uuid.uuid4().hex}")
    running: bool = False
    exit_code: int | None = None


class Execs:
    """The last thousand of one engine."""

    def __init__(self) -> None:
        self._known: dict[str, Exec] = {}

    def add(self, made: Exec) -> None:
        self._known[made.id] = made
        if len(self._known) > KEPT:
            del self._known[next(iter(self._known))]

    def find(self, identity: str) -> Exec:
        """Raise Refusal for an id that is not known, or no longer."""
        try:
            return self._known[identity]
        except KeyError:
            raise Refusal(404, f"No such exec instance: {identity}") from None
