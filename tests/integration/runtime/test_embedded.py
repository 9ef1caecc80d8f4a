"""Parts in one process: the end of one is the end of all, and a stop is quick."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest
from celery.signals import task_revoked

from selfheal_project.celery import app
from selfheal_project.embedded import Part, Supervisor, worker_parts
from tests.testbed.wait import until


def part(name: str, stop: threading.Event) -> Part:
    return Part(name, lambda: stop.wait() and None, stop.set)


def test_a_stop_that_was_asked_for_is_no_death() -> None:
    """Stopping on purpose ends with nobody dead and nobody left."""
    parts = [part("one", threading.Event()), part("two", threading.Event())]
    supervisor = Supervisor(parts)
    threading.Timer(0.1, supervisor.stopping.set).start()
    assert supervisor.run() == []
    assert supervisor.still_running() == []


@pytest.mark.parametrize(
    "ending", [lambda: None, lambda: 1 / 0, lambda: exit(3)], ids=["returns", "raises", "exits"]
)
def test_a_part_that_ends_by_itself_ends_all(ending: object, caplog: pytest.LogCaptureFixture) -> None:
    """There is no half-alive Selfheal: whoever ends, however, is named and everything stops."""
    assert callable(ending)
    other = threading.Event()
    supervisor = Supervisor([Part("broken", ending, lambda: None), part("fine", other)])
    assert supervisor.run() == ["broken"]
    assert other.is_set()
    assert any(getattr(record, "action", "") == "part_died" for record in caplog.records)


def test_a_part_that_does_not_stop_is_left_behind_in_time() -> None:
    """A hanging task does not keep the process from ending."""
    never = threading.Event()
    supervisor = Supervisor([Part("stuck", lambda: never.wait(60) and None, lambda: None)], stop_seconds=0.2)
    supervisor.stopping.set()
    begin = time.monotonic()
    supervisor.run()
    assert time.monotonic() - begin < 10
    assert supervisor.still_running() == ["stuck"]
    never.set()


class Seen:
    """What the tasks of these tests have done; they hang while `held` is not set."""

    def __init__(self) -> None:
        self.notes: list[tuple[str, str]] = []
        self.held = threading.Event()

    def texts(self) -> list[str]:
        return [text for text, _ in self.notes]

    def note(self, text: str) -> None:
        self.notes.append((text, threading.current_thread().name))


_seen = Seen()


@app.task(name="tests.runtime.note")
def note(text: str) -> None:
    _seen.note(text)


@app.task(name="tests.runtime.hold")
def hold() -> None:
    seen = _seen
    seen.note("held")
    seen.held.wait(60)


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Iterator[Seen]:
    """The embedded workers are running; what their tasks do is seen here."""
    made = Seen()
    monkeypatch.setattr(f"{__name__}._seen", made)
    supervisor = Supervisor(worker_parts(app), stop_seconds=20)
    thread = threading.Thread(target=supervisor.run, daemon=True)
    thread.start()
    try:
        for queue in ("heal", "checks", "default", "alerts"):
            note.apply_async((queue,), queue=queue)
        until(lambda: len(made.notes) == 4, 30, "the workers have taken one task from each queue")
        yield made
    finally:
        made.held.set()
        supervisor.stopping.set()
        thread.join(30)
    assert supervisor.still_running() == []
    assert supervisor.dead == []


def test_a_stop_in_the_middle_of_the_start() -> None:
    """Workers that wait for their turn to start do not wait for one that will never be ready."""
    supervisor = Supervisor(worker_parts(app), stop_seconds=20)
    supervisor.stopping.set()
    begin = time.monotonic()
    supervisor.run()
    assert supervisor.still_running() == []
    assert time.monotonic() - begin < 15


def test_every_queue_is_worked_on_by_its_own_threads(seen: Seen) -> None:
    """Each worker takes its own queues and no others."""
    threads = {text: name.rpartition("_")[0] for text, name in seen.notes}
    assert sorted(threads) == ["alerts", "checks", "default", "heal"]
    assert len(set(threads.values())) == 3
    assert threads["alerts"] == threads["default"]


def test_a_heal_does_not_wait_behind_checks(seen: Seen) -> None:
    """With every thread of the checks hanging, a heal is done at once."""
    for _ in range(6):
        hold.apply_async(queue="checks")
    until(lambda: seen.texts().count("held") == 4, 10, "four checks hang")
    note.apply_async(("urgent",), queue="heal")
    until(lambda: "urgent" in seen.texts(), 5, "the heal was done")
    assert seen.texts().count("held") == 4


def test_a_message_that_waited_too_long_is_dropped(seen: Seen) -> None:
    """`expires` holds inside the process too: a check that is late is not done twice over."""
    revoked: list[object] = []

    def note_revoked(expired: bool, **_: object) -> None:
        revoked.append(expired)

    task_revoked.connect(note_revoked)
    for _ in range(8):
        hold.apply_async(queue="checks")
    until(lambda: seen.texts().count("held") == 4, 10, "all threads of the checks are busy")
    note.apply_async(("stale",), queue="checks", expires=0.2)
    time.sleep(0.3)  # the message has to grow old
    seen.held.set()
    until(lambda: revoked == [True], 10, "the message was dropped")
    assert "stale" not in seen.texts()


def test_a_burst_flows_without_pauses(seen: Seen) -> None:
    """More messages than the prefetch allows do not wait for the consumer's timeout."""
    begin = time.monotonic()
    for number in range(200):
        note.apply_async((f"n{number}",), queue="heal")
    until(lambda: len(seen.notes) >= 204, 20, "all 200 were done")
    assert time.monotonic() - begin < 10
