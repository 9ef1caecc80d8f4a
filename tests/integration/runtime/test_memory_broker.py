"""The broker inside one process: who waits is woken, who has nothing to do costs nothing."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from kombu import Connection, Consumer, Exchange, Producer, Queue

from selfheal_project import celery, memory_broker
from tests.testbed.wait import until

URL = "selfheal-memory://localhost"
assert celery.app  # importing it registers the transport


class Receiver:
    """A connection with one consumer; `received` are (body, when) pairs."""

    def __init__(self, name: str, prefetch: int = 0) -> None:
        self.connection = Connection(URL)
        channel = self.connection.channel()
        queue = Queue(name, Exchange(name), routing_key=name)
        self.received: list[tuple[Any, float]] = []
        self.messages: list[Any] = []
        self.consumer = Consumer(channel, [queue], callbacks=[self._take], accept=["json"])
        self.consumer.qos(prefetch_count=prefetch)
        self.consumer.consume()

    def _take(self, body: Any, message: Any) -> None:
        self.received.append((body, time.monotonic()))
        self.messages.append(message)

    def drain(self, timeout: float | None) -> None:
        self.connection.drain_events(timeout=timeout)


@pytest.fixture
def name() -> str:
    return f"q-{uuid.uuid4().hex}"


@pytest.fixture
def receiver(name: str) -> Iterator[Receiver]:
    made = Receiver(name)
    yield made
    made.connection.release()


def send(name: str, body: Any, priority: int | None = None) -> None:
    with Connection(URL) as connection:
        producer = Producer(connection.channel(), Exchange(name), name)
        producer.publish(body, serializer="json", priority=priority)


def test_a_message_wakes_a_waiting_consumer_at_once(name: str, receiver: Receiver) -> None:
    """A hop between two tasks takes milliseconds, where Kombu's own transport takes up to a second."""
    delays = []
    for number in range(10):
        waiting = threading.Thread(target=receiver.drain, args=(5,))
        waiting.start()
        time.sleep(0.02)  # the consumer is to be asleep by now; what it sleeps on cannot be seen
        sent = time.monotonic()
        send(name, number)
        waiting.join(5)
        delays.append(receiver.received[-1][1] - sent)
    assert [body for body, _ in receiver.received] == list(range(10))
    assert sorted(delays)[5] < 0.1


def test_a_message_that_is_there_already_is_not_slept_through(name: str, receiver: Receiver) -> None:
    """What was sent before the consumer looked is delivered without waiting."""
    send(name, "early")
    receiver.drain(0)
    assert receiver.received[0][0] == "early"


def test_the_timeout_is_kept(receiver: Receiver) -> None:
    """A consumer comes back in time to see that it shall stop."""
    begin = time.monotonic()
    with pytest.raises(TimeoutError):
        receiver.drain(0.2)
    assert 0.19 <= time.monotonic() - begin < 2


def test_waiting_looks_once(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    """An idle process does not poll."""
    looks = 0
    get = memory_broker.Channel._get

    def counted(self: Any, queue: str, timeout: float | None = None) -> Any:
        nonlocal looks
        looks += 1
        return get(self, queue, timeout)

    monkeypatch.setattr(memory_broker.Channel, "_get", counted)
    with pytest.raises(TimeoutError):
        receiver.drain(0.5)
    assert looks <= 2


def test_other_queues_do_not_wake(name: str, receiver: Receiver) -> None:
    """A flood of checks does not disturb the consumer of heals."""
    transport = receiver.connection.transport
    transport._wakeup.clear()
    send(f"{name}-other", 1)
    assert not transport._wakeup.is_set()
    send(name, 1)
    assert transport._wakeup.is_set()


def test_an_acknowledgement_makes_room_at_once(name: str) -> None:
    """With a full prefetch the next message comes with the acknowledgement, not with the next timeout."""
    receiver = Receiver(name, prefetch=1)
    send(name, 1)
    send(name, 2)
    receiver.drain(1)
    with pytest.raises(TimeoutError):
        receiver.drain(0.05)
    waiting = threading.Thread(target=receiver.drain, args=(30,))
    waiting.start()
    time.sleep(0.05)  # as above: the consumer is to be asleep
    receiver.messages[0].ack()
    waiting.join(10)
    assert [body for body, _ in receiver.received] == [1, 2]
    receiver.connection.release()


def test_the_important_is_taken_first(name: str, receiver: Receiver) -> None:
    """The lowest number goes first, as with Redis, and of one number the oldest, also when it comes back."""
    for body in ("6a", "3a", "0a", "6b", "3b", "0b"):
        send(name, body, int(body[0]))
    send(name, "none")
    for _ in range(7):
        receiver.drain(1)
    assert [body for body, _ in receiver.received] == ["0a", "0b", "none", "3a", "3b", "6a", "6b"]


def test_a_stop_ends_the_wait(receiver: Receiver) -> None:
    """A stop does not wait for the timeout of a consumer."""
    ended = threading.Event()

    def wait() -> None:
        with pytest.raises(TimeoutError):
            receiver.drain(None)
        ended.set()

    threading.Thread(target=wait, daemon=True).start()
    time.sleep(0.05)  # as above: the consumer is to be asleep
    memory_broker.stop_waiting()
    assert ended.wait(5)


def test_many_threads_lose_and_double_nothing(name: str) -> None:
    """Several senders and several consumers of one queue: every message arrives exactly once."""
    receivers = [Receiver(name) for _ in range(3)]
    stop = threading.Event()

    def consume(receiver: Receiver) -> None:
        while not stop.is_set():
            try:
                receiver.drain(0.2)
            except TimeoutError:
                continue

    def produce(base: int) -> None:
        with Connection(URL) as connection:
            producer = Producer(connection.channel(), Exchange(name), name)
            for number in range(100):
                producer.publish(base + number, serializer="json")

    consumers = [threading.Thread(target=consume, args=(receiver,)) for receiver in receivers]
    producers = [threading.Thread(target=produce, args=(base,)) for base in (0, 1000, 2000, 3000)]
    for thread in consumers + producers:
        thread.start()
    until(lambda: sum(len(r.received) for r in receivers) >= 400, 20, "all messages have come")
    stop.set()
    for thread in consumers + producers:
        thread.join(5)
    bodies = sorted(body for receiver in receivers for body, _ in receiver.received)
    assert bodies == sorted(base + number for base in (0, 1000, 2000, 3000) for number in range(100))
