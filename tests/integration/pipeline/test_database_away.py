"""A database that is away while an engine's events come: what they tell is not lost, also where the engine forgets it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from django.db import OperationalError, connection

from healing.core.types import Lifecycle
from healing.kept_stream import KeptStream
from healing.models import Container, FailureRecord, HealthStatus, Host
from healing.pipeline import check
from tests.integration.loop.timeline import Timeline
from tests.testbed.wait import until

LABELS = {"selfheal.enable": "true"}
CRASHED, STOPPED = "crashed", "stopped"

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def timeline(db: None) -> Iterator[Timeline]:
    with Timeline() as made:
        for name in (CRASHED, STOPPED):
            made.fake.add(name, labels=LABELS, healthcheck=True)
        made.watch()
        made.run(60)
        made._watcher.flush_cursor()
        yield made


@contextmanager
def away(statements: int, passed: Callable[[], None]) -> Iterator[None]:
    """The next statements find no database; `passed` is called as the last of them fails."""
    left = statements

    def refuse(execute: Callable[..., Any], *arguments: Any) -> Any:
        nonlocal left
        if not left:
            return execute(*arguments)
        left -= 1
        if not left:
            passed()
        raise OperationalError("server closed the connection unexpectedly")

    with connection.execute_wrapper(refuse):
        yield


def stream(timeline: Timeline) -> KeptStream:
    """The stream as the watcher holds it; from now on it is not the timeline that takes the events."""
    timeline.look_away()
    since = timeline._watcher._cursor.at
    assert since is not None
    return KeptStream(timeline.fake.events(since, 20.0), since).start()


def follow(timeline: Timeline, kept: KeptStream, host: Host) -> None:
    """Work it off in this thread until all is as before; then the timeline takes the events again."""
    watcher = timeline._watcher

    def close() -> None:
        until(lambda: watcher.connected.is_set() and not kept.waiting, 20, "the watcher has caught up")
        timeline.fake.close()

    closing = threading.Thread(target=close, daemon=True)
    closing.start()
    watcher._follow(host, timeline.fake, kept)
    closing.join(20)
    timeline._position, timeline._watching = len(timeline.fake.happened), True


def test_a_crash_meanwhile_is_healed_and_a_stop_by_hand_is_not(timeline: Timeline) -> None:
    """The engine forgets which is which within seconds; the watcher has received it, and keeps it."""
    kept, host = stream(timeline), Host.objects.get(pk=timeline.host.pk)
    timeline.fake.kill(CRASHED)
    timeline.fake.stop_by_hand(STOPPED)
    until(lambda: kept.waiting >= 3, 10, "the events are received")
    timeline._watcher.connected.clear()

    with away(4, lambda: timeline._clock.shift(timedelta(seconds=30))):
        follow(timeline, kept, host)
    timeline.run(60)

    assert Host.objects.get(pk=host.pk).stream_since == host.stream_since
    assert [call.method for call in timeline.calls_of(CRASHED)] == ["start"]
    assert timeline.calls_of(STOPPED) == []
    stopped = HealthStatus.objects.get(container__name=STOPPED)
    assert stopped.lifecycle == Lifecycle.STOPPED_BY_HAND


def test_nobody_trusts_the_stream_before_it_is_worked_off(timeline: Timeline) -> None:
    """A sweep that is faster than the watcher must not take a stop for a crash, because its mark is not written yet."""
    kept = stream(timeline)
    timeline.fake.stop_by_hand(STOPPED)
    timeline._clock.shift(timedelta(seconds=3))

    assert timeline._watcher._regain(kept)
    stopped = Container.objects.get(name=STOPPED)
    assert check.check_some(timeline.host.pk, [stopped.pk], by_event=False) == []
    assert not FailureRecord.objects.exists()
    follow(timeline, kept, timeline.host)
    timeline.run(60)

    assert timeline.calls_of(STOPPED) == []


def test_a_database_that_lost_its_newest_commits_gets_them_again(timeline: Timeline) -> None:
    """A crash takes what was committed last; what came of events after the cursor that is left is written once more."""
    kept, host = stream(timeline), Host.objects.get(pk=timeline.host.pk)
    timeline.fake.stop_by_hand(STOPPED)
    until(lambda: kept.waiting >= 2, 10, "the events are received")
    while kept.waiting:
        event = kept.next()
        assert event is not None
        timeline._watcher._take(host, timeline.fake, event)
        kept.done()
    Host.objects.filter(pk=host.pk).update(last_event_at=host.last_event_at)
    HealthStatus.objects.filter(container__name=STOPPED).update(stop_signal_at=None)

    assert timeline._watcher._regain(kept)
    follow(timeline, kept, host)

    assert HealthStatus.objects.get(container__name=STOPPED).stop_signal_at is not None
