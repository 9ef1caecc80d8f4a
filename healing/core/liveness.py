"""Which silent parts of Selfheal are to be told of: causes, not what follows from them, and nobody who has just begun."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

SILENT = timedelta(seconds=20)
"""A part without a sign for so long has stopped."""
GRACE = timedelta(seconds=60)
"""So long may everything take to begin, and to begin again after what it needs was away."""


@dataclass(frozen=True, slots=True)
class Part:
    """One part of Selfheal. `sign_at`: its last sign of life, None where it has never given one.

    `needs`: the names of the parts without which it cannot give any. `advice`: what to do about its silence.
    `what`: what its silence means, as the title of an alert.
    """

    name: str
    sign_at: datetime | None
    what: str
    advice: str
    needs: tuple[str, ...] = ()
    details: str = ""

    def is_alive(self, now: datetime) -> bool:
        return self.sign_at is not None and now - self.sign_at <= SILENT


@dataclass(frozen=True, slots=True)
class Verdict:
    """The parts that have stopped, those that live, and the names of all."""

    stopped: list[Part] = field(default_factory=list)
    alive: list[Part] = field(default_factory=list)
    names: frozenset[str] = frozenset()


class Watch:
    """What one observer remembers from round to round: from when on whose silence counts."""

    def __init__(self, began: datetime) -> None:
        self._not_before = began + GRACE
        self._blind_since = self._blind_until = began
        self._excused: dict[str, datetime] = {}

    def could_not_see(self, since: datetime, now: datetime) -> None:
        """Nobody could leave a sign from `since` until now: all get the time to.

        Each time where that lasted SILENT: the machine slept, or the database's silence is told. What is shorter, and comes
        again before SILENT is over, is slowness, and excuses for GRACE in all.
        """
        if max(now - since, since - self._blind_until) >= SILENT:
            self._blind_since = now
        self._blind_until = now
        self._not_before = max(self._not_before, min(now + SILENT, self._blind_since + GRACE))

    def judge(self, parts: Iterable[Part], now: datetime) -> Verdict:
        """Who has stopped by itself. One that has never given a sign may not be wanted here: it is missed by nobody, and excuses nobody."""
        known = list(parts)
        silent = {part.name for part in known if part.sign_at is not None and not part.is_alive(now)}
        verdict = Verdict(names=frozenset(part.name for part in known))
        for part in known:
            if part.is_alive(now):
                verdict.alive.append(part)
            elif silent.intersection(part.needs):
                self._excused[part.name] = now + GRACE
            elif part.sign_at is not None and now >= self._counts_from(part):
                verdict.stopped.append(part)
        return verdict

    def _counts_from(self, part: Part) -> datetime:
        return max(self._not_before, self._excused.get(part.name, self._not_before))
