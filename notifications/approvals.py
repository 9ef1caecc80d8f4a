"""Approvals: whoever asks for one in an alert (`details["approval"]`) registers here who takes the answer."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

Handler = Callable[[str, str, bool, datetime], str]
"""(what waits, by whom, whether it is approved, now) → a sentence for the person, in Django's active language.

Called within a transaction that marks the link as used; raises Refused, having changed nothing, where it cannot be done.
"""

_handlers: dict[str, Handler] = {}


class Refused(Exception):
    """The answer is not taken; the text says why and what to do instead."""


def register(prefix: str, handler: Handler) -> None:
    """Have `handler` take the answers for what begins with `prefix` and a colon. Raise ValueError for a second one."""
    if _handlers.setdefault(prefix, handler) is not handler:
        raise ValueError(f"approvals of {prefix!r} have a handler already; choose another prefix")


def decide(what: str, by: str, approved: bool, now: datetime) -> str:
    """Approve or reject, and return a sentence for the person. Raise Refused where nobody takes it, or it is not taken."""
    handler = _handlers.get(what.partition(":")[0])
    if handler is None:
        raise Refused(f"Nothing here takes approvals of {what}.")
    return handler(what, by, approved, now)


__all__ = ["Handler", "Refused", "decide", "register"]
