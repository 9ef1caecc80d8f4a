"""SIGTERM and Ctrl-C as an event to wait for."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


@contextmanager
def stop_on_signals(stopping: threading.Event) -> Iterator[None]:
    """Set `stopping` on SIGTERM or Ctrl-C; a third one ends the process at once. For the main thread only."""
    # Python runs handlers in the main thread only, which may sleep in a lock without noticing, or hold the very
    # lock that the handler would need. The wake-up descriptor is written by the kernel's handler, in any thread.
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    listener = threading.Thread(target=_listen, args=(reader, stopping), name="signals", daemon=True)
    listener.start()
    previous = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    before = {number: signal.signal(number, _ignore) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(previous)
        os.close(writer)
        listener.join()
        os.close(reader)


def _listen(reader: int, stopping: threading.Event) -> None:
    seen = 0
    while number := os.read(reader, 1):
        if number[0] in _SIGNALS:
            seen += 1
            stopping.set()
        if seen > 2:
            os._exit(128 + number[0])


def _ignore(_: int, __: FrameType | None) -> None:
    """A handler must be there for the wake-up descriptor to be written."""
