"""The route tree, time intervals and silences, read from the database into what the core decides with."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from notifications.core.errors import ConfigError
from notifications.core.intervals import Interval
from notifications.core.matchers import Matcher, parse_matchers
from notifications.core.muting import InhibitRule, SilenceRule
from notifications.core.routing import (
    GROUP_INTERVAL,
    GROUP_WAIT,
    REPEAT_INTERVAL,
    RouteNode,
    Way,
    all_ways,
    ways,
)
from notifications.models import EscalationStep, Receiver, Route, Silence, TimeInterval
from notifications.models import InhibitRule as InhibitRow

ROOT = "everything"
DEFAULT_GROUP_BY = ["alertname", "host", "project"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Tree:
    """The routes as they are now, with what they name. `steps` holds the escalation of those that have one."""

    root: RouteNode
    receivers: Mapping[int, Receiver]
    intervals: Mapping[int, tuple[str, Sequence[Interval]]]
    steps: Mapping[int, Sequence[EscalationStep]]

    def ways(self, labels: Mapping[str, str]) -> tuple[Way, ...]:
        return ways(self.root, labels)

    def way_of(self, route_id: int | None) -> Way | None:
        """The way that ends at a route; None where it has been deleted or switched off."""
        return next((way for way in all_ways(self.root) if way.route_id == route_id), None)

    def named(self, ids: Sequence[int]) -> list[tuple[str, Sequence[Interval]]]:
        return [self.intervals[each] for each in ids if each in self.intervals]


def root() -> Route:
    """The root, made anew where somebody deleted it."""
    found = Route.objects.filter(parent=None).order_by("id").first()
    if found is not None:
        return found
    fields = {
        "group_by": DEFAULT_GROUP_BY,
        "group_wait": GROUP_WAIT,
        "group_interval": GROUP_INTERVAL,
        "repeat_interval": REPEAT_INTERVAL,
    }
    return Route.objects.get_or_create(name=ROOT, defaults=fields)[0]


def load() -> Tree:
    """Six statements, however many routes there are."""
    top = root()
    rows = list(Route.objects.filter(enabled=True).prefetch_related("mute_intervals", "active_intervals"))
    children: dict[int | None, list[Route]] = {}
    for row in rows:
        children.setdefault(row.parent_id, []).append(row)
    steps: dict[int, list[EscalationStep]] = {}
    for step in EscalationStep.objects.select_related("receiver"):
        steps.setdefault(step.route_id, []).append(step)
    return Tree(
        root=_node(top, children, is_root=True),
        receivers={receiver.pk: receiver for receiver in Receiver.objects.all()},
        intervals={row.pk: (row.name, _intervals(row)) for row in TimeInterval.objects.all()},
        steps=steps,
    )


def silence_rules(now: datetime) -> tuple[SilenceRule, ...]:
    """The silences that hold now; one that cannot be read mutes nothing."""
    rules = []
    for row in Silence.objects.filter(starts_at__lte=now, ends_at__gt=now):
        matchers = _matchers(row.matchers, f"silence {row.pk}")
        if matchers:
            rules.append(
                SilenceRule(row.pk, matchers, row.starts_at, row.ends_at, row.created_by, row.comment)
            )
    return tuple(rules)


def inhibit_rules() -> tuple[InhibitRule, ...]:
    rules = []
    for row in InhibitRow.objects.filter(enabled=True):
        source = _matchers(row.source_matchers, f"inhibit rule {row.name}")
        target = _matchers(row.target_matchers, f"inhibit rule {row.name}")
        if source and target:
            rules.append(InhibitRule(row.name, source, target, tuple(row.equal)))
    return tuple(rules)


def _node(row: Route, children: Mapping[int | None, list[Route]], *, is_root: bool = False) -> RouteNode:
    below = []
    for child in children.get(row.pk, []):
        if _matchers(child.matchers, f"route {child.name}") is not None:
            below.append(_node(child, children))
    defaults = (GROUP_WAIT, GROUP_INTERVAL, REPEAT_INTERVAL) if is_root else (None, None, None)
    timings = (row.group_wait, row.group_interval, row.repeat_interval)
    wait, interval, repeat = (
        given if given is not None else default for given, default in zip(timings, defaults, strict=True)
    )
    group_by = row.group_by if row.group_by is not None or not is_root else DEFAULT_GROUP_BY
    return RouteNode(
        id=row.pk,
        name=row.name,
        matchers=() if is_root else _matchers(row.matchers, row.name) or (),
        receiver_id=row.receiver_id,
        group_by=None if group_by is None else tuple(group_by),
        continue_matching=row.continue_matching,
        group_wait=wait,
        group_interval=interval,
        repeat_interval=repeat,
        mute_intervals=tuple(each.pk for each in row.mute_intervals.all()),
        active_intervals=tuple(each.pk for each in row.active_intervals.all()),
        children=tuple(below),
    )


def _matchers(text: str, what: str) -> tuple[Matcher, ...] | None:
    """None, and a log record, where what is stored cannot be read: it was written past the forms."""
    try:
        return parse_matchers(text)
    except ConfigError as error:
        logger.error("%s is left out: %s", what, error, extra={"action": "matchers_unreadable", "what": what})
        return None


def _intervals(row: TimeInterval) -> tuple[Interval, ...]:
    try:
        return row.intervals()
    except ConfigError as error:
        logger.error(
            "time interval %s is left out: %s",
            row.name,
            error,
            extra={"action": "interval_unreadable", "what": row.name},
        )
        return ()


__all__ = ["Tree", "inhibit_rules", "load", "root", "silence_rules"]
