"""How many calls an engine was asked for at once, and how many a host's window had room for."""

from __future__ import annotations

import bisect
import itertools
import time
from collections.abc import Iterable, Sequence

from tests.testbed.proxy import Asked

WINDOW = 8
CLOCKS = 0.1
"""Seconds by which the proxy's clock and the database's may differ."""
COMES_WITHIN = 5.0
"""Seconds after its record in which a call comes to the engine; the same container's next one comes later."""

Later = tuple[str, float]
"""An attempt that was not the first in a row of its container: the engine's id of that, and when it was called."""


def too_many_at_once(calls: Iterable[Asked], later: Sequence[Later], cured: Sequence[float]) -> str:
    """What was called beside more than there was room for, or empty.

    First attempts share the window, which each verified heal of one opens by one (`cured`: when, in order); those of
    containers at a later attempt have one slot of their own.
    """
    first: list[Asked] = []
    repeated: list[Asked] = []
    for call in calls:
        (repeated if _is_later(call, later) else first).append(call)
    if most_at_once(repeated) > 1:
        return f"{most_at_once(repeated)} later attempts at once: {repeated}"
    now = time.time()
    for call in first:
        beside = sum(one.at <= call.at < (one.ended or now) for one in first)
        room = WINDOW + bisect.bisect(cured, call.at + CLOCKS)
        if beside > room:
            return f"{beside} calls at once at {call.at:.3f}, with room for {room}"
    return ""


def most_at_once(calls: Iterable[Asked]) -> int:
    now = time.time()
    edges = [edge for asked in calls for edge in ((asked.at, 1), (asked.ended or now, -1))]
    return max(itertools.accumulate(step for _, step in sorted(edges)), default=0)


def _is_later(call: Asked, later: Iterable[Later]) -> bool:
    return any(
        f"/containers/{engine_id}/" in call.line and -CLOCKS < call.at - at < COMES_WITHIN
        for engine_id, at in later
    )
