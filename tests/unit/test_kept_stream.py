"""The events that a watcher keeps in memory: none lost, in order, and again from where the database is."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from healing.core.errors import EngineUnreachable
from healing.core.events import EventStream
from healing.core.types import Event, EventKind
from healing.kept_stream import KeptStream
from tests.testbed.wait import until

BEGIN = datetime(2030, 1, 1, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return BEGIN + timedelta(seconds=seconds)


def events(number: int) -> list[Event]:
    """One a second, the first a second after BEGIN."""
    return [Event(EventKind.DIE, "id", f"e{n}", at(n)) for n in range(1, number + 1)]


def filled(number: int, **limits: int) -> KeptStream:
    """One whose stream has ended after so many events."""
    kept = KeptStream(iter(events(number)), BEGIN, **limits).start()
    until(lambda: kept.has_ended, 10, "the stream is read")
    return kept


def worked_off(kept: KeptStream, number: int) -> list[str]:
    names = []
    for _ in range(number):
        event = kept.next()
        assert event is not None
        names.append(event.name)
        kept.done()
    return names


def test_it_takes_in_what_comes_while_nobody_works_it_off() -> None:
    """The engine may forget at once what it has sent."""
    kept = filled(3)
    assert kept.waiting == 3
    assert worked_off(kept, 3) == ["e1", "e2", "e3"]
    assert kept.next() is None


def test_an_event_stays_the_next_until_it_is_worked_off() -> None:
    """One whose marks could not be written is not passed over."""
    kept = filled(2)
    first = kept.next()
    assert kept.go_back(at(100))
    assert kept.next() is first
    assert worked_off(kept, 2) == ["e1", "e2"]


def test_it_goes_back_to_what_the_database_knows() -> None:
    """The event there comes again, for the database may have it and not what came of it."""
    kept = filled(4)
    worked_off(kept, 3)
    assert kept.go_back(at(2))
    assert worked_off(kept, 3) == ["e2", "e3", "e4"]
    assert kept.go_back(None)
    assert kept.waiting == 4


def test_it_does_not_go_back_to_what_it_has_not() -> None:
    """Before its stream began, or before what is still kept: then the engine is to be asked again."""
    kept = filled(5, done=2)
    assert not kept.go_back(at(-1))
    worked_off(kept, 4)
    assert not kept.go_back(at(1))
    assert not kept.go_back(None)
    assert kept.waiting == 1
    assert kept.go_back(at(2))
    assert worked_off(kept, 3) == ["e3", "e4", "e5"]


def test_it_keeps_no_more_than_a_database_may_lose() -> None:
    """There is a stream for each engine, and what is long worked off is on the disk."""
    kept = filled(100)
    worked_off(kept, 100)
    assert not kept.go_back(at(30))
    assert kept.go_back(at(50))
    assert kept.waiting == 51


def test_a_stream_that_breaks_is_worked_off_first() -> None:
    """What came before the break counts; then its error is raised in the thread that works it off."""

    def breaking() -> Iterator[Event]:
        yield from events(1)
        raise EngineUnreachable("gone")

    kept = KeptStream(breaking(), BEGIN).start()
    assert worked_off(kept, 1) == ["e1"]
    with pytest.raises(EngineUnreachable, match="gone"):
        kept.next()
    assert 0 <= kept.ended_ago < 60


def test_it_is_worked_off_as_far_as_the_engine_has_confirmed() -> None:
    """Not while anything waits, and not by itself: what it was opened with counts until the engine has told more."""
    stream = EventStream(lambda _: iter(events(1)))
    kept = KeptStream(stream, BEGIN).start()
    until(lambda: kept.has_ended, 10, "the stream is read")
    stream.told_until = at(5)
    assert kept.worked_off_until(BEGIN) is None
    worked_off(kept, 1)
    assert kept.worked_off_until(BEGIN) == at(5)
    silent = KeptStream(iter(()), BEGIN)
    assert silent.worked_off_until(BEGIN) == BEGIN


def test_it_tells_for_how_long_the_next_event_has_waited() -> None:
    """Since it came, or since it was put back; nothing waits for no time."""
    kept = filled(2)
    assert 0 <= kept.oldest_waits < 60
    kept._came[0] -= 100
    assert kept.oldest_waits >= 100
    worked_off(kept, 2)
    assert kept.oldest_waits == 0.0
    kept.go_back(None)
    assert 0 < kept.oldest_waits < 60


def test_more_than_it_may_keep_ends_the_stream() -> None:
    """Memory is bounded; what is there is worked off, and the engine is asked for the rest."""
    kept = filled(5, waiting=3)
    assert worked_off(kept, 3) == ["e1", "e2", "e3"]
    with pytest.raises(EngineUnreachable, match="more than 3 events"):
        kept.next()


def test_who_waits_for_an_event_gets_it_at_once() -> None:
    """And learns that there are no more."""
    come = threading.Event()

    def one() -> Iterator[Event]:
        come.wait(10)
        yield from events(1)

    kept = KeptStream(one(), BEGIN).start()
    threading.Timer(0.05, come.set).start()
    assert worked_off(kept, 1) == ["e1"]
    assert kept.next() is None
