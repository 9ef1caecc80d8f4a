"""Inhibition: the tables of Alertmanager's own tests; dependencies; and time intervals of a route."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from notifications.core.intervals import parse_intervals
from notifications.core.matchers import Matcher, all_match, parse_matchers
from notifications.core.muting import Firing, Inhibitor, InhibitRule, Muted, inhibited, outside

Labels = dict[str, str]


def rule(source: str, target: str, *equal: str) -> InhibitRule:
    return InhibitRule("rule", parse_matchers(source), parse_matchers(target), equal)


def is_muted(labels: Labels, rules: list[InhibitRule], *sources: Labels, key: str = "asked") -> bool:
    firing = [Firing(f"source {number}", each) for number, each in enumerate(sources)]
    return inhibited(key, labels, (), rules, firing) is not None


# what fires, the labels that must be equal, the labels asked about; resolved alerts are not among what fires
EQUAL = [
    ([], [], {"a": "b"}, False),
    ([{}], [], {"a": "b"}, True),
    ([], ["a", "b"], {"a": "b", "b": "c"}, False),
    ([{"a": "b", "c": "f"}], ["a"], {"a": "b"}, True),
    ([{"a": "c", "c": "d"}, {"a": "c", "c": "f"}], ["a"], {"a": "b"}, False),
    ([{"c": "d"}], ["a"], {"c": "e"}, True),
    ([{"a": ""}], ["a"], {"c": "e"}, True),
    ([{"a": "b"}], ["a"], {"c": "e"}, False),
]

SOURCE_1 = {"s1": "1", "t1": "2", "e": "1"}
SOURCE_2 = {"s2": "1", "t2": "1", "e": "1"}
"""Matches both sides of the second rule."""
RULES = [rule("s1=1", "t1=1", "e"), rule("s2=1", "t2=1", "e")]
OTHER_RULES = [rule("s1=1", "t1!=1", "e"), rule("s2=1", "t2=1", "e")]

MATCHED = [
    ({"t1": "1", "e": "1"}, True, False),
    ({"t2": "1", "e": "1"}, True, True),
    ({"t1": "1", "t3": "1", "e": "1"}, True, False),
    ({"t1": "1", "t2": "1", "e": "1"}, True, True),
    ({"t1": "0", "e": "1"}, False, True),
    ({"s1": "1", "t1": "1", "e": "1"}, True, False),
    ({"s2": "1", "t2": "1", "e": "1"}, False, True),
    ({"t1": "1", "e": "0"}, False, False),
]

EXAMPLE = [rule("severity=critical", "severity=warning", "alertname", "cluster", "service")]
SLOW = {"alertname": "slow", "cluster": "a", "service": "web", "severity": "warning"}


@pytest.mark.parametrize(("sources", "equal", "labels", "expected"), EQUAL)
def test_equal_labels(sources: list[Labels], equal: list[str], labels: Labels, expected: bool) -> None:
    """Protects alerts of another host from being muted by this one's; an absent label equals an empty one."""
    anything = rule("x!=y", "x!=y").source
    rules = [InhibitRule("rule", (*anything, Matcher("asked", "=", "")), anything, tuple(equal))]
    assert is_muted({**labels, "asked": "yes"}, rules, *sources) is expected


@pytest.mark.parametrize(("labels", "expected", "expected_of_others"), MATCHED)
def test_both_sides(labels: Labels, expected: bool, expected_of_others: bool) -> None:
    """Protects Alertmanager's rule for alerts that match both sides."""
    assert is_muted(labels, RULES, SOURCE_1, SOURCE_2) is expected
    assert is_muted(labels, OTHER_RULES, SOURCE_1, SOURCE_2) is expected_of_others


@pytest.mark.parametrize(
    ("sources", "labels", "expected"),
    [
        ([{"t": "1", "e": "f"}], {"t": "1", "e": "f"}, False),
        ([{"t": "1", "e": "f"}, {"s": "1", "e": "f"}], {"t": "1", "e": "f"}, True),
        ([{"t": "1", "e": "f"}, {"s": "1", "e": "f"}], {"s": "1", "e": "f"}, False),
    ],
)
def test_while_the_source_fires(sources: list[Labels], labels: Labels, expected: bool) -> None:
    """Protects from muting by what does not fire."""
    assert is_muted(labels, [rule("s=1", "t=1", "e")], *sources) is expected


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        ({**SLOW, "severity": "critical"}, True),
        ({**SLOW, "severity": "critical", "instance": "7"}, True),
        ({**SLOW, "severity": "critical", "cluster": "b"}, False),
        ({**SLOW, "severity": "critical", "alertname": "down"}, False),
        ({**SLOW, "severity": "error"}, False),
    ],
)
def test_rule_of_the_example(other: Labels, expected: bool) -> None:
    """Protects the rule of Alertmanager's example configuration: a critical alert mutes its warning."""
    assert is_muted(SLOW, EXAMPLE, other) is expected
    assert not is_muted(other, EXAMPLE, SLOW)


def test_an_alert_never_mutes_itself() -> None:
    """Protects from silence where an alert's labels have changed since it was counted as a source."""
    rules = [rule("s=1", "t=1")]
    firing = [Firing("me", {"s": "1"})]
    assert inhibited("me", {"t": "1"}, (), rules, firing) is None
    found = inhibited("me", {"t": "1"}, (), rules, [*firing, Firing("other", {"s": "1"})])
    assert found is not None
    assert found.by == "other"


def test_a_rule_without_source_or_target_mutes_nothing() -> None:
    """Protects from a rule that somebody left empty: an empty selection is nothing, never everything."""
    assert not is_muted({"a": "b"}, [rule("", "a=b"), rule("c=d", "")], {"c": "d"})


def test_says_what_mutes() -> None:
    """Protects the record of an alert that was not sent."""
    source = Firing("host/a", {"alertname": "host_down", "host": "a"})
    rules = [
        InhibitRule("host", parse_matchers("alertname=host_down"), parse_matchers("container=~.+"), ("host",))
    ]
    found = inhibited("container/1", {"container": "web", "host": "a"}, (), rules, [source])
    assert found == Muted("inhibition", "host/a", "rule 'host': host_down (a) fires")


def test_muted_while_a_dependency_fires() -> None:
    """Protects people from twenty messages for one database that is down."""
    found = inhibited("web", {}, ("cache", "db"), [], [Firing("db", {})])
    assert found == Muted("dependency", "db", "depends on db, which fires")
    assert inhibited("web", {}, ("cache",), [], [Firing("db", {})]) is None


@pytest.mark.parametrize(
    ("depends", "muted"),
    [
        ({"a": "a"}, ""),
        ({"a": "b", "b": "a"}, ""),
        ({"a": "b", "b": "c", "c": "a"}, ""),
        ({"a": "b", "b": "a", "x": "a"}, "x"),
        ({"a": "bx", "b": "a", "x": ""}, "a"),
        ({"a": "b", "b": "c", "c": ""}, "ab"),
        ({"a": "b", "b": "z"}, "a"),
    ],
)
def test_a_circle_does_not_mute_itself(depends: dict[str, str], muted: str) -> None:
    """Protects from silence where alerts depend on each other: of a circle nobody mutes another."""
    inhibitor = Inhibitor([], [Firing(key, {}, tuple(on)) for key, on in depends.items()])
    found = "".join(key for key, on in depends.items() if inhibitor.inhibited(key, {}, tuple(on)))
    assert found == muted


KEYS = st.sampled_from("abcde")


@settings(deadline=None, max_examples=200)
@given(st.dictionaries(KEYS, st.lists(KEYS, max_size=3).map(tuple), min_size=1))
def test_dependencies_leave_somebody_told(depends: dict[str, tuple[str, ...]]) -> None:
    """Protects people from missing a failure: whatever depends on whatever, one that fires is always told, and each that
    is muted leads to one that is told.
    """
    inhibitor = Inhibitor([], [Firing(key, {}, on) for key, on in depends.items()])
    muted = {key: inhibitor.inhibited(key, {}, on) for key, on in depends.items()}
    for key in depends:
        seen = [key]
        while (found := muted[seen[-1]]) is not None:
            assert found.by not in seen
            seen.append(found.by)


VALUES = st.sampled_from(["", "1", "2"])
LABELS = st.dictionaries(st.sampled_from("abc"), VALUES)
MATCHERS = st.lists(
    st.builds(
        Matcher,
        st.sampled_from("abc"),
        st.sampled_from(["=", "!=", "=~", "!~"]),
        st.sampled_from(["", "1", ".+"]),
    ),
    max_size=2,
).map(tuple)
RULE = st.builds(
    InhibitRule, st.just("r"), MATCHERS, MATCHERS, st.lists(st.sampled_from("abc"), max_size=2).map(tuple)
)
FIRING = st.lists(st.builds(Firing, KEYS, LABELS), max_size=6, unique_by=lambda each: each.key)


def plain(key: str, labels: Labels, rules: list[InhibitRule], firing: list[Firing]) -> str | None:
    """The definition, word by word: the first rule's first source."""
    for each in rules:
        if not each.source or not each.target or not all_match(each.target, labels):
            continue
        is_two_sided = all_match(each.source, labels)
        for source in firing:
            if (
                source.key != key
                and all_match(each.source, source.labels)
                and all(source.labels.get(name, "") == labels.get(name, "") for name in each.equal)
                and not (is_two_sided and all_match(each.target, source.labels))
            ):
                return source.key
    return None


@settings(deadline=None, max_examples=300)
@given(st.lists(RULE, max_size=3), FIRING, KEYS, LABELS)
def test_index_does_what_the_definition_says(
    rules: list[InhibitRule], firing: list[Firing], key: str, labels: Labels
) -> None:
    """Protects the quick way from differing from the plain one."""
    inhibitor = Inhibitor(rules, firing)
    for asked, of in [(key, labels), *((each.key, dict(each.labels)) for each in firing)]:
        found = inhibitor.inhibited(asked, of)
        assert (found.by if found else None) == plain(asked, of, rules, firing)


class Counted(Mapping[str, str]):
    """Labels that count how often they are looked at."""

    looks: Counter[str] = Counter()

    def __init__(self, labels: Labels) -> None:
        self._labels = labels

    def __getitem__(self, name: str) -> str:
        self.looks["all"] += 1
        return self._labels[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._labels)

    def __len__(self) -> int:
        return len(self._labels)


def test_two_thousand_alerts_are_not_quadratic() -> None:
    """Protects the flush in a storm: the work grows with alerts times rules, not with alerts times alerts."""
    rules = [rule(f"kind=host, rack={n}", f"kind=container, rack={n}", "host") for n in range(10)]
    hosts = [
        Firing(f"h{n}", Counted({"kind": "host", "rack": str(n % 10), "host": f"h{n}"})) for n in range(200)
    ]
    containers = [
        Firing(
            f"c{n}",
            Counted({"kind": "container", "rack": str(n % 10), "host": f"h{n % 400}"}),
            (f"c{n + 1}",),
        )
        for n in range(2_000)
    ]
    Counted.looks.clear()
    inhibitor = Inhibitor(rules, [*hosts, *containers])
    kinds = Counter(
        found.kind if found else "told"
        for each in containers
        for found in [inhibitor.inhibited(each.key, each.labels, each.depends_on)]
    )
    assert kinds == {"inhibition": 1_000, "dependency": 999, "told": 1}
    assert Counted.looks["all"] < 2_200 * 10 * 6


SYDNEY = ZoneInfo("Australia/Sydney")
EVENINGS = (
    "evenings",
    parse_intervals(
        [
            {
                "times": [
                    {"start_time": "00:00", "end_time": "09:00"},
                    {"start_time": "17:00", "end_time": "24:00"},
                ],
                "location": "Australia/Sydney",
            }
        ],
        "spec",
    ),
)
WEEKENDS = (
    "weekends",
    parse_intervals({"weekdays": ["saturday", "sunday"], "location": "Australia/Sydney"}, "spec"),
)


@pytest.mark.parametrize(
    ("now", "by"),
    [
        (datetime(2024, 1, 1, 0, tzinfo=SYDNEY), "evenings"),
        (datetime(2024, 1, 1, 9, tzinfo=SYDNEY), ""),
        (datetime(2024, 1, 6, 10, tzinfo=SYDNEY), "weekends"),
        (datetime(2024, 1, 6, 17, tzinfo=SYDNEY), "evenings"),
        (datetime(2024, 1, 1, 10, tzinfo=UTC), "evenings"),
        (datetime(2024, 1, 6, 10, tzinfo=UTC), "evenings"),
    ],
)
def test_mute_intervals(now: datetime, by: str) -> None:
    """Protects nights and weekends: the first interval that holds is named."""
    found = outside([EVENINGS, WEEKENDS], [], now)
    assert found == (Muted("interval", by, f"within the mute interval {by!r}") if by else None)


def test_active_intervals() -> None:
    """Protects a route that tells only at some times, from telling at others; muting goes first."""
    weekday, weekend = datetime(2024, 1, 1, 12, tzinfo=SYDNEY), datetime(2024, 1, 6, 12, tzinfo=SYDNEY)
    assert outside([], [WEEKENDS], weekend) is None
    assert outside([], [EVENINGS, WEEKENDS], weekend) is None
    assert outside([], [EVENINGS, WEEKENDS], weekday) == Muted(
        "interval", "evenings", "in none of the active intervals 'evenings', 'weekends'"
    )
    assert outside([WEEKENDS], [WEEKENDS], weekend) == Muted(
        "interval", "weekends", "within the mute interval 'weekends'"
    )
    assert outside([], [], weekday) is None


def test_an_interval_without_parts_keeps_nothing_back() -> None:
    """Protects people from a route that never tells anything because its interval cannot be read."""
    weekday = datetime(2024, 1, 1, 12, tzinfo=SYDNEY)
    assert outside([("broken", ())], [("broken", ())], weekday) is None
    assert outside([], [("broken", ()), WEEKENDS], weekday) is not None
