"""A fleet in a thread of its own, for tests and for benchmarks in one process."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from benchmarks.fleet.fleet import Fleet, opened
from benchmarks.fleet.settings import FleetSettings

T = TypeVar("T")


class FleetThread:
    """Runs what it is given in the fleet's event loop, and waits for the result."""

    def __init__(self, fleet: Fleet, loop: asyncio.AbstractEventLoop) -> None:
        self._fleet = fleet
        self._loop = loop

    def do(self, action: Callable[[Fleet], T]) -> T:
        async def call() -> T:
            return action(self._fleet)

        return asyncio.run_coroutine_threadsafe(call(), self._loop).result(30)

    def wait(self, action: Callable[[Fleet], Awaitable[T]]) -> T:
        """As `do`, for what is awaited (`take_down`, `bring_up`)."""

        async def call() -> T:
            return await action(self._fleet)

        return asyncio.run_coroutine_threadsafe(call(), self._loop).result(30)


@contextmanager
def running(settings: FleetSettings) -> Iterator[FleetThread]:
    """A fleet that answers until the end of the block."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="fleet", daemon=True)
    thread.start()
    try:
        fleet = asyncio.run_coroutine_threadsafe(opened(settings), loop).result(60)
        yield FleetThread(fleet, loop)
        asyncio.run_coroutine_threadsafe(fleet.close(), loop).result(30)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()
