"""What an engine event asks for, and how a stopping engine is told from a person who stops a container. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from healing.core.lifecycle import is_stop_signal
from healing.core.types import Event, EventKind

BATCH = timedelta(seconds=0.5)
"""An engine that shuts down sends its stop signals one after another, with no longer pause than this."""
LAST_DIE = timedelta(seconds=5)
"""It ends its event stream so soon after the last container has died."""
KEEP = timedelta(seconds=120)
IN_FLIGHT = timedelta(seconds=1)
"""An event so young may still be on its way through a stream that works."""

HINTS = frozenset(
    {
        EventKind.DIE,
        EventKind.START,
        EventKind.PAUSE,
        EventKind.UNPAUSE,
        EventKind.DESTROY,
        EventKind.RENAME,
        EventKind.HEALTHY,
        EventKind.UNHEALTHY,
    }
)


class EventStream(Iterator[Event]):
    """Events as they come, and until when all have. That nothing comes does not tell: a dead stream is as silent.

    `told_until`: by the engine's clock, until when all that has happened is known to have come through; None: not known.
    """

    def __init__(self, follow: Callable[[EventStream], Iterator[Event]]) -> None:
        """`follow` gives the events of this stream, and sets its `told_until` from the thread that takes them."""
        self.told_until: datetime | None = None
        self._events = follow(self)

    def __next__(self) -> Event:
        return next(self._events)


@dataclass(frozen=True, slots=True)
class StreamMemory:
    """What a watcher remembers of one stream: recent stop signals and starts by container, and the last death."""

    stop_signals: Mapping[str, datetime] = field(default_factory=dict)
    starts: Mapping[str, datetime] = field(default_factory=dict)
    last_die_at: datetime | None = None


def remember(memory: StreamMemory, event: Event, stop_signal: str = "") -> StreamMemory:
    """Note a stop signal, a start or a death. `stop_signal` is the container's own."""
    if event.kind is EventKind.DIE:
        return replace(memory, last_die_at=event.at)
    if event.kind is EventKind.START:
        return replace(memory, starts=_and_recent(memory.starts, event))
    if event.kind is not EventKind.KILL or not is_stop_signal(event.signal, stop_signal):
        return memory
    return replace(memory, stop_signals=_and_recent(memory.stop_signals, event))


def _and_recent(known: Mapping[str, datetime], event: Event) -> Mapping[str, datetime]:
    recent = {key: at for key, at in known.items() if event.at - at < KEEP}
    return {**recent, event.container_id: event.at}


def shutdown_began(memory: StreamMemory, ended_at: datetime) -> datetime | None:
    """When the engine, whose stream ended at `ended_at`, began to stop its containers; None where it does not look so.

    A shutdown is a batch of stop signals, the last death just before the end. Whether all containers were in the
    batch is for the caller to ask: one that was spared means that somebody stopped the others.
    """
    if not memory.stop_signals or memory.last_die_at is None or ended_at - memory.last_die_at > LAST_DIE:
        return None
    last = max(memory.stop_signals.values())
    if memory.last_die_at < last - BATCH:
        return None
    return _begin_of_batch(sorted(memory.stop_signals.values(), reverse=True))


def _begin_of_batch(newest_first: list[datetime]) -> datetime:
    began = newest_first[0]
    for at in newest_first[1:]:
        if began - at > BATCH:
            break
        began = at
    return began
