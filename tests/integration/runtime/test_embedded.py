"""Parts in one process: the end of one is the end of all, and a stop is quick."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Iterator

import pytest
from celery import Celery
from celery.signals import task_revoked

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


@pytest.mark.parametrize("ending", [lambda: None, lambda: 1 / 0, lambda: exit(3)], ids=["returns", "raises", "exits"])
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


class Workers:
    """The embedded workers on an app of their own, and what their tasks saw."""

    def __init__(self) -> None:
        self.app = Celery(f"t{uuid.uuid4().hex}", broker="selfheal-memory://localhost", set_as_current=False)
        self.app.conf.update(
            task_ignore_result=True, worker_enable_remote_control=False, worker_prefetch_multiplier=1,
            task_default_queue="default", worker_send_task_events=False, broker_connection_retry_on_startup=True,
        )
        self.seen: list[tuple[str, str, float]] = []
        self.held = threading.Event()
        self.app.task(name="note")(self.note)
        self.app.task(name="hold")(self.hold)

    def note(self, text: str) -> None:
        self.seen.append((text, threading.current_thread().name, time.monotonic()))

    def hold(self) -> None:
        self.seen.append(("held", "", time.monotonic()))
        self.held.wait(60)

    def send(self, task: str, *args: str, queue: str, expires: float | None = None) -> None:
        self.app.send_task(task, args=args, queue=queue, expires=expires)

    def texts(self) -> list[str]:
        return [text for text, _, _ in self.seen]


@pytest.fixture
def workers() -> Iterator[Workers]:
    made = Workers()
    supervisor = Supervisor(worker_parts(made.app), stop_seconds=20)
    thread = threading.Thread(target=supervisor.run)
    thread.start()
    for queue in ("heal", "checks", "default", "alerts"):
        made.send("note", queue, queue=queue)
    until(lambda: len(made.seen) == 4, 30, "the workers have taken one task from each queue")
    yield made
    made.held.set()
    supervisor.stopping.set()
    thread.join(30)
    assert supervisor.still_running() == []
    assert supervisor.dead == []


def test_every_queue_is_worked_on_by_its_own_threads(workers: Workers) -> None:
    """Each worker takes its own queues and no others."""
    threads = {text: name.rpartition("_")[0] for text, name, _ in workers.seen}
    assert sorted(threads) == ["alerts", "checks", "default", "heal"]
    assert len(set(threads.values())) == 3
    assert threads["alerts"] == threads["default"]


def test_a_heal_does_not_wait_behind_checks(workers: Workers) -> None:
    """With every thread of the checks hanging, a heal is done at once."""
    for _ in range(6):
        workers.send("hold", queue="checks")
    until(lambda: workers.texts().count("held") == 4, 10, "four checks hang")
    workers.send("note", "urgent", queue="heal")
    until(lambda: "urgent" in workers.texts(), 5, "the heal was done")
    assert workers.texts().count("held") == 4


def test_a_message_that_waited_too_long_is_dropped(workers: Workers) -> None:
    """`expires` holds inside the process too: a check that is late is not done twice over."""
    revoked: list[object] = []

    def note_revoked(**kwargs: object) -> None:
        revoked.append(kwargs["expired"])

    task_revoked.connect(note_revoked)
    for _ in range(8):
        workers.send("hold", queue="checks")
    until(lambda: workers.texts().count("held") == 4, 10, "all threads of the checks are busy")
    workers.send("note", "stale", queue="checks", expires=0.2)
    time.sleep(0.3)
    workers.held.set()
    until(lambda: revoked, 10, "the message was dropped")
    assert "stale" not in workers.texts()


def test_a_burst_flows_without_pauses(workers: Workers) -> None:
    """More messages than the prefetch allows do not wait for the consumer's timeout."""
    begin = time.monotonic()
    for number in range(200):
        workers.send("note", f"n{number}", queue="heal")
    until(lambda: len(workers.seen) >= 204, 20, "all 200 were done")
    assert time.monotonic() - begin < 10
