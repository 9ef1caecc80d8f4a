"""The graph of dependencies has no cycle, and a hold leaves nobody waiting for somebody who waits."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from healing.core.dependencies import (
    Edge,
    Graph,
    Member,
    OnReturn,
    Origin,
    Pair,
    accepted,
    cycle,
    in_words,
    order,
    waits_for,
)
from healing.core.depends_on import Need, as_label, read_label
from healing.core.types import Health, Lifecycle

A, B, C, D = 1, 2, 3, 4
NAMES = {A: "a", B: "b", C: "c", D: "d"}
WELL = Member("db", Health.HEALTHY)
SICK = Member("db", Health.UNHEALTHY, failure=7)
SOME = st.integers(1, 6)
PAIRS = st.lists(st.tuples(SOME, SOME), max_size=24)


@pytest.mark.parametrize(
    ("pairs", "new", "words"),
    [
        ([], (A, B), ""),
        ([], (A, A), "a needs a"),
        ([(A, B)], (A, B), ""),
        ([(A, B)], (B, A), "b needs a needs b"),
        ([(A, B), (B, C)], (C, A), "c needs a needs b needs c"),
        ([(A, B), (B, C), (A, C)], (C, A), "c needs a needs c"),
        ([(A, B), (C, D)], (B, C), ""),
        ([(A, B), (C, D), (D, A)], (B, C), "b needs c needs d needs a needs b"),
    ],
)
def test_a_cycle_is_told_with_its_path(pairs: list[Pair], new: Pair, words: str) -> None:
    """Who writes a cycle sees the shortest way round, and so which of the others might be wrong."""
    assert in_words(cycle(pairs, new), NAMES) == words


@given(kept=PAIRS, proposed=PAIRS)
def test_what_is_accepted_never_closes_a_cycle(kept: list[Pair], proposed: list[Pair]) -> None:
    """Whatever order edges come in; and nothing is refused that would have closed none."""
    kept = accepted((), kept)[0]
    taken, refused = accepted(kept, proposed)
    together = [*kept, *taken]
    assert len(taken) + len(refused) == len(proposed)
    assert all(not cycle(together[:number], pair) for number, pair in enumerate(together))
    for path in refused:
        assert path[0] == path[-1]
        assert cycle(together, (path[0], path[1]))
    place = {each: number for number, each in enumerate(order(range(1, 7), together))}
    assert all(place[dependency] < place[dependant] for dependant, dependency in together)


@given(pairs=PAIRS, failing=st.sets(SOME), groups=st.dictionaries(SOME, st.integers(1, 2)))
def test_a_hold_never_deadlocks(pairs: list[Pair], failing: set[int], groups: dict[int, int]) -> None:
    """Of any set of failing containers at least one waits for no other, even where the rows hold a cycle."""
    graph = Graph([Edge(a, b, group=groups.get(b)) for a, b in dict.fromkeys(pairs)])
    members = {each: SICK if each in failing else WELL for each in range(1, 7)}
    free = [each for each in failing if waits_for(graph.needs(each), members) is None]
    assert bool(free) == bool(failing)


@pytest.mark.parametrize(
    ("member", "why"),
    [
        (Member("db", Health.HEALTHY, failure=7), ""),
        (Member("db", Health.UNHEALTHY, failure=7), ""),
        (Member("db", Health.UNHEALTHY), "unhealthy"),
        (Member("db", Health.UNKNOWN, Lifecycle.EXITED), "stopped"),
        (Member("db", Health.UNKNOWN, Lifecycle.STOPPED_BY_HAND), "stopped by hand"),
        (Member("db", Health.UNHEALTHY, Lifecycle.QUARANTINED), "quarantined"),
        (Member("db", Health.UNHEALTHY, Lifecycle.DEAD), "dead"),
        (Member("db", Health.HEALTHY), None),
        (Member("db", Health.UNKNOWN), None),
        (Member("db", Health.UNKNOWN, Lifecycle.STARTING), None),
        (Member("db", Health.UNKNOWN, Lifecycle.FINISHED), None),
        (Member("db", Health.UNKNOWN, Lifecycle.GONE), None),
        (Member("db", Health.UNHEALTHY, Lifecycle.GONE), None),
    ],
)
def test_for_what_a_container_waits(member: Member, why: str | None) -> None:
    """It waits for what fails or is stopped; not for what is gone, has done its work, or of which nothing is known."""
    found = waits_for([Edge(A, B)], {B: member})
    assert (found.why if found else None) == why


def test_an_edge_of_nothing_holds_nothing() -> None:
    """That is what people choose who want no hold."""
    assert waits_for([Edge(A, B, OnReturn.NOTHING)], {B: SICK}) is None
    assert waits_for([Edge(A, B, OnReturn.RESTART)], {B: SICK}) is not None
    assert waits_for([Edge(A, B)], {}) is None


@pytest.mark.parametrize(
    ("first", "second", "waits"),
    [(SICK, WELL, None), (WELL, SICK, None), (SICK, SICK, B), (SICK, Member("db", Health.UNKNOWN), B)],
)
def test_one_healthy_container_of_a_service_is_enough(
    first: Member, second: Member, waits: int | None
) -> None:
    """A service goes on with what is left of it; a shared network is that of one container only."""
    found = waits_for([Edge(A, B, group=9), Edge(A, C, group=9)], {B: first, C: second})
    assert (found.dependency if found else None) == waits
    alone = waits_for([Edge(A, B, origin=Origin.NETWORK), Edge(A, C, group=9)], {B: SICK, C: WELL})
    assert alone is not None


@pytest.mark.parametrize(
    ("member", "waits"),
    [
        (Member("migrate", Health.UNKNOWN, Lifecycle.FINISHED), False),
        (Member("migrate", Health.UNKNOWN, Lifecycle.STOPPED_BY_HAND), False),
        (Member("migrate", Health.UNHEALTHY, Lifecycle.EXITED, failure=3), True),
        (Member("migrate", Health.UNHEALTHY, Lifecycle.QUARANTINED), True),
    ],
)
def test_a_job_holds_until_it_has_ended_well(member: Member, waits: bool) -> None:
    """A migration that has run is no reason to leave the application down."""
    assert (waits_for([Edge(A, B, is_job=True)], {B: member}) is not None) == waits


def test_order_is_by_need_and_otherwise_as_given() -> None:
    """Lists of dependencies read in the order in which things are healed."""
    assert order([A, B, C, D], [(A, C), (C, D)]) == [B, D, C, A]
    assert order([A, B, C], [(A, B), (B, A)]) == [C, A, B]


@pytest.mark.parametrize(
    ("text", "needs"),
    [
        ("", []),
        ("db", [Need("db")]),
        ("db:service_healthy", [Need("db", "service_healthy")]),
        ("db:service_healthy:true", [Need("db", "service_healthy", restart=True)]),
        (
            "db:service_healthy:false, migrate:service_completed_successfully:false",
            [Need("db", "service_healthy"), Need("migrate", "service_completed_successfully")],
        ),
        (",:x:true", []),
    ],
)
def test_the_label_of_compose_is_read(text: str, needs: list[Need]) -> None:
    """As each version of Compose writes it."""
    assert read_label(text) == needs
    assert read_label(as_label(needs)) == needs


def test_what_the_condition_and_restart_mean() -> None:
    """`restart: true` restarts along with it; a service that has to complete is a job."""
    assert Need("db", restart=True).on_return is OnReturn.RESTART
    assert Need("db").on_return is OnReturn.HOLD
    assert Need("m", "service_completed_successfully").is_job
