"""Waiting with a deadline, in place of sleeping."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


class NotInTimeError(AssertionError):
    """What was waited for did not happen before the deadline."""


SHORTEST, LONGEST = 0.03, 0.12
"""Seconds between two looks: a tenth of what has passed, within these. More often costs the processor that is waited for."""


def until(condition: Callable[[], T], timeout: float, what: str, interval: float | None = None) -> T:
    """The first true value of `condition()`; NotInTimeError after `timeout` seconds.

    It is asked every `interval` seconds; without it often at first, then less so. An exception of the condition counts as
    "not yet"; the last one is shown when the deadline passes.
    """
    begun = time.monotonic()
    deadline = begun + timeout
    while True:
        last = _ask(condition)
        if last and not isinstance(last, _Raised):
            return last
        if time.monotonic() >= deadline:
            raise NotInTimeError(f"not within {timeout:g} s: {what}; last seen: {last!r}") from (
                last.error if isinstance(last, _Raised) else None
            )
        passed = time.monotonic() - begun
        time.sleep(interval or min(max(passed / 10, SHORTEST), LONGEST))


class _Raised:
    def __init__(self, error: Exception) -> None:
        self.error = error

    def __repr__(self) -> str:
        return f"{type(self.error).__name__}: {self.error}"


def _ask(condition: Callable[[], T]) -> T | _Raised:
    try:
        return condition()
    except Exception as error:
        return _Raised(error)
