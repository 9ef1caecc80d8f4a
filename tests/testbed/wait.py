"""Waiting with a deadline, in place of sleeping."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


class NotInTimeError(AssertionError):
    """What was waited for did not happen before the deadline."""


def until(condition: Callable[[], T], timeout: float, what: str, interval: float = 0.03) -> T:
    """The first true value of `condition()`; NotInTimeError after `timeout` seconds.

    An exception of the condition counts as "not yet"; the last one is shown when the deadline passes.
    """
    deadline = time.monotonic() + timeout
    while True:
        last = _ask(condition)
        if last and not isinstance(last, _Raised):
            return last
        if time.monotonic() >= deadline:
            raise NotInTimeError(f"not within {timeout:g} s: {what}; last seen: {last!r}") from (
                last.error if isinstance(last, _Raised) else None
            )
        time.sleep(interval)


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
