"""The breaker: the switch that stops automation where much of a host, or of the fleet, fails at once. Pure.

It opens above its share, and closes only when no more than half of that share has failed for a minute: between the two it
stays as it is, so that a storm at its edge is one incident and not ten.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from healing.core.decide import Hold

SHARE = 0.4
LEAST = 3
"""Fewer failures than this are never a storm, however few containers there are."""
CALM_PART = 0.5
"""It is calm while no more than this part of the share fails."""
CALM = timedelta(seconds=60)
"""So long it has to be calm before the breaker closes."""
STORM = timedelta(minutes=10)
"""What began longer before the opening is not the storm's first failure."""
LOOK_AGAIN = timedelta(seconds=60)
"""A held heal asks again so soon. It is woken before, when the breaker closes or a person lets it go on."""
BREAKER = "breaker of"
"""Reasons of held heals begin so, after `held: `."""


class BreakerMode(StrEnum):
    """What automation does where too much of a host, or of the fleet, fails at once."""

    SLOW_START = "slow_start"
    HOLD = "hold"
    APPROVAL = "approval"


class Move(StrEnum):
    """What becomes of a breaker at one look. CALM begins the calm after which it closes; DISTURBED ends it."""

    NONE = "none"
    OPEN = "open"
    CALM = "calm"
    DISTURBED = "disturbed"
    CLOSE = "close"


@dataclass(frozen=True, slots=True)
class Count:
    """Of `running` containers that are supervised and normally run, `failing` have an open failure.

    `unsettled` of the failing are stopped or starting: in a grace after a start they say nothing.
    """

    failing: int = 0
    running: int = 0
    unsettled: int = 0

    def __add__(self, other: Count) -> Count:
        return Count(
            self.failing + other.failing, self.running + other.running, self.unsettled + other.unsettled
        )

    def __str__(self) -> str:
        return f"{self.failing} of {self.running} containers"


@dataclass(frozen=True, slots=True)
class Breaker:
    """The breaker of a host or of the fleet: closed where `since` is None. `name` is "host web-1" or "the fleet"."""

    name: str
    mode: BreakerMode = BreakerMode.SLOW_START
    share: float = SHARE
    since: datetime | None = None
    calm_since: datetime | None = None
    approved_until: datetime | None = None

    @property
    def is_open(self) -> bool:
        return self.since is not None


def trips(count: Count, share: float, *, in_grace: bool = False) -> bool:
    """Whether so much fails that a closed breaker opens. In a grace, what is stopped or starting does not count."""
    failing = count.failing - (count.unsettled if in_grace else 0)
    return failing >= LEAST and failing > share * count.running


def is_calm(count: Count, share: float) -> bool:
    """Whether so little fails that an open breaker may close."""
    return count.failing <= CALM_PART * share * count.running


def move(breaker: Breaker, count: Count, now: datetime, *, in_grace: bool = False) -> Move:
    """What this look makes of the breaker."""
    if not breaker.is_open:
        return Move.OPEN if trips(count, breaker.share, in_grace=in_grace) else Move.NONE
    if not is_calm(count, breaker.share):
        return Move.NONE if breaker.calm_since is None else Move.DISTURBED
    if breaker.calm_since is None:
        return Move.CALM
    return Move.CLOSE if now - breaker.calm_since >= CALM else Move.NONE


def hold(breaker: Breaker, now: datetime, count: Count | None = None) -> Hold | None:
    """What an open breaker holds by its mode; None where heals go on."""
    if not breaker.is_open or breaker.mode is BreakerMode.SLOW_START:
        return None
    if breaker.mode is BreakerMode.HOLD:
        how_many = str(count) if count is not None and count.failing else "too many containers"
        return Hold(f"{BREAKER} {breaker.name}: {how_many} fail at once", now + LOOK_AGAIN)
    if is_approved(breaker, now):
        return None
    return Hold(f"{BREAKER} {breaker.name} waits for approval", now + LOOK_AGAIN)


def is_approved(breaker: Breaker, now: datetime) -> bool:
    """Whether a person lets it heal now."""
    return breaker.approved_until is not None and now < breaker.approved_until
