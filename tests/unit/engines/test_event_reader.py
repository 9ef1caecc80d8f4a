"""What a silent event stream is worth: as much as its engine, asked on another connection, confirms."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest

from healing.core.errors import EngineUnreachable
from healing.core.events import EventStream
from healing.core.types import Event, EventKind
from healing.engines import docker_events
from healing.engines.address import parse_address
from healing.engines.docker_events import ASK_AFTER, EventReader, History

NOW = datetime(2030, 1, 1, tzinfo=UTC)
MISSED = Event(EventKind.KILL, "c1", "web", NOW + timedelta(seconds=1))
UNTIL = NOW + timedelta(seconds=4)


class Silent:
    """A stream that brings nothing; `idle` says so."""

    def __init__(self) -> None:
        self.asks_after, self.idle = 0.0, lambda: None

    def watch(self, idle_timeout: float, on_idle: Callable[[], None]) -> None:
        self.asks_after, self.idle = idle_timeout, on_idle


class Scene:
    """A reader of a silent stream, and what its engine answers."""

    def __init__(self) -> None:
        self.stream, self.steady = Silent(), 0.0
        self.answer: History | EngineUnreachable = History()
        address = parse_address("tcp://engine:2375")
        self.reader = EventReader(self.stream, address, self._missed, 10.0, NOW)  # type: ignore[arg-type]
        self.told = EventStream(self._follow)

    def _follow(self, told: EventStream) -> Iterator[Event]:
        self.reader._told = told
        return iter(())

    def _missed(self, last_at: datetime) -> History:
        assert last_at == NOW
        if isinstance(self.answer, EngineUnreachable):
            raise self.answer
        return self.answer

    def silent_for(self, seconds: float) -> None:
        self.steady += seconds
        self.stream.idle()


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch) -> Scene:
    monkeypatch.setattr(docker_events.time, "monotonic", lambda: made.steady if made else 0.0)
    made: Scene | None = None
    made = Scene()
    return made


def test_silence_alone_proves_nothing(scene: Scene) -> None:
    """Nor does an engine that lives and does not tell what has happened."""
    assert scene.told.told_until is None
    scene.silent_for(ASK_AFTER)
    assert scene.told.told_until is None


def test_an_engine_that_knows_of_nothing_more_proves_it(scene: Scene) -> None:
    """By its own clock, and until it was asked; after a few seconds of silence it is."""
    assert scene.stream.asks_after == ASK_AFTER
    scene.answer = History(None, UNTIL)
    scene.silent_for(ASK_AFTER)
    assert scene.told.told_until == UNTIL


def test_an_event_that_did_not_come_ends_the_stream(scene: Scene) -> None:
    """It is dead, and proves nothing: its events are asked for anew."""
    scene.answer = History(MISSED, UNTIL)
    with pytest.raises(EngineUnreachable, match="did not bring kill of web"):
        scene.silent_for(ASK_AFTER)
    assert scene.told.told_until is None


def test_an_engine_that_is_silent_for_a_moment_is_asked_again(scene: Scene) -> None:
    """Only one that gives no answer for as long as the idle timeout is gone; meanwhile nothing is proven."""
    scene.answer = EngineUnreachable("no answer within 3 s")
    scene.silent_for(ASK_AFTER)
    scene.answer = History(None, UNTIL)
    scene.silent_for(ASK_AFTER)
    scene.answer = EngineUnreachable("no answer within 3 s")
    scene.silent_for(ASK_AFTER)
    with pytest.raises(EngineUnreachable, match="no answer"):
        scene.silent_for(ASK_AFTER)
    assert scene.told.told_until == UNTIL
