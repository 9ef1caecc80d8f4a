"""How long a fault lasts, and waiting with a deadline that says at its end how things stand."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TypeVar

from tests.testbed.wait import NotInTimeError, until

T = TypeVar("T")
LONG = os.environ.get("LONG", "").lower() in ("1", "true", "yes")
"""Every fault in its full length, and those that run only then."""


def wait(condition: Callable[[], T], timeout: float, shown: Callable[[], str]) -> T:
    """As `until`; what is `shown` is made when the deadline has passed."""
    try:
        return until(condition, timeout, "see below", interval=0.1)
    except NotInTimeError as error:
        raise NotInTimeError(f"{error}\n{shown()}") from error
