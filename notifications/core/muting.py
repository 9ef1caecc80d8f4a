"""Why an alert is not told now: a silence, an inhibition, a dependency that fires, a time interval."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from notifications.core.cycles import components
from notifications.core.intervals import Interval
from notifications.core.matchers import Matcher, all_match, is_selective

SILENCE = "silence"
INHIBITION = "inhibition"
DEPENDENCY = "dependency"
INTERVAL = "interval"


@dataclass(frozen=True, slots=True)
class SilenceRule:
    """Mutes what its matchers match, from `starts_at` until `ends_at`."""

    id: int
    matchers: tuple[Matcher, ...]
    starts_at: datetime
    ends_at: datetime
    created_by: str = ""
    comment: str = ""


@dataclass(frozen=True, slots=True)
class InhibitRule:
    """A firing alert that `source` matches mutes those that `target` matches and whose `equal` labels are the same."""

    name: str
    source: tuple[Matcher, ...]
    target: tuple[Matcher, ...]
    equal: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Firing:
    """An alert that fires now: its key, its labels, and the keys of the alerts that it is a symptom of."""

    key: str
    labels: Mapping[str, str]
    depends_on: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Muted:
    """Not told now. `kind` is one of the four words above, `by` the silence's id, the key of the alert that mutes, or the
    interval's name; `until` is when it ends, where that is known.
    """

    kind: str
    by: str
    reason: str
    until: datetime | None = None


def silenced(labels: Mapping[str, str], silences: Iterable[SilenceRule], now: datetime) -> Muted | None:
    """The silence that holds now, of several the one that ends last. One that asks for no label mutes nothing."""
    holding = [
        silence
        for silence in silences
        if silence.starts_at <= now < silence.ends_at
        and all_match(silence.matchers, labels)
        and is_selective(silence.matchers)
    ]
    if not holding:
        return None
    last = max(holding, key=lambda silence: silence.ends_at)
    author = f" by {last.created_by}" if last.created_by else ""
    comment = f": {last.comment}" if last.comment else ""
    until = last.ends_at.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")
    return Muted(SILENCE, str(last.id), f"silence {last.id}{author} until {until}{comment}", last.ends_at)


def inhibited(
    key: str,
    labels: Mapping[str, str],
    depends_on: Sequence[str],
    rules: Iterable[InhibitRule],
    firing: Iterable[Firing],
) -> Muted | None:
    """What mutes this one alert; for many alerts make one `Inhibitor` and ask it."""
    return Inhibitor(rules, firing).inhibited(key, labels, depends_on)


class Inhibitor:
    """Answers for many alerts which of those that fire mutes each.

    As Alertmanager does it: a label that is absent equals an empty one; an alert that matches both sides of a rule is
    not muted by one for which the same is true, itself included. A rule without source or target mutes nothing.
    Beside the rules, an alert is muted while one that it depends on fires, unless that one depends on it in turn.
    """

    def __init__(self, rules: Iterable[InhibitRule], firing: Iterable[Firing]) -> None:
        alerts = list(firing)
        self._sources = [_Sources(rule, alerts) for rule in rules if rule.source and rule.target]
        self._keys = {alert.key for alert in alerts}
        self._circles = components({alert.key: alert.depends_on for alert in alerts})

    def inhibited(self, key: str, labels: Mapping[str, str], depends_on: Sequence[str] = ()) -> Muted | None:
        for sources in self._sources:
            source = sources.muting(key, labels)
            if source is not None:
                reason = f"rule {sources.rule.name!r}: {_named(source)} fires"
                return Muted(INHIBITION, source.key, reason)
        for cause in depends_on:
            if cause in self._keys and cause != key and not self._is_circle(cause, key):
                return Muted(DEPENDENCY, cause, f"depends on {cause}, which fires")
        return None

    def _is_circle(self, cause: str, key: str) -> bool:
        return key in self._circles and self._circles[key] == self._circles[cause]


class _Sources:
    """The firing alerts that one rule's source matches, by the values of its `equal` labels.

    Of each values two alerts are enough, as only the asked one itself is passed over; and two more of those that the
    target does not match, for alerts that match both sides.
    """

    def __init__(self, rule: InhibitRule, alerts: Iterable[Firing]) -> None:
        self.rule = rule
        self._all: dict[tuple[str, ...], list[Firing]] = {}
        self._one_sided: dict[tuple[str, ...], list[Firing]] = {}
        for alert in alerts:
            if all_match(rule.source, alert.labels):
                self._keep(alert)

    def muting(self, key: str, labels: Mapping[str, str]) -> Firing | None:
        if not all_match(self.rule.target, labels):
            return None
        is_two_sided = all_match(self.rule.source, labels)
        kept = (self._one_sided if is_two_sided else self._all).get(self._values(labels), [])
        return next((alert for alert in kept if alert.key != key), None)

    def _keep(self, alert: Firing) -> None:
        values = self._values(alert.labels)
        _keep_two(self._all.setdefault(values, []), alert)
        if not all_match(self.rule.target, alert.labels):
            _keep_two(self._one_sided.setdefault(values, []), alert)

    def _values(self, labels: Mapping[str, str]) -> tuple[str, ...]:
        return tuple(labels.get(name, "") for name in self.rule.equal)


def _keep_two(kept: list[Firing], alert: Firing) -> None:
    if len(kept) < 2 and all(each.key != alert.key for each in kept):
        kept.append(alert)


def _named(alert: Firing) -> str:
    """What a person knows the alert by."""
    name = alert.labels.get("alertname") or alert.key
    place = alert.labels.get("container") or alert.labels.get("host") or ""
    return f"{name} ({place})" if place else name


NamedIntervals = Sequence[tuple[str, Sequence[Interval]]]


def outside(way_mute: NamedIntervals, way_active: NamedIntervals, now: datetime) -> Muted | None:
    """Whether a route is quiet now: within one of the intervals that mute it, or in none of those that it is active in.

    A named interval holds where any of its parts does; one without parts is as none, so that it keeps nothing back.
    """
    for name, intervals in way_mute:
        if _holds(intervals, now):
            return Muted(INTERVAL, name, f"within the mute interval {name!r}")
    active = [(name, intervals) for name, intervals in way_active if intervals]
    if active and not any(_holds(intervals, now) for _, intervals in active):
        names = ", ".join(repr(name) for name, _ in active)
        return Muted(INTERVAL, active[0][0], f"in none of the active intervals {names}")
    return None


def _holds(intervals: Sequence[Interval], now: datetime) -> bool:
    return any(interval.contains(now) for interval in intervals)
