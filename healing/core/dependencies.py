"""Which container needs which: a graph without cycles, and for whom a container waits while that fails. Pure.

Containers are numbers here. An edge says that its dependant needs its dependency.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from healing.core.types import Health, Lifecycle

Pair = tuple[int, int]
"""A dependant and its dependency."""


class OnReturn(StrEnum):
    """What happens to a dependant: held while its dependency fails; restarted too once that is back; or nothing at all."""

    HOLD = "hold"
    RESTART = "restart"
    NOTHING = "nothing"


class Origin(StrEnum):
    """Who says so. What is learned is learned anew with each registration; what a person wrote stays.

    BOTH: a person wrote it, and for as long as it lasts the network of that container is shared too.
    """

    COMPOSE = "compose"
    NETWORK = "network"
    MANUAL = "manual"
    BOTH = "both"

    @property
    def shares_network(self) -> bool:
        return self in (Origin.NETWORK, Origin.BOTH)

    @property
    def is_by_hand(self) -> bool:
        return self in (Origin.MANUAL, Origin.BOTH)


@dataclass(frozen=True, slots=True)
class Edge:
    """`group` tells the containers of one service, of which one that is healthy is enough; None: this one alone.

    `is_job`: the dependency has to have ended well once, and holds nobody by being stopped.
    """

    dependant: int
    dependency: int
    on_return: OnReturn = OnReturn.HOLD
    origin: Origin = Origin.MANUAL
    group: int | None = None
    is_job: bool = False

    @property
    def holds(self) -> bool:
        return self.on_return is not OnReturn.NOTHING


@dataclass(frozen=True, slots=True)
class Member:
    """How a dependency stands. `failure` is its open found failure."""

    name: str
    health: Health = Health.UNKNOWN
    lifecycle: Lifecycle = Lifecycle.RUNNING
    failure: int | None = None


@dataclass(frozen=True, slots=True)
class Waiting:
    """For whom a container waits, and why in words such as "stopped by hand"; empty where it simply fails."""

    dependency: int
    why: str = ""


class Graph:
    """All edges by both ends, but for those that close a cycle: rows written at the same moment may."""

    def __init__(self, edges: Sequence[Edge]) -> None:
        pairs = [(edge.dependant, edge.dependency) for edge in edges]
        kept = set(accepted((), pairs)[0])
        self._needs: dict[int, list[Edge]] = defaultdict(list)
        self._needed_by: dict[int, list[Edge]] = defaultdict(list)
        for edge in edges:
            if (edge.dependant, edge.dependency) in kept:
                self._needs[edge.dependant].append(edge)
                self._needed_by[edge.dependency].append(edge)

    def needs(self, container: int) -> Sequence[Edge]:
        """What a container needs."""
        return self._needs.get(container, ())

    def needed_by(self, container: int) -> Sequence[Edge]:
        """What needs a container."""
        return self._needed_by.get(container, ())

    def behind(self, container: int, limit: int = 50) -> list[int]:
        """What holds a container while it fails, be it through others; the nearest first, `limit` at the most."""
        found = [container]
        for each in found:
            needed = [edge.dependency for edge in self.needs(each) if edge.holds]
            found += [other for other in dict.fromkeys(needed) if other not in found]
            if len(found) > limit:
                break
        return found[1 : limit + 1]


_STOPPED: Mapping[Lifecycle, str] = {
    Lifecycle.EXITED: "stopped",
    Lifecycle.DEAD: "dead",
    Lifecycle.QUARANTINED: "quarantined",
    Lifecycle.STOPPED_BY_HAND: "stopped by hand",
}


def cycle(pairs: Iterable[Pair], new: Pair) -> tuple[int, ...]:
    """The containers of the cycle that `new` would close, its dependant first and last; empty where there is none."""
    needs = _needs(pairs)
    dependant, dependency = new
    path = _path(needs, dependency, dependant)
    return (dependant, *path) if path else ()


def in_words(path: Sequence[int], names: Mapping[int, str]) -> str:
    """A cycle for people: "a needs b needs c needs a"."""
    return " needs ".join(names.get(each, f"#{each}") for each in path)


def accepted(kept: Sequence[Pair], proposed: Sequence[Pair]) -> tuple[list[Pair], list[tuple[int, ...]]]:
    """Those of `proposed` that close no cycle, the first ones first, and the cycles that the others would close."""
    pairs = [*kept, *proposed]
    tangled = set(_sorted((each for pair in pairs for each in pair), pairs)[1])  # usually none
    taken, refused = [], []
    within = [pair for pair in kept if pair[0] in tangled and pair[1] in tangled]
    for pair in proposed:
        path = cycle(within, pair) if pair[0] in tangled and pair[1] in tangled else ()
        if path:
            refused.append(path)
            continue
        taken.append(pair)
        within.append(pair)
    return taken, refused


def order(containers: Iterable[int], pairs: Iterable[Pair]) -> list[int]:
    """The containers, each after all that it needs, otherwise as they come. Those of a cycle come last."""
    in_order, rest = _sorted(containers, pairs)
    return in_order + rest


def waits_for(edges: Sequence[Edge], members: Mapping[int, Member]) -> Waiting | None:
    """For which of its dependencies a container waits: one that fails, and that no healthy one of its service stands in for.

    `edges` are the container's own. A dependency that `members` does not know holds nobody, as one of which nothing is known.
    """
    groups: dict[tuple[str, int], list[Edge]] = defaultdict(list)
    for edge in edges:
        if edge.holds and edge.dependency in members:
            key = ("service", edge.group) if edge.group is not None else ("container", edge.dependency)
            groups[key].append(edge)
    for group in groups.values():
        if any(_is_well(members[edge.dependency]) for edge in group):
            continue
        failing = [(edge, _fails(edge, members[edge.dependency])) for edge in group]
        for edge, why in failing:
            if why is not None:
                return Waiting(edge.dependency, why)
    return None


def _is_well(member: Member) -> bool:
    return member.failure is None and member.health is Health.HEALTHY and member.lifecycle not in _STOPPED


def _fails(edge: Edge, member: Member) -> str | None:
    """Why a dependency fails, empty where that is on record; None where it does not, or nothing is known."""
    if member.failure is not None:
        return ""
    if member.lifecycle in _STOPPED:
        is_at_rest = member.lifecycle in (Lifecycle.EXITED, Lifecycle.STOPPED_BY_HAND)
        return None if edge.is_job and is_at_rest else _STOPPED[member.lifecycle]
    return (
        "unhealthy" if member.health is Health.UNHEALTHY and member.lifecycle is not Lifecycle.GONE else None
    )


def _needs(pairs: Iterable[Pair]) -> dict[int, list[int]]:
    needs: dict[int, list[int]] = defaultdict(list)
    for dependant, dependency in pairs:
        needs[dependant].append(dependency)
    return needs


def _path(needs: Mapping[int, Sequence[int]], start: int, end: int) -> tuple[int, ...]:
    """The shortest way from one container to another that it needs, both included; empty where there is none."""
    came_from: dict[int, int | None] = {start: None}
    waiting = [start]
    for each in waiting:
        if each == end:
            return _back(came_from, end)
        for following in needs.get(each, ()):
            if following not in came_from:
                came_from[following] = each
                waiting.append(following)
    return ()


def _back(came_from: Mapping[int, int | None], end: int) -> tuple[int, ...]:
    path: list[int] = []
    step: int | None = end
    while step is not None:
        path.append(step)
        step = came_from[step]
    return tuple(reversed(path))


def _sorted(containers: Iterable[int], pairs: Iterable[Pair]) -> tuple[list[int], list[int]]:
    """The containers that can be put in order, and the rest: those of cycles, and what needs them."""
    wanted = list(dict.fromkeys(containers))
    left = dict.fromkeys(wanted, 0)
    needed_by: dict[int, list[int]] = defaultdict(list)
    for dependant, dependency in set(pairs):
        if dependant in left and dependency in left:
            left[dependant] += 1
            needed_by[dependency].append(dependant)
    in_order = [each for each in wanted if not left[each]]
    for each in in_order:
        for dependant in needed_by[each]:
            left[dependant] -= 1
            if not left[dependant]:
                in_order.append(dependant)
    return in_order, [each for each in wanted if left[each]]
