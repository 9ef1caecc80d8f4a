"""The route tree: the tables of Alertmanager's own tests and of its example configuration."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from notifications.core.errors import ConfigError
from notifications.core.matchers import all_match, parse_matchers
from notifications.core.routing import RouteNode, Way, all_ways, group_key, group_labels, ways

DEFAULT, A, TESTING, PRODUCTION_A, PRODUCTION_B, BC = range(1, 7)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
WAIT = timedelta(seconds=30)
ALL = ("...",)

TREE = RouteNode(
    10,
    "root",
    receiver_id=DEFAULT,
    children=(
        RouteNode(
            11,
            "team A",
            parse_matchers('{owner="team-A"}\n{level!="critical"}'),
            receiver_id=A,
            children=(
                RouteNode(
                    12,
                    "testing",
                    parse_matchers('{env="testing"}\n{baz!~".*quux"}'),
                    receiver_id=TESTING,
                    group_by=ALL,
                ),
                RouteNode(
                    13,
                    "production A",
                    parse_matchers('{env="production"}'),
                    receiver_id=PRODUCTION_A,
                    group_wait=MINUTE,
                    continue_matching=True,
                ),
                RouteNode(
                    14,
                    "production B",
                    parse_matchers('env=~"produ.*", job=~".*"'),
                    receiver_id=PRODUCTION_B,
                    group_wait=WAIT,
                    group_interval=5 * MINUTE,
                    repeat_interval=HOUR,
                    group_by=("job",),
                ),
            ),
        ),
        RouteNode(
            15,
            "teams B and C",
            parse_matchers('owner=~"team-(B|C)"'),
            receiver_id=BC,
            group_by=("foo", "bar"),
            group_wait=2 * MINUTE,
        ),
        RouteNode(
            16,
            "role",
            parse_matchers('group_by="role"'),
            group_by=("role",),
            children=(
                RouteNode(
                    17,
                    "role testing",
                    parse_matchers('env="testing"'),
                    receiver_id=TESTING,
                    children=(RouteNode(18, "long", parse_matchers('wait="long"'), group_wait=2 * MINUTE),),
                ),
            ),
        ),
    ),
)

# labels, and of each way: path, receiver, group_by, group_wait, repeat_interval
TAKEN = [
    ({}, [((10,), DEFAULT, (), WAIT, 4 * HOUR)]),
    ({"owner": "team-A"}, [((10, 11), A, (), WAIT, 4 * HOUR)]),
    ({"owner": "team-A", "env": "unset"}, [((10, 11), A, (), WAIT, 4 * HOUR)]),
    ({"owner": "team-A", "level": "critical"}, [((10,), DEFAULT, (), WAIT, 4 * HOUR)]),
    ({"owner": "team-C"}, [((10, 15), BC, ("foo", "bar"), 2 * MINUTE, 4 * HOUR)]),
    ({"owner": "team-BC"}, [((10,), DEFAULT, (), WAIT, 4 * HOUR)]),
    ({"owner": "team-A", "env": "testing"}, [((10, 11, 12), TESTING, ALL, WAIT, 4 * HOUR)]),
    ({"owner": "team-A", "env": "testing", "baz": "1quux"}, [((10, 11), A, (), WAIT, 4 * HOUR)]),
    (
        {"owner": "team-A", "env": "production"},
        [
            ((10, 11, 13), PRODUCTION_A, (), MINUTE, 4 * HOUR),
            ((10, 11, 14), PRODUCTION_B, ("job",), WAIT, HOUR),
        ],
    ),
    ({"owner": "team-A", "env": "produce"}, [((10, 11, 14), PRODUCTION_B, ("job",), WAIT, HOUR)]),
    ({"group_by": "role"}, [((10, 16), DEFAULT, ("role",), WAIT, 4 * HOUR)]),
    ({"group_by": "role", "env": "testing"}, [((10, 16, 17), TESTING, ("role",), WAIT, 4 * HOUR)]),
    (
        {"group_by": "role", "env": "testing", "wait": "long"},
        [((10, 16, 17, 18), TESTING, ("role",), 2 * MINUTE, 4 * HOUR)],
    ),
]

X_MAILS, X_PAGER, Y_MAILS, Y_PAGER, DB_PAGER = range(1, 6)
EXAMPLE_GROUPING = ("alertname", "cluster", "service")
DATABASE_GROUPING = ("alertname", "cluster", "database")


def critical(id: int, receiver_id: int) -> RouteNode:
    return RouteNode(id, "critical", parse_matchers('severity="critical"'), receiver_id)


EXAMPLE = RouteNode(
    1,
    "root",
    receiver_id=X_MAILS,
    group_by=EXAMPLE_GROUPING,
    children=(
        RouteNode(
            2, "X", parse_matchers('service=~"foo1|foo2|baz"'), X_MAILS, children=(critical(3, X_PAGER),)
        ),
        RouteNode(4, "Y", parse_matchers('service="files"'), Y_MAILS, children=(critical(5, Y_PAGER),)),
        RouteNode(
            6,
            "databases",
            parse_matchers('service="database"'),
            DB_PAGER,
            group_by=DATABASE_GROUPING,
            children=(
                RouteNode(7, "X", parse_matchers('owner="team-X"'), X_PAGER, continue_matching=True),
                RouteNode(8, "Y", parse_matchers('owner="team-Y"'), Y_PAGER),
            ),
        ),
    ),
)

EXAMPLE_TAKEN = [
    ({"service": "other"}, [(1, X_MAILS, EXAMPLE_GROUPING)]),
    ({"service": "foo1"}, [(2, X_MAILS, EXAMPLE_GROUPING)]),
    ({"service": "foo12"}, [(1, X_MAILS, EXAMPLE_GROUPING)]),
    ({"service": "baz", "severity": "critical"}, [(3, X_PAGER, EXAMPLE_GROUPING)]),
    ({"service": "files", "severity": "warning"}, [(4, Y_MAILS, EXAMPLE_GROUPING)]),
    ({"service": "files", "severity": "critical"}, [(5, Y_PAGER, EXAMPLE_GROUPING)]),
    ({"service": "database"}, [(6, DB_PAGER, DATABASE_GROUPING)]),
    ({"service": "database", "severity": "critical"}, [(6, DB_PAGER, DATABASE_GROUPING)]),
    ({"service": "database", "owner": "team-X"}, [(7, X_PAGER, DATABASE_GROUPING)]),
    ({"service": "database", "owner": "team-Y"}, [(8, Y_PAGER, DATABASE_GROUPING)]),
    ({"severity": "critical"}, [(1, X_MAILS, EXAMPLE_GROUPING)]),
]

WAY = Way(2, (1, 2), ("root", "web"), group_by=("host", "service"))


@pytest.mark.parametrize(("labels", "expected"), TAKEN)
def test_ways(labels: dict[str, str], expected: list[tuple[object, ...]]) -> None:
    """Protects that an alert goes where Alertmanager would send it, with what its route inherits."""
    found = [
        (way.path, way.receiver_id, way.group_by, way.group_wait, way.repeat_interval)
        for way in ways(TREE, labels)
    ]
    assert found == expected
    assert all(
        way.group_interval == 5 * MINUTE and way.route_id == way.path[-1] for way in ways(TREE, labels)
    )


@pytest.mark.parametrize(("labels", "expected"), EXAMPLE_TAKEN)
def test_ways_of_the_example(labels: dict[str, str], expected: list[tuple[object, ...]]) -> None:
    """Protects the tree of Alertmanager's example configuration."""
    assert [(way.route_id, way.receiver_id, way.group_by) for way in ways(EXAMPLE, labels)] == expected


def test_names_lead_from_the_root() -> None:
    """Protects the page that shows which way an alert would go."""
    (way,) = ways(TREE, {"group_by": "role", "env": "testing", "wait": "long"})
    assert way.names == ("root", "role", "role testing", "long")


def test_all_ways() -> None:
    """Protects groups that are open: the way to a route is found again, and is that of an alert which goes there."""
    found = all_ways(TREE)
    assert [way.route_id for way in found] == [10, 11, 12, 13, 14, 15, 16, 17, 18]
    for labels, _ in TAKEN:
        assert set(ways(TREE, labels)) <= set(found)


def test_defaults_without_any_setting() -> None:
    """Protects an installation that nobody has configured."""
    assert ways(RouteNode(1, "root"), {"a": "b"}) == (
        Way(1, (1,), ("root",), None, (), WAIT, 5 * MINUTE, 4 * HOUR),
    )


def test_grouping_by_all_is_inherited_and_replaced() -> None:
    """Protects children of a route that groups by everything."""
    parent = RouteNode(
        2,
        "parent",
        group_by=ALL,
        children=(
            RouteNode(3, "child 1", parse_matchers("env=child1")),
            RouteNode(4, "child 2", parse_matchers("env=child2"), group_by=("foo",)),
            RouteNode(5, "child 3", parse_matchers("env=child3"), group_by=()),
        ),
    )
    root = RouteNode(1, "root", children=(parent,))
    assert [ways(root, {"env": f"child{n}"})[0].group_by for n in (0, 1, 2, 3)] == [ALL, ALL, ("foo",), ()]


def test_zero_is_a_setting() -> None:
    """Protects a route that is told to wait not at all from waiting as long as its parent."""
    child = RouteNode(2, "child", group_wait=timedelta(0))
    assert ways(RouteNode(1, "root", group_wait=MINUTE, children=(child,)), {})[0].group_wait == timedelta(0)


def test_time_intervals_are_not_inherited() -> None:
    """Protects a child of a route that is quiet at night from being quiet itself."""
    child = RouteNode(2, "child", parse_matchers("a=b"))
    root = RouteNode(1, "root", mute_intervals=(7,), active_intervals=(8,), children=(child,))
    own, inherited = ways(root, {})[0], ways(root, {"a": "b"})[0]
    assert (own.mute_intervals, own.active_intervals) == ((7,), (8,))
    assert (inherited.mute_intervals, inherited.active_intervals) == ((), ())
    quiet = replace(child, mute_intervals=(9,))
    assert ways(replace(root, children=(quiet,)), {"a": "b"})[0].mute_intervals == (9,)


def test_continue_without_a_further_match() -> None:
    """Protects from an alert that reaches the parent as well, only because its route says continue."""
    first = RouteNode(2, "first", parse_matchers("a=b"), continue_matching=True)
    second = RouteNode(3, "second", parse_matchers("a=c"))
    root = RouteNode(1, "root", children=(first, second))
    assert [way.route_id for way in ways(root, {"a": "b"})] == [2]


def test_root_takes_everything() -> None:
    """Protects from alerts that no route takes."""
    with pytest.raises(ConfigError) as caught:
        ways(RouteNode(1, "root", parse_matchers("a=b")), {"a": "b"})
    assert caught.value.field == "matchers"


@pytest.mark.parametrize(
    ("group_by", "expected"),
    [
        ((), {}),
        (("host",), {"host": "a"}),
        (("service", "host"), {"host": "a", "service": "s"}),
        (("host", "absent"), {"host": "a"}),
        (("host", "empty"), {"host": "a"}),
        (ALL, {"host": "a", "service": "s", "x": "y"}),
        (("host", "..."), {"host": "a", "service": "s", "x": "y"}),
    ],
)
def test_group_labels(group_by: tuple[str, ...], expected: dict[str, str]) -> None:
    """Protects what a group has in common."""
    labels = {"x": "y", "service": "s", "host": "a", "empty": ""}
    found = group_labels(replace(WAY, group_by=group_by), labels)
    assert found == expected
    assert list(found) == sorted(expected)


def test_group_key_is_the_same_for_ever() -> None:
    """Protects open groups from being told anew after an upgrade."""
    assert group_key(WAY, {"host": "a", "service": "s", "container": "c"}) == (
        "a04c28c77a045b386646ea6da5b4542c80730dfb21c5062582761af7dccec299"
    )


def test_group_key_tells_apart() -> None:
    """Protects groups of different routes, labels or values from being one."""
    labels = {"host": "a", "service": "s"}
    keys = {
        group_key(WAY, labels),
        group_key(replace(WAY, path=(1, 3, 2)), labels),
        group_key(replace(WAY, path=(12,)), labels),
        group_key(WAY, {"host": "s", "service": "a"}),
        group_key(WAY, {"host": "a"}),
        group_key(WAY, {"service": "s"}),
        group_key(replace(WAY, group_by=ALL), {"host": "a", "service": "s", "x": ""} | {"y": "1"}),
        group_key(replace(WAY, group_by=("a", "b")), {"a": 'x","b":"y'}),
        group_key(replace(WAY, group_by=("a", "b")), {"a": "x", "b": "y"}),
    }
    assert len(keys) == 9


NAMES = st.sampled_from(["owner", "env", "job", "group_by", "wait", "level", "baz", "foo", "bar", "role"])
VALUES = st.sampled_from(["", "team-A", "team-B", "testing", "production", "role", "long", "critical", "x"])
LABELS = st.dictionaries(NAMES, VALUES)


@settings(deadline=None)
@given(LABELS, st.randoms(use_true_random=False))
def test_group_key_does_not_depend_on_order(labels: dict[str, str], random: Random) -> None:
    """Protects groups from falling apart by the order in which labels come."""
    items = list(labels.items())
    random.shuffle(items)
    for way in ways(TREE, labels):
        shuffled = replace(way, group_by=way.group_by[::-1])
        assert group_key(way, labels) == group_key(shuffled, dict(items))


@settings(deadline=None)
@given(LABELS, LABELS)
def test_same_group_labels_same_group(labels: dict[str, str], others: dict[str, str]) -> None:
    """Protects grouping: two alerts are in one group exactly where what the route groups by is equal."""
    for way in ways(TREE, labels):
        is_same = group_labels(way, labels) == group_labels(way, others)
        assert (group_key(way, labels) == group_key(way, others)) is is_same


@settings(deadline=None)
@given(LABELS)
def test_ways_are_never_empty(labels: dict[str, str]) -> None:
    """Protects people from an alert that goes nowhere, or where a matcher on its way does not match."""
    found = ways(TREE, labels)
    assert found
    assert len({way.path for way in found}) == len(found)
    for way in found:
        assert all(all_match(node.matchers, labels) for node in nodes(way.path))


def nodes(path: tuple[int, ...]) -> list[RouteNode]:
    found = [TREE]
    for id in path[1:]:
        found.append(next(child for child in found[-1].children if child.id == id))
    return found
