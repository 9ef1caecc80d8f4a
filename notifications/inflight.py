"""What the threads of this process are sending just now, also one that hangs from an earlier round."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta

from notifications.models import Delivery

Lane = tuple[int | None, bool]
"""A channel, and whether it is for what is critical: the two do not wait for each other."""

AT_ONCE = 4
"""Sends of this process in one lane at once: a channel that hangs holds no more threads."""
LEFT_ALONE = timedelta(hours=1)
"""When the place of a thread is used again that has not come back."""


@dataclass(eq=False, slots=True)
class Slot:
    """One thread's place in its lane."""

    lane: Lane
    begun: float = field(default_factory=time.monotonic)
    delivery: Delivery | None = None
    is_given_up: bool = False


class InFlight:
    """At most `AT_ONCE` threads in each lane; and which lanes somebody found full, whose deliveries are then for those
    that are sending.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._slots: defaultdict[Lane, list[Slot]] = defaultdict(list)
        self._missed: set[Lane] = set()

    def enter(self, lane: Lane) -> Slot | None:
        """None where it is full."""
        alive_since = time.monotonic() - LEFT_ALONE.total_seconds()
        with self._lock:
            slots = self._slots[lane] = [slot for slot in self._slots[lane] if slot.begun > alive_since]
            if len(slots) >= AT_ONCE:
                self._missed.add(lane)
                return None
            slots.append(slot := Slot(lane))
            return slot

    def leave(self, slot: Slot) -> None:
        with self._lock, suppress(ValueError):
            self._slots[slot.lane].remove(slot)

    def take_missed(self, lane: Lane) -> bool:
        """Whether somebody found the lane full; true for one who asks."""
        with self._lock:
            missed = lane in self._missed
            self._missed.discard(lane)
            return missed

    def hung(self, lease: timedelta) -> list[Delivery]:
        """What has been under way for longer than its lease; each once."""
        begun_before = time.monotonic() - lease.total_seconds()
        with self._lock:
            slots = [slot for slots in self._slots.values() for slot in slots]
            late = [slot for slot in slots if slot.begun < begun_before and not slot.is_given_up]
            for slot in late:
                slot.is_given_up = True
        return [slot.delivery for slot in late if slot.delivery is not None]
