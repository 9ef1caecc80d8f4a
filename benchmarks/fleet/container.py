"""One simulated container: plain state, changed only by `lifecycle`."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

from benchmarks.fleet.commands import Plan

LOG_LINES = 1000
NANOSECONDS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Check:
    """A HEALTHCHECK, with the engine's defaults filled in; durations in seconds."""

    test: tuple[str, ...]
    interval: float = 30.0
    timeout: float = 30.0
    start_period: float = 0.0
    retries: int = 3

    @property
    def argv(self) -> tuple[str, ...]:
        if self.test[0] == "CMD-SHELL":
            return ("/bin/sh", "-c", *self.test[1:])
        return self.test[1:]


@dataclass(frozen=True, slots=True)
class Spec:
    """What many containers may have in common: how they were created."""

    argv: tuple[str, ...]
    image: str
    plan: Plan
    check: Check | None = None
    policy: str = "no"
    policy_retries: int = 0
    stop_signal: str = ""
    stop_timeout: int | None = None
    network: str = "none"
    address: str = ""
    memory: int = 0


@dataclass(frozen=True, slots=True)
class Relapse:
    """A fault that a restart does not cure: what comes again after each start."""

    kind: str
    exit_code: int = 1


@dataclass(slots=True, eq=False)
class Container:
    """Times are nanoseconds since 1970 (the engine's clock), 0 for never.

    `health` is "" without a HEALTHCHECK; `verdict_ns` is when it last turned, `sick` what the next check will find.
    `row` is what the list shows of it, as it was last made; empty once something has changed.
    """

    id: str
    name: str
    labels: Mapping[str, str]
    spec: Spec
    created_ns: int
    status: str = "created"
    pid: int = 0
    exit_code: int = 0
    oom: bool = False
    error: str = ""
    started_ns: int = 0
    finished_ns: int = 0
    restart_count: int = 0
    health: str = ""
    verdict_ns: int = 0
    was_unhealthy: bool = False
    sick: bool = False
    complaint: str = ""
    by_hand: bool = False
    removed: bool = False
    relapse: Relapse | None = None
    log: deque[tuple[int, str]] | None = None
    answers: dict[tuple[str, ...], Plan] | None = None
    row: bytes = b""
    row_until_ns: int = 0
    check_timer: asyncio.TimerHandle | None = None
    main_timer: asyncio.TimerHandle | None = None
    lock: asyncio.Lock | None = None

    @property
    def is_up(self) -> bool:
        return self.status in ("running", "paused")

    def say(self, stream: int, text: str) -> None:
        """Add one line (with its end) to the container's log."""
        if self.log is None:
            self.log = deque(maxlen=LOG_LINES)
        self.log.append((stream, text))

    def forget_timers(self) -> None:
        self.expect_end(None)
        self.expect_verdict(None)

    def expect_end(self, timer: asyncio.TimerHandle | None) -> None:
        """`timer` will end the main process; a former one is forgotten."""
        if self.main_timer is not None:
            self.main_timer.cancel()
        self.main_timer = timer

    def expect_verdict(self, timer: asyncio.TimerHandle | None) -> None:
        """`timer` will give the HEALTHCHECK's verdict; a former one is forgotten."""
        if self.check_timer is not None:
            self.check_timer.cancel()
        self.check_timer = timer

    def turn(self, health: str, now_ns: int) -> None:
        self.was_unhealthy = self.health == "unhealthy"
        self.health, self.verdict_ns = health, now_ns


def now() -> int:
    """The engine's clock, in nanoseconds since 1970."""
    return time.time_ns()
