"""The state of one container as the loop remembers it, and what one look at it saw."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from healing.core.types import FailureType, Health, Lifecycle, ProbeResult, Snapshot


@dataclass(frozen=True, slots=True)
class Status:
    """What is remembered of one container between two looks.

    `exits` are runs that ended soon after their start, as (started, finished) in epoch seconds, oldest first.
    """

    health: Health = Health.UNKNOWN
    lifecycle: Lifecycle = Lifecycle.NEW
    consecutive_failures: int = 0
    consecutive_successes: int = 0
    message: str = ""
    healthy_since: datetime | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    unpaused_at: datetime | None = None
    stop_signal_at: datetime | None = None
    stopped_by_hand_at: datetime | None = None
    interrupted_at: datetime | None = None
    exits: tuple[tuple[float, float], ...] = ()
    quarantined_at: datetime | None = None
    quarantine_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Seen:
    """One look at a container.

    `snapshot` is None where the engine has no such container. `unknown` says why nothing could be seen; then nothing
    else counts. `stream_since`: the engine's events are known without a gap since then. `events_until`: those until then
    are worked off, and others may still wait; None where there is nothing to wait for. `grace_until`: until then
    stopped containers are left to an engine that has just come back. `by_event`: an engine event asked for this look.
    `partial`: our own probes were not asked, so that nothing bad seen is not yet good. `counted`: so many failures in
    a row were seen before this look, by a loop that writes nothing.
    """

    snapshot: Snapshot | None = None
    probes: tuple[ProbeResult, ...] = ()
    unknown: str = ""
    stream_since: datetime | None = None
    events_until: datetime | None = None
    grace_until: datetime | None = None
    by_event: bool = False
    partial: bool = False
    counted: int = 0


class ChangeKind(StrEnum):
    """What a look amounts to. Changes are told as long as they hold, so that a lost one is found again."""

    FAILED = "failed"
    HEALTHY = "healthy"
    GONE = "gone"
    LEFT_ALONE = "left_alone"


@dataclass(frozen=True, slots=True)
class Change:
    """A failure to open, a recovery to close one, or a thing to tell once. `reason` is for people."""

    kind: ChangeKind
    reason: str
    failure_type: FailureType | None = None
    is_trial: bool = False


@dataclass(frozen=True, slots=True)
class Detection:
    """The new status, the change if any, and when to look again sooner than the interval asks (seconds)."""

    status: Status
    change: Change | None = None
    look_again_in: float | None = None
