"""What a digest tells: the figures of a day or a week, as the one who counts hands them over."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class DigestKind(StrEnum):
    """How long a time a digest covers."""

    DAILY = "daily"
    WEEKLY = "weekly"


@dataclass(frozen=True, slots=True)
class HealedAtFirst:
    """A container whose failures were healed by the first attempt, so often."""

    name: str
    host: str
    times: int = 1


@dataclass(frozen=True, slots=True)
class WorstContainer:
    """One of those that failed most. `downtime`: seconds that it was failing."""

    name: str
    host: str
    failures: int
    restarts: int
    downtime: float


@dataclass(frozen=True, slots=True)
class HeldMessage:
    """An alert that was not sent but kept for the digest, and what it was about."""

    at: datetime
    level: str
    title: str
    where: str = ""


@dataclass(frozen=True, slots=True)
class DigestFigures:
    """The figures from `start` (included) to `end` (not included); times are told in the zone of `start`.

    `failures` began in that time; of them `healed` ended by an action that was verified and `gave_up` in quarantine or
    with a spent budget. `mttd`, `mttr` and `mtbf` are seconds, None where nothing could be measured. `worst` holds the
    gravest first. `sent` counts alerts that reached a channel, `muted` those that did not, by the reason. `path` leads
    to the page about them.
    """

    kind: DigestKind
    start: datetime
    end: datetime
    failures: int = 0
    healed: int = 0
    healed_at_first: tuple[HealedAtFirst, ...] = ()
    gave_up: int = 0
    restarts: int = 0
    mttd: float | None = None
    mttr: float | None = None
    mtbf: float | None = None
    worst: tuple[WorstContainer, ...] = ()
    sent: int = 0
    muted: Mapping[str, int] = field(default_factory=dict)
    held: tuple[HeldMessage, ...] = ()
    path: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "kind", DigestKind(self.kind))
