"""Blocking calls beside the event loop, in daemon threads: one that hangs holds up neither the loop nor its end."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")


async def call_in_thread(function: Callable[[], T]) -> T:
    """Run `function` in a thread of its own; cancelling the wait leaves the thread to end by itself.

    Raise RuntimeError when no thread can be started.
    """
    future: Future[T] = Future()
    threading.Thread(target=_work, args=(function, future), name="probe-call", daemon=True).start()
    return await asyncio.wrap_future(future)


def _work(function: Callable[[], T], future: Future[T]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        answer = function()
    except BaseException as error:
        future.set_exception(error)
    else:
        future.set_result(answer)
