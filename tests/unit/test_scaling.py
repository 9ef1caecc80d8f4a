"""How the scale benchmark judges: looks, calls and costs, from logs whose answers are known."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.scaling import asked, database, processes
from benchmarks.scaling.asked import Request, Span
from benchmarks.scaling.database import Statement
from benchmarks.scaling.fit import fit

INTERVAL = 10.0
NAMES = {"one": {"a1": "a", "b1": "b"}, "two": {"c1": "c"}}


def lists(engine: str, *times: float) -> list[Request]:
    return [Request(engine, at, asked.LIST) for at in times]


def test_a_container_is_late_when_nobody_looked_for_over_two_intervals() -> None:
    """A missed sweep is seen, also at the end, and an inspection counts for its container alone."""
    requests = [
        *lists("one", 0, 10, 31, 40),
        *lists("two", 5, 15, 25),
        Request("one", 20, asked.INSPECT, "a"),
    ]
    found = asked.lateness(requests, Span(1, 44), INTERVAL, NAMES)
    assert (found.late_containers, found.longest) == (1, 21)
    assert asked.lateness(requests, Span(1, 46), INTERVAL, NAMES).late_containers == 2


def test_what_began_before_the_span_counts_from_the_look_before() -> None:
    """A gap that the beginning cuts is not shortened by it."""
    found = asked.lateness(lists("two", 0, 25), Span(20, 30), INTERVAL, {"two": {"c1": "c"}})
    assert (found.longest, found.late_containers) == (25, 1)


def test_calls_are_counted_within_the_span() -> None:
    """Lists an engine and interval, the most within a second, and inspections of what nothing had befallen."""
    requests = [*lists("one", 1, 1.5, 2.1, 90), *lists("two", 5)]
    requests += [Request("one", 3, asked.INSPECT, "a1"), Request("one", 4, asked.INSPECT, "b1")]
    found = asked.calls(
        [*requests, Request("one", 6, "restart", "a1")], Span(0, 20), INTERVAL, 2, {"a1", "a"}
    )
    assert (found.lists, found.lists_per_interval, found.lists_in_a_tick) == (4, 1.0, 2)
    assert (found.inspects, found.inspects_of_unchanged, found.others) == (2, 1, {"restart": 1})


def test_requests_are_read_from_the_dump(tmp_path: Path) -> None:
    """With or without a version in the path; what was refused or left unanswered is no look."""
    paths = [
        "/v1.41/containers/json?all=1",
        "/containers/a1/json",
        "/v1.41/containers/a1/restart?t=10",
        "/_ping",
    ]
    rows = [{"engine": "one", "at": 1.5, "method": "GET", "path": path, "status": 200} for path in paths]
    rows += [{**rows[0], "status": status} for status in (0, 500)]
    file = tmp_path / "requests.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert [(one.what, one.container) for one in asked.read(file)] == [
        ("list", ""),
        ("inspect", "a1"),
        ("restart", "a1"),
        ("ping", ""),
    ]


@pytest.mark.parametrize(
    ("command", "kind"),
    [
        ("python -m celery -A selfheal_project -q worker -n heal@%h -Q heal --pool=threads", "worker-heal"),
        ("python -m celery -A selfheal_project -q beat --pidfile=", "beat"),
        ("python -m celery -A selfheal_project -q flower --port=1", "flower"),
        ("python -m uvicorn selfheal_project.asgi:application", "web"),
        ("python manage.py watch", "watch"),
        ("python manage.py sweep", "sweep"),
        ("sh -c true", ""),
    ],
)
def test_processes_are_told_by_their_command_lines(command: str, kind: str) -> None:
    """Each kind of process is measured by its name."""
    assert processes.kind_of(command) == kind


def test_a_cost_is_taken_apart_into_its_terms() -> None:
    """Runs that differ in size and in containers an engine give back what they were made from."""
    sizes = [(1, 100), (2, 1000), (20, 10_000), (100, 10_000)]
    found = fit((engines, containers, 5 + 0.5 * engines + 0.01 * containers) for engines, containers in sizes)
    assert found is not None
    assert (found.fixed, found.engine, found.container) == pytest.approx((5, 0.5, 0.01))
    falling = fit(
        (engines, containers, 5 + 0.01 * containers - 0.1 * engines) for engines, containers in sizes
    )
    assert falling is not None
    assert falling.engine == 0


def test_runs_that_cannot_tell_engines_from_containers_give_no_cost() -> None:
    """With 500 containers on each engine in every run there is no saying which of the two costs."""
    assert fit((engines, 500 * engines, 5.0 + engines) for engines in (1, 2, 20, 100)) is None


def test_statements_are_told_from_transactions() -> None:
    """BEGIN and COMMIT are counted apart from what is asked."""
    found = database.summed(
        [Statement("BEGIN", 5, 1, 0), Statement("SELECT 1", 7, 2, 7), Statement("COMMIT", 5, 1, 0)]
    )
    assert (found.calls, found.control, found.milliseconds) == (7, 10, 4)
