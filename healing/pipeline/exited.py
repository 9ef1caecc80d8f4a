"""Who has ended a container, as a heal has to know before it starts it again: a person, our own call, or nobody."""

from __future__ import annotations

from datetime import datetime

from healing.core import lifecycle
from healing.core.config import Config
from healing.core.detect import is_known_failure
from healing.core.exits import judge_exited
from healing.core.finding import FAILED
from healing.core.status import Seen, Status
from healing.core.types import Snapshot
from healing.models import Container
from healing.store import hosts, own_calls


def no_failure(
    container: Container, before: Status, snapshot: Snapshot, config: Config, now: datetime
) -> str:
    """Why an exit is no failure, or not yet known to be one; empty where it is. `before` is the status before this look.

    Judged as a check judges, except that what our own call has stopped is ours to start again.
    """
    if is_known_failure(before, snapshot):
        return ""
    watched = hosts.watched(container.host, now)
    seen = Seen(
        snapshot,
        stream_since=watched.since,
        events_until=watched.until,
        grace_until=container.host.grace_until,
        by_event=watched.until is not None,
    )
    finding = judge_exited(lifecycle.follow(before, snapshot), seen, snapshot, config, now, known=False)
    if finding.verdict == FAILED or own_calls.has_ended(container.pk, snapshot):
        return ""
    return finding.message
