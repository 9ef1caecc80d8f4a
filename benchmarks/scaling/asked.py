"""What the engines were asked, read from the simulator's log: when each container was looked at, and by how many calls."""

from __future__ import annotations

import json
import math
import re
from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

LIST, INSPECT = "list", "inspect"
TICK = 1.0
_VERSION = re.compile(r"^/v\d+\.\d+")
_OF_CONTAINER = re.compile(r"/containers/([^/]+)/(\w+)")


@dataclass(frozen=True, slots=True)
class Request:
    """One answered request; `at` in seconds since 1970, `what` as "list", "inspect", "restart", "ping" …"""

    engine: str
    at: float
    what: str
    container: str = ""


@dataclass(frozen=True, slots=True)
class Span:
    """From `begin` to `end`, in seconds since 1970."""

    begin: float
    end: float

    def __contains__(self, at: float) -> bool:
        return self.begin <= at < self.end

    @property
    def seconds(self) -> float:
        return self.end - self.begin


@dataclass(frozen=True, slots=True)
class Lateness:
    """Seconds between two looks at a container, over all containers; how many were ever left for over two intervals."""

    p50: float
    p99: float
    longest: float
    late_containers: int


@dataclass(frozen=True, slots=True)
class Calls:
    """What was asked within one span.

    `lists_per_interval` is per engine; `lists_in_a_tick` is the most that one engine got within one second.
    `inspects_of_unchanged` are of containers that nothing had befallen.
    """

    lists: int
    lists_per_interval: float
    lists_in_a_tick: int
    inspects: int
    inspects_of_unchanged: int
    others: Mapping[str, int] = field(default_factory=dict)


def read(path: Path) -> list[Request]:
    """The answered requests of a dump's requests.jsonl, oldest first for each engine."""
    with path.open() as lines:
        rows = (json.loads(line) for line in lines)
        return [_request(row) for row in rows if 200 <= row["status"] < 300]


def _request(row: Mapping[str, object]) -> Request:
    path = _VERSION.sub("", str(row["path"]).partition("?")[0])
    engine, at = str(row["engine"]), float(str(row["at"]))
    if path == "/containers/json":
        return Request(engine, at, LIST)
    if found := _OF_CONTAINER.fullmatch(path):
        return Request(engine, at, INSPECT if found[2] == "json" else found[2], found[1])
    return Request(engine, at, "exec" if path.startswith("/exec/") else path.strip("/_"))


def calls(requests: Iterable[Request], span: Span, interval: float, engines: int, changed: set[str]) -> Calls:
    """Count what was asked within `span`; `changed` are ids and names of the containers that had a fault."""
    chosen = [one for one in requests if one.at in span]
    counts = Counter(one.what for one in chosen)
    inspects = [one for one in chosen if one.what == INSPECT]
    return Calls(
        lists=counts.pop(LIST, 0),
        lists_per_interval=sum(one.what == LIST for one in chosen) / engines / (span.seconds / interval),
        lists_in_a_tick=max((_crowd(times) for times in _list_times(chosen).values()), default=0),
        inspects=counts.pop(INSPECT, 0),
        inspects_of_unchanged=sum(one.container not in changed for one in inspects),
        others=dict(counts),
    )


def lateness(
    requests: Sequence[Request], span: Span, interval: float, names: Mapping[str, Mapping[str, str]]
) -> Lateness:
    """How regularly each container was looked at: by a list call of its engine, or an inspection.

    `names`: engine -> id -> name of all its containers. What began before the span counts from the look before it.
    """
    lists, inspects = _list_times(requests), _inspect_times(requests)
    weighted: list[tuple[float, int]] = []
    late = 0
    for engine, containers in names.items():
        plain = 0
        shared = _gaps(lists.get(engine, []), span)
        for identity, name in containers.items():
            own = inspects.get((engine, identity), []) + inspects.get((engine, name), [])
            if not own:
                plain += 1
                continue
            gaps = _gaps(sorted([*lists.get(engine, []), *own]), span)
            weighted += [(gap, 1) for gap in gaps]
            late += max(gaps) > 2 * interval
        weighted += [(gap, plain) for gap in shared if plain]
        late += plain * (max(shared) > 2 * interval)
    weighted.sort()
    return Lateness(_share(weighted, 50), _share(weighted, 99), _share(weighted, 100), late)


def _list_times(requests: Iterable[Request]) -> dict[str, list[float]]:
    times: dict[str, list[float]] = defaultdict(list)
    for one in requests:
        if one.what == LIST:
            times[one.engine].append(one.at)
    return {engine: sorted(found) for engine, found in times.items()}


def _inspect_times(requests: Iterable[Request]) -> dict[tuple[str, str], list[float]]:
    times: dict[tuple[str, str], list[float]] = defaultdict(list)
    for one in requests:
        if one.what == INSPECT:
            times[one.engine, one.container].append(one.at)
    return times


def _gaps(times: Sequence[float], span: Span) -> list[float]:
    """Between the sorted looks, from the last before the span (or its begin) to its end."""
    first = bisect_right(times, span.begin)
    begin = times[first - 1] if first else span.begin
    inside = times[first : bisect_left(times, span.end)]
    marks = [begin, *inside, span.end]
    return [after - before for before, after in pairwise(marks)]


def _crowd(times: Sequence[float]) -> int:
    """The most within any span of one tick."""
    return max(bisect_left(times, at + TICK) - number for number, at in enumerate(times))


def _share(weighted: Sequence[tuple[float, int]], percent: float) -> float:
    """The nearest-rank percentile of sorted (value, weight); 0 of none."""
    left = max(math.ceil(sum(weight for _, weight in weighted) * percent / 100), 1)
    for value, weight in weighted:
        left -= weight
        if left <= 0:
            return value
    return 0.0
