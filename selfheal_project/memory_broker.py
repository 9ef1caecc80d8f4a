"""A broker inside one process: Kombu's memory transport, whose consumers are woken instead of polling.

Messages live in this process only and end with it; what must outlive it is in the database.
"""

from __future__ import annotations

import threading
import time
from heapq import heappop, heappush
from itertools import count
from queue import Empty, Queue
from typing import Any
from weakref import WeakSet

from kombu.transport import memory, virtual


class Backlog(Queue[Any]):
    """Messages that wait: (priority, message). The lowest number is taken first, and the oldest of one number."""

    def _init(self, maxsize: int) -> None:
        self.queue: list[tuple[int, int, Any]] = []
        self._numbers = count()

    def _qsize(self) -> int:
        return len(self.queue)

    def _put(self, item: tuple[int, Any]) -> None:
        heappush(self.queue, (item[0], next(self._numbers), item[1]))

    def _get(self) -> Any:
        return heappop(self.queue)[2]


_queues: dict[str, Queue[Any]] = {}


class QoS(virtual.QoS):
    """An acknowledged message frees room for the next one, which may be waiting already."""

    def ack(self, delivery_tag: str) -> None:
        super().ack(delivery_tag)
        transport = self.channel.connection
        if isinstance(transport, Transport):
            transport.wake()


class Channel(memory.Channel):
    """Queues shared by all connections of the process, safe to be declared and used by many threads at once."""

    QoS = QoS
    queues = _queues
    _declaring = threading.RLock()

    def exchange_declare(self, *args: Any, **kwargs: Any) -> None:
        with self._declaring:
            super().exchange_declare(*args, **kwargs)

    def queue_bind(self, *args: Any, **kwargs: Any) -> None:
        with self._declaring:
            super().queue_bind(*args, **kwargs)

    def queue_delete(self, *args: Any, **kwargs: Any) -> None:
        with self._declaring:
            super().queue_delete(*args, **kwargs)

    def _new_queue(self, queue: str, **_: Any) -> None:
        self._queue_for(queue)

    def _queue_for(self, queue: str) -> Queue[Any]:
        return self.queues.setdefault(queue, Backlog())

    def _put(self, queue: str, message: Any, **_: Any) -> None:
        self._queue_for(queue).put((self._get_message_priority(message), message))
        wake_consumers(queue)

    def _put_fanout(self, exchange: str, message: Any, routing_key: Any = None, **_: Any) -> None:
        for queue in self._lookup(exchange, routing_key):
            self._put(queue, message)


class Transport(memory.Transport):
    """Like `memory://`, but `drain_events` sleeps until there is something to do."""

    Channel = Channel
    global_state = virtual.BrokerState()
    driver_name = "selfheal-memory"

    def __init__(self, client: Any, **kwargs: Any) -> None:
        super().__init__(client, **kwargs)
        self._wakeup = threading.Event()
        self._waits = True
        with _lock:
            _transports.add(self)

    def wake(self) -> None:
        """Have a sleeping `drain_events` look again."""
        self._wakeup.set()

    def stop_waiting(self) -> None:
        """Have `drain_events` return as if its time were over, now and from now on."""
        self._waits = False
        self._wakeup.set()

    def consumes(self, queue: str) -> bool:
        return queue in (self._callbacks or {})

    def drain_events(self, connection: Any, timeout: float | None = None, **_: Any) -> None:
        """Deliver one message. Raise TimeoutError after `timeout` seconds (None: never) without one."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while not self._deliver_one():
            left = None if deadline is None else deadline - time.monotonic()
            if not self._waits or (left is not None and left <= 0):
                raise TimeoutError("no message in time")
            self._wakeup.wait(left)

    def _deliver_one(self) -> bool:
        # Cleared before looking: a message that comes after the look sets it again, so none is slept through.
        self._wakeup.clear()
        assert self.cycle is not None
        try:
            self.cycle.get(self._deliver)
        except Empty:
            return False
        return True


_lock = threading.Lock()
_transports: WeakSet[Transport] = WeakSet()


def wake_consumers(queue: str) -> None:
    """Wake every connection of this process that consumes `queue`."""
    with _lock:
        waiting = [transport for transport in _transports if transport.consumes(queue)]
    for transport in waiting:
        transport.wake()


def stop_waiting() -> None:
    """Have every consumer of this process come back from waiting, because it shall stop."""
    with _lock:
        transports = list(_transports)
    for transport in transports:
        transport.stop_waiting()
