"""The route tree as Alertmanager's: which ways an alert goes, and into which group of each."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TypeVar

from notifications.core.errors import ConfigError
from notifications.core.matchers import Matcher, all_match

GROUP_WAIT = timedelta(seconds=30)
GROUP_INTERVAL = timedelta(minutes=5)
REPEAT_INTERVAL = timedelta(hours=4)
ALL_LABELS = "..."
"""As a grouping label: every label, so that each alert is a group of its own."""

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class RouteNode:
    """One route with its children, in their order. None means: as the parent has it.

    Time intervals are the route's own and reach no child.
    """

    id: int
    name: str
    matchers: tuple[Matcher, ...] = ()
    receiver_id: int | None = None
    group_by: tuple[str, ...] | None = None
    continue_matching: bool = False
    group_wait: timedelta | None = None
    group_interval: timedelta | None = None
    repeat_interval: timedelta | None = None
    mute_intervals: tuple[int, ...] = ()
    active_intervals: tuple[int, ...] = ()
    children: tuple[RouteNode, ...] = ()


@dataclass(frozen=True, slots=True)
class Way:
    """The route that takes an alert, with all that it inherits. `path` and `names` lead from the root to it.

    No receiver means every enabled channel that takes the level.
    """

    route_id: int
    path: tuple[int, ...]
    names: tuple[str, ...]
    receiver_id: int | None = None
    group_by: tuple[str, ...] = ()
    group_wait: timedelta = GROUP_WAIT
    group_interval: timedelta = GROUP_INTERVAL
    repeat_interval: timedelta = REPEAT_INTERVAL
    mute_intervals: tuple[int, ...] = ()
    active_intervals: tuple[int, ...] = ()


def ways(root: RouteNode, labels: Mapping[str, str]) -> tuple[Way, ...]:
    """Every way that an alert with these labels goes, in the tree's order; at least one.

    Depth first: the first child that matches takes it, and further ones too where that child says `continue`; where no
    child matches, the route itself takes it. A root with matchers raises ConfigError: it must take everything.
    """
    if root.matchers:
        raise ConfigError(
            "matchers", "the root route takes every alert; move its matchers to a route below it"
        )
    return _match(root, labels, Way(root.id, (), ()))


def all_ways(root: RouteNode) -> tuple[Way, ...]:
    """The way to each route, the root's first, whether or not an alert would stop there."""
    return _below(root, Way(root.id, (), ()))


def group_labels(way: Way, labels: Mapping[str, str]) -> dict[str, str]:
    """The labels that the alerts of a group share, sorted by name; those that this alert lacks are left out."""
    names = labels if ALL_LABELS in way.group_by else set(way.group_by)
    return {name: labels[name] for name in sorted(names) if labels.get(name)}


def group_key(way: Way, labels: Mapping[str, str]) -> str:
    """The same for all alerts of one group, and different for any other route or grouping: 64 hexadecimal digits."""
    shared = [list(way.path), list(group_labels(way, labels).items())]
    text = json.dumps(shared, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _match(node: RouteNode, labels: Mapping[str, str], parent: Way) -> tuple[Way, ...]:
    if not all_match(node.matchers, labels):
        return ()
    way = _extended(parent, node)
    found: tuple[Way, ...] = ()
    for child in node.children:
        taken = _match(child, labels, way)
        found += taken
        if taken and not child.continue_matching:
            break
    return found or (way,)


def _below(node: RouteNode, parent: Way) -> tuple[Way, ...]:
    way = _extended(parent, node)
    return (way, *(each for child in node.children for each in _below(child, way)))


def _extended(parent: Way, node: RouteNode) -> Way:
    """The way to `node`: what it says itself, and for the rest what its parent has."""
    return replace(
        parent,
        route_id=node.id,
        path=(*parent.path, node.id),
        names=(*parent.names, node.name),
        receiver_id=_first(node.receiver_id, parent.receiver_id),
        group_by=_first(node.group_by, parent.group_by),
        group_wait=_first(node.group_wait, parent.group_wait),
        group_interval=_first(node.group_interval, parent.group_interval),
        repeat_interval=_first(node.repeat_interval, parent.repeat_interval),
        mute_intervals=node.mute_intervals,
        active_intervals=node.active_intervals,
    )


def _first(own: _T | None, inherited: _T) -> _T:
    return inherited if own is None else own
