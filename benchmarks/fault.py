"""One fault on a container of its own, timed by the engine's own event log."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from benchmarks.healers import DIE, LABELS, UNHEALTHY, Healer
from tests.testbed import faults
from tests.testbed.containers import Containers, healthcheck

HEALTH_INTERVAL = 1.0
"""Seconds between two runs of a container's HEALTHCHECK: quick to fail, yet no load."""
DEADLINE = 60.0
KINDS = {"unhealthy": UNHEALTHY, "die": DIE}


@dataclass(frozen=True, slots=True)
class Healed:
    """One fault: times in seconds since the epoch, by the engine's clock."""

    container: str
    fault_at: float
    act_at: float | None
    start_at: float

    @property
    def milliseconds(self) -> float:
        """From the fault to the start."""
        return (self.start_at - self.fault_at) * 1000

    @property
    def reaction(self) -> float | None:
        """Milliseconds until the engine acted upon what the healer told it; None after a `die`, where a start is all."""
        return None if self.act_at is None else (self.act_at - self.fault_at) * 1000


def heal_one(containers: Containers, healer: Healer, kind: str, name: str, delay: float = 0.0) -> Healed:
    """Start a container, break it after `delay` seconds, wait until it runs again and the healer is done, remove it.

    A container of its own for each fault, because a second failure of the same one is met with back-off.
    """
    check = healthcheck(faults.HEALTH_FILE, interval=HEALTH_INTERVAL)
    container = containers.run_web(name, labels=LABELS, healthcheck=check)
    healer.wait_known(containers.name(name))
    try:
        time.sleep(delay)
        fault_at, act_at, start_at = _break_and_time(containers, container, kind)
        containers.wait_health(container, "healthy")
        healer.wait_settled(containers.name(name))
    finally:
        containers.client.remove_container(container, force=True)
    return Healed(containers.name(name), fault_at, act_at, start_at)


def _break_and_time(containers: Containers, container: str, kind: str) -> tuple[float, float | None, float]:
    """When the fault was, when the engine sent the stop signal of a restart, when it had started the container."""
    wanted = ["health_status", "die", "kill", "start"]
    events = containers.client.events(decode=True, filters={"container": container, "event": wanted})
    timer = threading.Timer(DEADLINE, events.close)
    timer.start()
    try:
        if kind == "die":
            containers.kill_from_outside(container)
        else:
            containers.exec(container, faults.BREAK_HEALTH)
        fault_at = _time_of(events, KINDS[kind])
        act_at = None if kind == "die" else _time_of(events, "kill")
        return fault_at, act_at, _time_of(events, "start")
    finally:
        timer.cancel()
        events.close()


def _time_of(events: Iterator[dict[str, Any]], action: str) -> float:
    """The engine's time of the next event of this kind."""
    for event in events:
        if event["Action"] == action:
            return float(event["timeNano"]) / 1e9
    raise SystemExit(f"no event {action!r} within {DEADLINE:g} s of a fault: this container was not healed")
