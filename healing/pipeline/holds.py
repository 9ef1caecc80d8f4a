"""What holds a heal although it could be done. The first that does is written on the record, as the reason."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from healing.core.decide import Hold
from healing.effective import ConfigBook
from healing.models import FailureRecord
from healing.pipeline import dependencies
from healing.pipeline.handsoff import LOOK_AGAIN

Holder = Callable[[FailureRecord, ConfigBook, datetime], Hold | None]


def maintenance(failure: FailureRecord, book: ConfigBook, now: datetime) -> Hold | None:
    """The open maintenance window of its container; looked at again soon, because a person may end it early."""
    hold = book.maintenance(failure.container, now)
    return replace(hold, until=min(hold.until, now + LOOK_AGAIN)) if hold is not None else None


HOLDERS: tuple[Holder, ...] = (maintenance, dependencies.held)
"""Each must cost nothing, no statement, for a container that it does not concern."""


def hold_of(failure: FailureRecord, book: ConfigBook, now: datetime) -> Hold | None:
    """The first hold on the heal of a claimed failure; None where it may go on."""
    for holder in HOLDERS:
        hold = holder(failure, book, now)
        if hold is not None:
            return hold
    return None
