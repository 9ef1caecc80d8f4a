"""An engine that shuts down, told from a person who stops containers."""

from __future__ import annotations

from datetime import datetime

import pytest

from healing.core.events import HINTS, StreamMemory, remember, shutdown_began
from healing.core.types import Event, EventKind
from tests.unit.core.build import at


def event(kind: EventKind, seconds: float, container: str = "a", signal: str = "") -> Event:
    return Event(kind, container, container, at(seconds), signal=signal)


def kill(seconds: float, container: str = "a", signal: str = "SIGTERM") -> Event:
    return event(EventKind.KILL, seconds, container, signal)


def die(seconds: float, container: str = "a") -> Event:
    return event(EventKind.DIE, seconds, container)


def after(*events: Event) -> StreamMemory:
    memory = StreamMemory()
    for happened in events:
        memory = remember(memory, happened, "SIGQUIT")
    return memory


@pytest.mark.parametrize(
    ("events", "ended", "began"),
    [
        ((kill(0), kill(0.1, "b"), die(0.5), die(1, "b")), 1.5, 0.0),
        ((kill(-30), die(-29), kill(0, "b"), kill(0.2, "c"), die(10, "b"), die(10.1, "c")), 11.0, 0.0),
        ((kill(0, signal="SIGQUIT"), die(1)), 2.0, 0.0),
        ((kill(0), die(0.5)), 6.0, None),
        ((die(0.5),), 1.0, None),
        ((kill(0),), 1.0, None),
        ((kill(0, signal="SIGHUP"), die(0.5)), 1.0, None),
        ((die(-10), kill(0)), 1.0, None),
        ((), 0.0, None),
    ],
)
def test_shutdown(events: tuple[Event, ...], ended: float, began: float | None) -> None:
    """A batch of stop signals, deaths, and at once the end of the stream: the engine itself has stopped them."""
    expected: datetime | None = None if began is None else at(began)
    assert shutdown_began(after(*events), at(ended)) == expected


def test_old_signals_are_forgotten() -> None:
    """What somebody stopped minutes ago is no part of a shutdown, and takes no memory."""
    memory = after(kill(0), *(kill(200 + n, f"c{n}") for n in range(3)))
    assert set(memory.stop_signals) == {"c0", "c1", "c2"}


def test_the_last_start_of_each_is_remembered() -> None:
    """By it a person's stop is told from that of a restart of ours, which stops before it starts."""
    starts = [event(EventKind.START, seconds, name) for seconds, name in ((0, "a"), (100, "b"), (200, "b"))]
    assert after(*starts).starts == {"b": at(200)}


@pytest.mark.parametrize(
    "kind", [EventKind.KILL, EventKind.OOM, EventKind.CREATE, EventKind.STOP, EventKind.RESTART]
)
def test_events_that_are_no_hint(kind: EventKind) -> None:
    """Signals and the memory of child processes are evidence; only what changes a container's state asks for a look."""
    assert kind not in HINTS
    assert {EventKind.DIE, EventKind.START, EventKind.UNHEALTHY, EventKind.UNPAUSE} <= HINTS
