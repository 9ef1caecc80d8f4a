"""Probes again and again, each at its own interval, in one event loop that nobody else uses."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Hashable, Mapping
from contextlib import suppress
from dataclasses import dataclass

from healing.core.closely import next_turn
from healing.core.ports import Probe
from healing.core.types import ProbeResult, ProbeTarget
from healing.probes.run import LoopLag, run_guarded
from healing.probes.threads import call_in_thread

LOCATE_AGAIN = 1.0
LOCATE_TIMEOUT = 15.0

OnResult = Callable[[int, ProbeResult], bool]
"""Takes a container's key and a result, and says whether whoever waits is to be woken. Called in the loop: it must be quick."""


@dataclass(frozen=True, slots=True)
class Repeated:
    """One probe with its turns: epoch seconds that are `offset` plus whole intervals. Durations in seconds."""

    probe: Probe
    interval: float
    offset: float
    timeout: float


@dataclass(frozen=True, slots=True)
class Watched:
    """One container; with another `marker` it is another one.

    `locate` is called where its `target` is not known: it may block, may raise, and answers None where the container
    is not to be asked now.
    """

    marker: Hashable
    probes: tuple[Repeated, ...]
    locate: Callable[[], ProbeTarget | None]
    target: ProbeTarget | None = None


class Rounds:
    """Made by `asyncio.Runner.run(Rounds.begin(…))`; between two calls of `wait` nothing goes on.

    A probe is not asked again before it has answered.
    """

    def __init__(self, on_result: OnResult) -> None:
        self._loop = asyncio.get_running_loop()
        self._on_result = on_result
        self._news = asyncio.Event()
        self._lag = LoopLag()
        self._watching = self._loop.create_task(self._lag.watch())
        self._running: dict[int, tuple[Hashable, asyncio.Task[None]]] = {}

    @classmethod
    async def begin(cls, on_result: OnResult) -> Rounds:
        return cls(on_result)

    def keep(self, wanted: Mapping[int, Watched]) -> None:
        """From now on these containers, by key: those that are watched as wanted go on undisturbed.

        One that was not to be asked is located again.
        """
        for key, (marker, task) in list(self._running.items()):
            if key not in wanted or wanted[key].marker != marker or task.done():
                task.cancel()
                del self._running[key]
        for key, watched in wanted.items():
            if key not in self._running:
                self._running[key] = (watched.marker, self._loop.create_task(self._watch(key, watched)))

    async def wait(self, longest: float) -> None:
        """Let probes run until there is news, or somebody calls `wake`, or `longest` seconds are over."""
        with suppress(TimeoutError):
            async with asyncio.timeout(longest):
                await self._news.wait()
        self._news.clear()

    def wake(self) -> None:
        """End the waiting, from any thread; of a loop that has ended nobody waits."""
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._news.set)

    async def _watch(self, key: int, watched: Watched) -> None:
        target = watched.target or await _located(watched)
        if target is not None:
            async with asyncio.TaskGroup() as group:
                for repeated in watched.probes:
                    group.create_task(self._repeat(key, repeated, target))

    async def _repeat(self, key: int, repeated: Repeated, target: ProbeTarget) -> None:
        while True:
            now = time.time()
            await asyncio.sleep(next_turn(now, repeated.interval, repeated.offset) - now)
            result = await run_guarded(repeated.probe, target, repeated.timeout, self._lag)
            if self._on_result(key, result):
                self._news.set()


async def _located(watched: Watched) -> ProbeTarget | None:
    """Where its probes go. An engine that hangs holds up this container alone."""
    while True:
        try:
            async with asyncio.timeout(LOCATE_TIMEOUT):
                return await call_in_thread(watched.locate)
        except (
            Exception
        ):  # the engine's trouble is told by checks; here there is nothing to do but to ask later
            await asyncio.sleep(LOCATE_AGAIN)
