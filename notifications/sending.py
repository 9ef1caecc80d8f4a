"""Sending what is due: claim, send, record. Each channel in threads of its own, so that a slow one delays no other.

A claim is a conditional UPDATE that moves `next_try_at` to the end of a lease and counts the try. A process that
dies in between costs the lease; the message is then sent again with the same id. Threads only send; the database is
read and written by the caller's thread, and no transaction is open while a channel sends. Only a thread that comes
back when its round is over writes down by itself what came of it.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from django.db import DatabaseError, connection
from django.db.models import F

from notifications import limiting, messaging, outcomes
from notifications.clock import db_now
from notifications.core.alert import Message
from notifications.core.errors import ConfigError, PermanentError, TemporaryError
from notifications.core.ports import Sender, Sent
from notifications.due import lane_of, next_of_all
from notifications.inflight import InFlight, Lane, Slot
from notifications.models import Channel, Delivery, DeliveryState

LEASE = timedelta(seconds=60)
"""Longer than any channel may take to send."""
Fault = PermanentError | TemporaryError

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Done:
    """What came of one send: an answer, or the fault."""

    delivery: Delivery
    answer: str = ""
    thread_ref: str = ""
    fault: Fault | None = None


_in_flight = InFlight()


@dataclass
class _Round:
    """One round: what waits for each channel, and what comes back from the threads.

    Its time is the database's as of `begun_at`, carried on by the steady clock; or stands still where it is `fixed`.
    """

    fixed: datetime | None
    begun_at: datetime
    waiting: dict[Lane, deque[Delivery]] = field(default_factory=dict)
    channels: dict[int | None, Channel | None] = field(default_factory=dict)
    done: queue.SimpleQueue[_Done] = field(default_factory=queue.SimpleQueue)
    running: int = 0
    tried: int = 0
    is_over: bool = False
    _begun: float = field(default_factory=time.monotonic)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def now(self) -> datetime:
        return self.fixed or self.begun_at + timedelta(seconds=time.monotonic() - self._begun)

    def add(self, delivery: Delivery) -> None:
        """All of a channel share its object, so that what one send has shown of it is known to the next."""
        delivery.channel = self.channels.setdefault(delivery.channel_id, delivery.channel)
        self.waiting.setdefault(lane_of(delivery), deque()).append(delivery)

    def hand_in(self, done: _Done) -> bool:
        """False where nobody waits for it any more."""
        with self._lock:
            if not self.is_over:
                self.done.put(done)
            return not self.is_over

    def close(self) -> list[_Done]:
        """End it; what has come in and was not looked at."""
        with self._lock:
            self.is_over = True
        left = []
        while not self.done.empty():
            left.append(self.done.get())
        return left


def send_due(fixed: datetime | None, seconds: float, only: Iterable[UUID] | None = None) -> int:
    """Send what is due, of each channel what is critical and then the oldest first, for about `seconds`; return how many
    sends were tried.

    `only`: deliveries of those messages. `fixed`: the time instead of the database's. A channel that fails for now is left
    out of the rest of the round.
    """
    turn = _Round(fixed, fixed or db_now())
    try:
        _give_up_on_hung(turn.now)
        for delivery in next_of_all(turn.now, only):
            turn.add(delivery)
        end = time.monotonic() + seconds
        for lane in list(turn.waiting):
            if time.monotonic() < end:
                _next(turn, lane)
        while turn.running and (left := end - time.monotonic()) > 0:
            try:
                done = turn.done.get(timeout=left)
            except queue.Empty:
                break
            turn.running -= 1
            _write_down(done, turn.now)
            if not isinstance(done.fault, TemporaryError):
                _go_on(turn, lane_of(done.delivery))
    finally:
        for done in turn.close():
            _write_down(done, turn.now)
    return turn.tried


def _go_on(turn: _Round, lane: Lane) -> None:
    """The next of this channel; what others could not start because it was full is ours."""
    if not turn.waiting[lane] and _in_flight.take_missed(lane):
        for delivery in next_of_all(turn.now).filter(channel=lane[0]):
            if lane_of(delivery) == lane:
                turn.add(delivery)
    _next(turn, lane)


def _next(turn: _Round, lane: Lane) -> None:
    """Start the next send to a channel, if it has one that is free and within its limit."""
    waiting = turn.waiting[lane]
    while waiting:
        slot = _in_flight.enter(lane)
        if slot is None:
            return
        try:
            is_started = _claim_and_start(turn, waiting, slot)
        except BaseException:
            _in_flight.leave(slot)
            raise
        if is_started:
            return
        _in_flight.leave(slot)


def _claim_and_start(turn: _Round, waiting: deque[Delivery], slot: Slot) -> bool:
    delivery = waiting.popleft()
    counts = limiting.counts(delivery)
    if not _claim(delivery, turn.now):
        return False
    if counts and not limiting.allows(delivery, turn.now):
        _put_off(turn, delivery, waiting)
        return False
    turn.tried += 1
    slot.delivery = delivery
    return _start(turn, delivery, slot)


def _put_off(turn: _Round, delivery: Delivery, waiting: deque[Delivery]) -> None:
    """All that waits for a channel at its limit comes in one summary, once the limit allows it."""
    claimed = Delivery.objects.filter(pk=delivery.pk, state=DeliveryState.PENDING, tries=delivery.tries)
    claimed.update(next_try_at=turn.now, tries=F("tries") - 1)
    delivery.tries -= 1
    limiting.put_off([delivery, *filter(limiting.counts, waiting)], turn.now)
    rest = [each for each in waiting if not limiting.counts(each)]
    waiting.clear()
    waiting.extend(rest)


def _claim(delivery: Delivery, now: datetime) -> bool:
    """Take the delivery for the length of the lease; exactly one of many claimants gets it."""
    row = Delivery.objects.filter(pk=delivery.pk, state=DeliveryState.PENDING, next_try_at__lte=now)
    if row.filter(tries=delivery.tries).update(next_try_at=now + LEASE, tries=F("tries") + 1) != 1:
        return False
    delivery.tries += 1
    return True


def _start(turn: _Round, delivery: Delivery, slot: Slot) -> bool:
    """Make the message here and have a thread send it. False where it cannot even be tried."""
    try:
        port = _port(delivery.channel)
    except (PermanentError, TemporaryError) as error:
        outcomes.record(delivery, "", error, turn.now)
        return False
    except Exception as error:
        fault = TemporaryError(f"the channel cannot be used as configured: {_said(error)}")
        outcomes.record(delivery, "", fault, turn.now)
        turn.waiting[lane_of(delivery)].clear()
        return False
    try:
        message = messaging.message_of(delivery)
    except DatabaseError:
        raise
    except Exception as error:
        logger.exception(
            "a message cannot be made", extra={"action": "message_broke", "delivery": delivery.pk}
        )
        outcomes.record(
            delivery, "", outcomes.Unmade(f"it cannot be put into words: {_said(error)}"), turn.now
        )
        return False
    turn.running += 1
    name = f"send-{delivery.channel_name}"
    threading.Thread(target=_run, args=(turn, slot, port, message), name=name, daemon=True).start()
    return True


def _said(error: Exception) -> str:
    """A fault of ours by its name only, as its text may hold anything."""
    return str(error) if isinstance(error, ConfigError) else type(error).__name__


def _port(channel: Channel | None) -> Sender:
    if channel is None:
        raise PermanentError("the channel was deleted")
    if not channel.enabled:
        raise PermanentError("the channel was disabled before the alert could be sent")
    return channel.build()


def _run(turn: _Round, slot: Slot, port: Sender, message: Message) -> None:
    assert slot.delivery is not None
    done = _send(slot.delivery, port, message)
    _in_flight.leave(slot)
    if not turn.hand_in(done):
        _write_down_late(turn, done)


def _write_down(done: _Done, now: datetime) -> None:
    outcomes.record(done.delivery, done.answer, done.fault, now)
    messaging.note_thread(done.delivery, done.thread_ref)


def _write_down_late(turn: _Round, done: _Done) -> None:
    """Nobody waits for this thread any more: without its own record the message would be sent again."""
    try:
        _write_down(done, turn.now)
    except Exception:
        extra = {"action": "late_answer_lost", "channel": done.delivery.channel_name}
        logger.exception("what came of a send could not be recorded; it is sent again", extra=extra)
    finally:
        connection.close()


def _give_up_on_hung(now: datetime) -> None:
    """A thread that is not back when its lease is over is left alone, and its channel has failed."""
    for delivery in _in_flight.hung(LEASE):
        fault = TemporaryError(f"the channel did not come back within {LEASE.total_seconds():g} s")
        outcomes.record(delivery, "", fault, now)


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


__all__ = ["LEASE", "send_due"]
