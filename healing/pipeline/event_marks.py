"""What an engine event says of a container that nobody can see in it afterwards, and whose doing it was."""

from __future__ import annotations

from datetime import datetime

from django.db.models import Q

from healing.core.lifecycle import is_stop_signal
from healing.core.types import Event, EventKind
from healing.models import Container, Host
from healing.pipeline.comeback import Comeback
from healing.registration.adoption import stable_name
from healing.store import own_calls, statuses
from healing.store.clock import db_now
from healing.store.durability import settles_now


def container_of(host: Host, event: Event) -> Container | None:
    """By engine id; a container that was recreated is known by its name."""
    name = stable_name(event.name, event.labels)
    rows = list(Container.objects.filter(Q(engine_id=event.container_id) | Q(name=name), host=host))
    for row in rows:
        row.host = host
    return next((row for row in rows if row.engine_id == event.container_id), rows[0] if rows else None)


def mark(
    container: Container, event: Event, comeback: Comeback | None, started_at: datetime | None = None
) -> None:
    """Note what only the event can tell: that somebody has unpaused or stopped the container, or its engine as it started.

    `started_at`: of its last start before the event, where this stream has told of it.
    """
    if event.kind is EventKind.UNPAUSE:
        statuses.mark(container.pk, unpaused_at=event.at)
    elif event.kind is EventKind.KILL and _is_somebodys_stop(container, event, started_at):
        by_engine = comeback is not None and comeback.ended(container.pk, event.at)
        with settles_now():
            if by_engine:
                statuses.mark(container.pk, interrupted_at=event.at)
            else:
                statuses.mark(container.pk, stop_signal_at=event.at)


def is_our_doing(container: Container, event: Event) -> bool:
    """A death or a start that our own restart has just caused: its heal looks by itself, and a check would be in its way."""
    caused = event.kind in (EventKind.DIE, EventKind.START)
    return caused and own_calls.our_call_covers(container.pk, event.at, slack=0.0)


def _is_somebodys_stop(container: Container, event: Event, started_at: datetime | None) -> bool:
    if event.container_id != container.engine_id or not is_stop_signal(event.signal, container.stop_signal):
        return False
    return not own_calls.is_our_stop(container.pk, event.at, db_now(), started_at)
