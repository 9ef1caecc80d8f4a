"""Sending what is due: claim, send, record. Each channel in a thread of its own, so that a slow one delays no other.

A claim is a conditional UPDATE that moves `next_try_at` to the end of a lease and counts the try. A process that
dies in between costs the lease; the message is then sent again with the same id. Threads only send; the database is
read and written by the caller's thread, and no transaction is open while a channel sends.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections import Counter, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import F, Q, QuerySet
from django.utils import timezone

from notifications import limiting, messaging, outcomes
from notifications.core.alert import Message
from notifications.core.errors import ConfigError, PermanentError, TemporaryError
from notifications.core.ports import Sender, Sent
from notifications.models import Channel, Delivery, DeliveryState

LEASE = timedelta(seconds=60)
"""Longer than any channel may take to send."""
BATCH = 500
AT_ONCE = 4
"""Sends of this process to one channel at once: a channel that hangs holds no more threads."""

Fault = PermanentError | TemporaryError

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Done:
    """What came of one send: an answer, or the fault."""

    delivery: Delivery
    answer: str = ""
    thread_ref: str = ""
    fault: Fault | None = None


class _InFlight:
    """How many threads of this process are sending to each channel, also those that hang from an earlier round; and
    which channels somebody found full meanwhile, whose deliveries are for those that are sending."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._threads: Counter[int | None] = Counter()
        self._missed: set[int | None] = set()

    def enter(self, channel_id: int | None) -> bool:
        with self._lock:
            if self._threads[channel_id] >= AT_ONCE:
                self._missed.add(channel_id)
                return False
            self._threads[channel_id] += 1
            return True

    def leave(self, channel_id: int | None) -> None:
        with self._lock:
            self._threads[channel_id] -= 1

    def take_missed(self, channel_id: int | None) -> bool:
        """Whether somebody found the channel full; true for one who asks."""
        with self._lock:
            missed = channel_id in self._missed
            self._missed.discard(channel_id)
            return missed


_in_flight = _InFlight()


@dataclass
class _Round:
    """One round: what waits for each channel, and what comes back from the threads."""

    fixed: datetime | None
    waiting: dict[int | None, deque[Delivery]] = field(default_factory=dict)
    done: queue.SimpleQueue[_Done] = field(default_factory=queue.SimpleQueue)
    running: int = 0
    tried: int = 0

    @property
    def now(self) -> datetime:
        return self.fixed or timezone.now()


def send_due(fixed: datetime | None, seconds: float, only: Iterable[UUID] | None = None) -> int:
    """Send what is due, of each channel the oldest first, for about `seconds`; return how many sends were tried.

    `only`: deliveries of those messages. `fixed`: the time instead of the clock's. A channel that fails for now is left
    out of the rest of the round.
    """
    turn = _Round(fixed)
    for delivery in _due(turn.now, only)[:BATCH]:
        turn.waiting.setdefault(delivery.channel_id, deque()).append(delivery)
    end = time.monotonic() + seconds
    for channel_id in list(turn.waiting):
        if time.monotonic() < end:
            _next(turn, channel_id)
    while turn.running and (left := end - time.monotonic()) > 0:
        try:
            done = turn.done.get(timeout=left)
        except queue.Empty:
            break
        turn.running -= 1
        outcomes.record(done.delivery, done.answer, done.fault, turn.now)
        messaging.note_thread(done.delivery, done.thread_ref)
        if not isinstance(done.fault, TemporaryError):
            _go_on(turn, done.delivery.channel_id)
    return turn.tried


def _go_on(turn: _Round, channel_id: int | None) -> None:
    """The next of this channel; what others could not start because it was full is ours."""
    if not turn.waiting[channel_id] and _in_flight.take_missed(channel_id):
        turn.waiting[channel_id].extend(_due(turn.now, None).filter(channel=channel_id)[:BATCH])
    _next(turn, channel_id)


def _due(now: datetime, only: Iterable[UUID] | None) -> QuerySet[Delivery]:
    free = Q(channel=None) | Q(channel__blocked_until=None) | Q(channel__blocked_until__lte=now)
    due = Delivery.objects.filter(free, state=DeliveryState.PENDING, next_try_at__lte=now)
    if only is not None:
        due = due.filter(message__in=list(only))
    return due.select_related("channel__template", "notification", "message__group").order_by(
        "next_try_at", "id"
    )


def _next(turn: _Round, channel_id: int | None) -> None:
    """Start the next send to a channel, if it has one that is free and within its limit."""
    waiting = turn.waiting[channel_id]
    while waiting:
        if not _in_flight.enter(channel_id):
            return
        delivery = waiting.popleft()
        try:
            if not limiting.allows(delivery, turn.now):
                _put_off(turn, delivery, waiting)
            elif _claim(delivery, turn.now):
                turn.tried += 1
                if _start(turn, delivery):
                    return
        except BaseException:
            _in_flight.leave(channel_id)
            raise
        _in_flight.leave(channel_id)


def _put_off(turn: _Round, delivery: Delivery, waiting: deque[Delivery]) -> None:
    """All that waits for a channel at its limit comes in one summary, once the limit allows it."""
    limiting.put_off([delivery, *waiting], turn.now)
    waiting.clear()


def _claim(delivery: Delivery, now: datetime) -> bool:
    """Take the delivery for the length of the lease; exactly one of many claimants gets it."""
    row = Delivery.objects.filter(pk=delivery.pk, state=DeliveryState.PENDING, next_try_at__lte=now)
    if row.filter(tries=delivery.tries).update(next_try_at=now + LEASE, tries=F("tries") + 1) != 1:
        return False
    delivery.tries += 1
    return True


def _start(turn: _Round, delivery: Delivery) -> bool:
    """Make the message here and have a thread send it. False where it cannot even be tried."""
    try:
        port = _port(delivery.channel)
        message = messaging.message_of(delivery)
    except (PermanentError, TemporaryError) as error:
        outcomes.record(delivery, "", error, turn.now)
        return False
    except ConfigError as error:
        fault = TemporaryError(f"the channel cannot be used as configured: {error}")
        outcomes.record(delivery, "", fault, turn.now)
        return False
    turn.running += 1
    name = f"send-{delivery.channel_name}"
    threading.Thread(target=_run, args=(turn, delivery, port, message), name=name, daemon=True).start()
    return True


def _port(channel: Channel | None) -> Sender:
    if channel is None:
        raise PermanentError("the channel was deleted")
    if not channel.enabled:
        raise PermanentError("the channel was disabled before the alert could be sent")
    return channel.build()


def _run(turn: _Round, delivery: Delivery, port: Sender, message: Message) -> None:
    done = _send(delivery, port, message)
    _in_flight.leave(delivery.channel_id)
    turn.done.put(done)


def _send(delivery: Delivery, port: Sender, message: Message) -> _Done:
    try:
        sent = port.send(message)
    except (PermanentError, TemporaryError) as error:
        return _Done(delivery, fault=error)
    except Exception as error:
        extra = {"action": "channel_broke", "channel": delivery.channel_name}
        logger.exception("channel broke", extra=extra)
        return _Done(delivery, fault=TemporaryError(f"the channel itself broke: {type(error).__name__}"))
    if isinstance(sent, Sent):
        return _Done(delivery, sent.answer, sent.thread_ref)
    return _Done(delivery, sent)


def settle_leftovers(now: datetime) -> None:
    """Settle what a process that died between recording and settling has left."""
    outcomes.settle_leftovers(now, LEASE)


__all__: Sequence[str] = ["LEASE", "send_due", "settle_leftovers"]
