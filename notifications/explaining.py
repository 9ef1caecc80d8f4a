"""Which way an alert would go now, and why: what the flow decides with, asked without telling anybody.

Every decision here is made by the functions of the flow: the route tree, what mutes, who is on duty, what a channel takes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from notifications.core.alert import Alert, AlertLevel
from notifications.core.labels import labels_of
from notifications.core.muting import Muted
from notifications.core.noise import Tell
from notifications.core.plan import Audience, Item, plan
from notifications.core.routing import RouteNode, Way, group_key, group_labels
from notifications.flushing import Round
from notifications.models import ActiveAlert, AlertGroup, Channel


class Passage(StrEnum):
    """What a route does with the alert: takes it, leads to one that does, does not match, is not asked."""

    TAKES = "takes"
    LEADS = "leads"
    NO_MATCH = "no match"
    UNASKED = "not asked"


@dataclass(frozen=True, slots=True)
class RouteVerdict:
    """One route of the tree, in the order in which routes are asked; `depth` counts from the root, 0."""

    route_id: int
    name: str
    depth: int
    matchers: tuple[str, ...]
    passage: Passage
    reason: str


@dataclass(frozen=True, slots=True)
class ChannelVerdict:
    """Whether a channel of the receiver would be told, and why or why not."""

    channel: Channel
    takes: bool
    reason: str


@dataclass(frozen=True, slots=True)
class ExplainedWay:
    """One of the ways that the alert goes. `receiver` and `on_duty` are empty where every enabled channel is told.

    `muted`: what keeps it from being told this way now. `group`: the open group that it would join; else a new one begins.
    `first_at`: when the group is looked at next; at once where the alert is urgent.
    """

    way: Way
    group_labels: dict[str, str]
    group: AlertGroup | None
    first_at: datetime
    is_urgent: bool
    receiver: str
    on_duty: str
    muted: Muted | None
    channels: tuple[ChannelVerdict, ...]
    escalation: tuple[tuple[timedelta, str], ...]

    @property
    def is_told(self) -> bool:
        return any(verdict.takes for verdict in self.channels)


@dataclass(frozen=True, slots=True)
class Explanation:
    """All that would become of an alert. `muted`: by a silence or an inhibition, which hold for every way."""

    labels: dict[str, str]
    muted: Muted | None
    routes: tuple[RouteVerdict, ...]
    ways: tuple[ExplainedWay, ...]


def explain(alert: Alert, now: datetime) -> Explanation:
    """Which way this alert would go if it began now. Writes nothing, but for the root route where there is none."""
    shared = Round(now)
    labels = labels_of(alert)
    muted = shared.mutes.of_alert(
        ActiveAlert(alert_key=alert.alert_key, labels=labels, depends_on=list(alert.depends_on))
    )
    ways = shared.tree.ways(labels)
    return Explanation(
        labels=labels,
        muted=muted,
        routes=tuple(_routes(shared.tree.root, labels, ways)),
        ways=tuple(_way(alert, labels, way, muted, shared) for way in ways),
    )


def _routes(root: RouteNode, labels: dict[str, str], ways: Sequence[Way]) -> Iterator[RouteVerdict]:
    takers = {way.route_id for way in ways}
    passed = {route_id for way in ways for route_id in way.path}
    yield _verdict(root, 0, *_passed(root, takers))
    yield from _below(root, 1, labels, takers, passed)


def _below(
    parent: RouteNode, depth: int, labels: dict[str, str], takers: set[int], passed: set[int]
) -> Iterator[RouteVerdict]:
    stopped_by = ""
    for child in parent.children:
        if stopped_by:
            found = (Passage.UNASKED, f"{stopped_by} before it takes the alert and does not continue")
        elif child.id in passed:
            found = _passed(child, takers)
            stopped_by = "" if child.continue_matching else child.name
        elif parent.id not in passed:
            found = (Passage.UNASKED, f"{parent.name} above it is not on the way")
        else:
            found = (Passage.NO_MATCH, _mismatch(child, labels))
        yield _verdict(child, depth, *found)
        yield from _below(child, depth + 1, labels, takers, passed)


def _passed(node: RouteNode, takers: set[int]) -> tuple[Passage, str]:
    if node.id not in takers:
        return Passage.LEADS, "matches, and so does a route below it"
    return Passage.TAKES, "matches, and none below it does" if node.children else "matches"


def _mismatch(node: RouteNode, labels: dict[str, str]) -> str:
    """The first matcher that does not match, and what it found."""
    for matcher in node.matchers:
        if not matcher.matches(labels):
            value = labels.get(matcher.name, "")
            return (
                f'{matcher}: {matcher.name} is "{value}"'
                if value
                else f"{matcher}: there is no {matcher.name}"
            )
    return ""


def _verdict(node: RouteNode, depth: int, passage: Passage, reason: str) -> RouteVerdict:
    return RouteVerdict(node.id, node.name, depth, tuple(map(str, node.matchers)), passage, reason)


def _way(alert: Alert, labels: dict[str, str], way: Way, muted: Muted | None, shared: Round) -> ExplainedWay:
    group = AlertGroup.objects.filter(key=group_key(way, labels), closed_at=None).first()
    quiet = shared.mutes.of_way(shared.tree, way) or muted
    receiver = shared.tree.receivers.get(way.receiver_id) if way.receiver_id is not None else None
    return ExplainedWay(
        way=way,
        group_labels=group_labels(way, labels),
        group=group,
        first_at=_first_at(alert, way, group, shared.now),
        is_urgent=alert.level is AlertLevel.CRITICAL,
        receiver=receiver.name if receiver else "",
        on_duty=shared.receiver_name(way.receiver_id),
        muted=quiet,
        channels=(*_channels(alert, way, quiet, shared), *_switched_off(way, shared)),
        escalation=tuple(
            (step.after, step.receiver.name) for step in shared.tree.steps.get(way.route_id, ())
        ),
    )


def _first_at(alert: Alert, way: Way, group: AlertGroup | None, now: datetime) -> datetime:
    if alert.level is AlertLevel.CRITICAL:
        return now
    return group.flush_at if group is not None and group.flush_at is not None else now + way.group_wait


def _channels(alert: Alert, way: Way, muted: Muted | None, shared: Round) -> Iterator[ChannelVerdict]:
    item = Item(
        key=alert.alert_key,
        level=alert.level,
        alertname=alert.alertname,
        starts_at=shared.now,
        outcome=alert.outcome,
        is_event=alert.is_event,
        muted=muted,
    )
    for channel in shared.channels(way.receiver_id):
        audience = Audience(AlertLevel(channel.min_level), Tell(channel.tell), channel.send_resolved)
        made = plan([item], audience, None, way.repeat_interval, shared.now)
        silent = (made.silent or {}).get(item.key)
        reason = silent.reason if silent is not None else _waits(channel, shared.now)
        if not alert.level.reaches(audience.min_level):
            reason = f"it takes {audience.min_level} and above"
        yield ChannelVerdict(channel, item.key in made.told, reason)


def _waits(channel: Channel, now: datetime) -> str:
    if channel.blocked_until is not None and channel.blocked_until > now:
        return "it has failed; tried again when its pause is over"
    return ""


def _switched_off(way: Way, shared: Round) -> Iterator[ChannelVerdict]:
    receiver = shared.tree.receivers.get(way.receiver_id) if way.receiver_id is not None else None
    found = receiver.on_duty(shared.now).channels.all() if receiver else Channel.objects.all()
    for channel in found.filter(enabled=False):
        why = f": {channel.disabled_reason}" if channel.disabled_reason else ""
        yield ChannelVerdict(channel, False, f"it is switched off{why}")


__all__ = ["ChannelVerdict", "ExplainedWay", "Explanation", "Passage", "RouteVerdict", "explain"]
