"""Who else is told while nobody acknowledges."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a route's escalation: its position, and how long after the first telling it is due."""

    position: int
    after: timedelta


def due_steps(
    steps: Iterable[Step],
    told_at: datetime,
    acknowledged_at: datetime | None,
    resolved_at: datetime | None,
    done: Collection[int],
    now: datetime,
) -> tuple[Step, ...]:
    """The steps that are due now and not among the positions `done`, the earliest first.

    None any more once somebody has acknowledged, or it is over. All of those that were missed meanwhile are due.
    """
    if acknowledged_at is not None or resolved_at is not None:
        return ()
    due = [step for step in steps if step.position not in done and told_at + step.after <= now]
    return tuple(sorted(due, key=lambda step: (step.after, step.position)))
