"""How many statements each path that runs for a container takes: the price of a heal, and of a fleet."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from healing.core.types import ExecResult
from healing.engines.fake import Outcome
from healing.models import Container
from healing.pipeline import check, diagnosing, restarting, sweep, verifying
from healing.store.heals import Next
from tests.integration.loop.timeline import Timeline

LABELS = {"selfheal.enable": "true", "selfheal.check_interval": "10"}

T = TypeVar("T")

pytestmark = pytest.mark.django_db


def started(timeline: Timeline, number: int, first: int = 0) -> None:
    """So many containers that have been seen healthy for a minute."""
    for index in range(first, first + number):
        timeline.fake.add(f"web-{index:03}", labels=LABELS, healthcheck=True)
    timeline.watch()
    timeline.run(60)


def statements(work: Callable[[], T]) -> tuple[T, list[str]]:
    """What the work returns, and its statements, those that only begin and end transactions apart."""
    with CaptureQueriesContext(connection) as captured:
        result = work()
    asides = ("BEGIN", "COMMIT", "SAVEPOINT", "RELEASE", "SET LOCAL", "SELECT clock_timestamp")
    return result, [q["sql"] for q in captured.captured_queries if not q["sql"].startswith(asides)]


def sweep_once(timeline: Timeline) -> list[str]:
    return statements(lambda: sweep.check_shard(timeline.host.pk, 0, lambda _: None))[1]


def test_a_sweep_costs_the_same_for_a_few_containers_and_for_many(timeline: Timeline) -> None:
    """Statements grow with hosts and changes, not with containers; what is as it was is not inspected."""
    started(timeline, 3)
    few = sweep_once(timeline)
    started(timeline, 120, first=3)
    calls = len(timeline.fake.calls)
    many = sweep_once(timeline)

    assert len(many) == len(few) <= 10, many
    assert [call.method for call in timeline.fake.calls[calls:]] == ["list"]


def test_one_that_changed_adds_one_inspection_and_a_fixed_price(timeline: Timeline) -> None:
    """The others of its host cost nothing more for it."""
    started(timeline, 40)
    quiet = sweep_once(timeline)
    timeline.fake.make_unhealthy("web-000")
    calls = len(timeline.fake.calls)
    changed = sweep_once(timeline)

    assert len(changed) - len(quiet) <= 6, changed
    assert [call.method for call in timeline.fake.calls[calls:]] == ["list", "inspect"]


def test_few_statements_stand_between_an_event_and_the_engine_call(timeline: Timeline) -> None:
    """Each is a wait of the container: check, diagnose and restart together, up to the call."""
    started(timeline, 3)
    container = Container.objects.get(name="web-000")
    timeline.fake.make_unhealthy("web-000")
    found, checking = statements(lambda: check.check_some(timeline.host.pk, [container.pk], by_event=True))
    decided, diagnosis = statements(lambda: diagnosing.run(found[0].failure_id))
    assert decided is not None
    _, restart = statements(lambda: restarting.run(decided.failure_id))
    before_the_call = next(number for number, sql in enumerate(restart, 1) if "'called'" in sql)

    assert len(checking) <= 6, checking
    assert len(diagnosis) <= 9, diagnosis
    # One of them reads anew, after the engine was asked, what a person or the watcher may have written meanwhile.
    assert before_the_call <= 7, restart


def test_verifying_asks_the_container_once(timeline: Timeline) -> None:
    """On a busy engine each run of a health command delays the heals of others."""
    started(timeline, 1)
    command = timeline.fake.inspect("web-000").health_command.argv
    timeline.fake.after_starts("web-000", Outcome("healthy", 5.0))
    timeline.fake.answer_exec("web-000", command, ExecResult(0, ""))
    timeline.fake.make_unhealthy("web-000")
    container = Container.objects.get(name="web-000")
    following: Next | None = check.check_some(timeline.host.pk, [container.pk], by_event=True)[0]
    for stage in (diagnosing.run, restarting.run):
        assert following is not None
        following = stage(following.failure_id)
    assert following is not None
    calls = len(timeline.fake.calls)
    verifying.run(following.failure_id)

    assert [call.method for call in timeline.fake.calls[calls:]] == ["inspect", "exec"]
    container.health.refresh_from_db()
    assert container.health.status == "healthy"
