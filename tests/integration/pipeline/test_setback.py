"""A clock that is set back stops neither the checks nor the heals until it has caught up."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from healing import commands
from healing.core.config import Config
from healing.core.limits import budget
from healing.core.types import ExecResult
from healing.engines.fake import Outcome
from healing.models import (
    Attempt,
    CheckShard,
    Container,
    FailureRecord,
    HealthStatus,
    Heartbeat,
    Host,
    Stage,
    SystemState,
)
from healing.pipeline import diagnosing
from healing.store import history, hosts, setback, statuses
from tests.integration.asking.rows import make_attempt, make_container, make_failure
from tests.integration.loop.timeline import Timeline

pytestmark = pytest.mark.django_db

LABELS = {"selfheal.enable": "true", "selfheal.check_interval": "10"}
HOUR = timedelta(hours=1)


@pytest.fixture
def timeline(db: None) -> Iterator[Timeline]:
    with Timeline() as made:
        made.fake.add("web", labels=LABELS, healthcheck=True)
        made.fake.add("db", labels=LABELS)
        made.watch()
        made.run(60)
        yield made


def test_containers_are_checked_and_healed_as_before(timeline: Timeline) -> None:
    """What was due at a time of before would wait for an hour, and nobody would be told."""
    command = timeline.fake.inspect("web").health_command.argv
    timeline.fake.answer_exec("web", command, ExecResult(1, "no"))
    timeline.fake.after_starts("web", Outcome("unhealthy", 1.0))
    timeline.fake.make_unhealthy("web")
    timeline.run(30)
    assert FailureRecord.objects.get(is_found=True).resolved_at is None
    timeline.look_away()
    timeline._clock.move_to(timeline.now - HOUR)
    timeline.fake.answer_exec("web", command, ExecResult(0, ""))
    timeline.fake.after_starts("web", Outcome("healthy", 1.0))
    timeline.fake.exit("db", 1)
    listed = sum(call.method == "list" for call in timeline.fake.calls)
    timeline.run(240)
    assert sum(call.method == "list" for call in timeline.fake.calls) - listed >= 20
    assert set(HealthStatus.objects.values_list("status", flat=True)) == {"healthy"}
    assert not FailureRecord.objects.filter(resolved_at=None).exists()


def test_a_claim_that_was_made_since_is_left_alone(timeline: Timeline) -> None:
    """A worker may claim between the setting and the next tick: nobody else may take its heal then."""
    now = timeline.now
    old, new = (make_failure(make_container(name), took=None, stage=Stage.RESTART) for name in ("a", "b"))
    rows = FailureRecord.objects
    rows.filter(pk=old.pk).update(lease_until=now + HOUR + timedelta(seconds=30), due_at=now + HOUR)
    rows.filter(pk=new.pk).update(lease_until=now + timedelta(seconds=30), due_at=now)
    make_attempt(old, called_at=now + HOUR)
    setback.beat(now + HOUR)
    setback.beat(now)
    old.refresh_from_db()
    new.refresh_from_db()
    assert (old.lease_until, old.due_at) == (now + timedelta(seconds=30), now)
    assert (new.lease_until, new.due_at) == (now + timedelta(seconds=30), now)
    assert Attempt.objects.get().called_at == now
    due_at = list(CheckShard.objects.values_list("next_due_at", flat=True))
    setback.beat(now + timedelta(seconds=1))
    assert list(CheckShard.objects.values_list("next_due_at", flat=True)) == due_at


MINUTE = timedelta(minutes=1)


def set_back(timeline: Timeline) -> None:
    """The tick shows itself, the clock is set back by an hour, and the tick goes on."""
    setback.beat(timeline.now)
    timeline._clock.move_to(timeline.now - HOUR)
    setback.beat(timeline.now)


def spent(container: Container, failure: FailureRecord, timeline: Timeline) -> tuple[int, int]:
    """Attempts in a row and within the window, as a decision counts them."""
    container.health.refresh_from_db()
    failure.refresh_from_db()
    past = history.as_past(history.newest_attempts(container, 6))
    found = budget(past, failure.detected_at, Config(), timeline.now, container.health.released_at)
    return found.in_row, found.in_window


def failing(timeline: Timeline, container: Container, number: int) -> FailureRecord:
    """An attempt a minute, each for a failure of its own that came back; the newest failure is open."""
    for left in range(number, -1, -1):
        at = timeline.now - left * MINUTE
        ends = {} if not left else {"resolved_at": at + MINUTE / 2}
        failure = make_failure(container, took=None, detected_at=at, stage="closed" if left else "diagnose")
        FailureRecord.objects.filter(pk=failure.pk).update(**ends)
        if left:
            make_attempt(failure, ended_at=at + MINUTE / 2)
    return failure


def test_limits_stand_as_they_did(timeline: Timeline) -> None:
    """A failure that seems to be found an hour after the last attempt would look like one after a lasting recovery."""
    container = Container.objects.get(name="web")
    failure = failing(timeline, container, 4)
    before = spent(container, failure, timeline)
    assert before == (4, 4)
    took = FailureRecord.objects.order_by("pk")[0]
    set_back(timeline)
    assert spent(container, failure, timeline) == before
    moved = FailureRecord.objects.get(pk=took.pk)
    assert moved.detected_at == took.detected_at - HOUR
    assert took.resolved_at is not None
    assert moved.resolved_at == took.resolved_at - HOUR
    assert FailureRecord.objects.get(pk=failure.pk).resolved_at is None


def test_a_heal_goes_on_whose_attempts_are_no_longer_in_the_order_of_their_times(timeline: Timeline) -> None:
    """The newest attempt, made an hour later, is moved to before the one that went before it: the next is the third."""
    timeline._clock.shift(3 * HOUR)
    timeline.look_away()
    timeline.fake.make_unhealthy("web")
    failure = make_failure(
        Container.objects.get(name="web"), took=None, detected_at=timeline.now - 66 * MINUTE
    )
    FailureRecord.objects.filter(pk=failure.pk).update(stage=Stage.DIAGNOSE)
    for number, ago in ((1, 65 * MINUTE), (2, 10 * MINUTE)):
        at = timeline.now - ago
        make_attempt(failure, number, state="failed", intent_at=at, called_at=at, ended_at=at + MINUTE)
    set_back(timeline)
    times = list(Attempt.objects.order_by("number").values_list("intent_at", flat=True))
    assert times[0] > times[1]
    diagnosing.run(failure.pk)
    assert list(Attempt.objects.order_by("pk").values_list("number", flat=True)) == [1, 2, 3]


def test_a_release_forgives_what_was_before_it_and_nothing_after(timeline: Timeline) -> None:
    """Left in the future it would forgive every attempt to come; set back by an hour, it would forgive none of before."""
    container = Container.objects.get(name="web")
    old = failing(timeline, container, 3)
    statuses.quarantine(container, timeline.now, None)
    commands.release(container)
    Attempt.objects.update(intent_at=timeline.now - HOUR - MINUTE)
    set_back(timeline)
    assert spent(container, old, timeline)[0] == 0
    timeline._clock.shift(MINUTE)
    make_attempt(old, 7, intent_at=timeline.now)
    assert spent(container, old, timeline)[0] == 1


def test_a_quarantine_ends_as_soon_as_it_would_have(timeline: Timeline) -> None:
    """A check that looked before writes none of it back."""
    container = Container.objects.get(name="web")
    begun = timeline.now
    statuses.quarantine(container, begun, begun + MINUTE)
    row = HealthStatus.objects.get(pk=container.pk)
    set_back(timeline)
    moved = HealthStatus.objects.get(pk=container.pk)
    assert (moved.quarantined_at, moved.quarantine_until) == (begun - HOUR, begun - HOUR + MINUTE)
    assert not statuses.write(row, statuses.to_core(row))


def test_demands_breakers_and_signs_are_as_old_as_they_were(timeline: Timeline) -> None:
    """What waits for calm would wait an hour longer, and a dead watcher would count as alive; a stop by hand stands."""
    container, now = Container.objects.get(name="web"), timeline.now
    failure = make_failure(container, took=None, detected_at=now, forced_at=now)
    SystemState.objects.update_or_create(pk=1, defaults={"breaker_since": now, "breaker_calm_since": now})
    Host.objects.update(breaker_since=now, breaker_calm_since=now)
    statuses.mark(container.pk, stop_signal_at=now)
    hosts.beat("watch:dead", now)
    set_back(timeline)
    failure.refresh_from_db()
    assert (failure.detected_at, failure.forced_at) == (now - HOUR, now - HOUR)
    for row in (SystemState.objects.get(), Host.objects.get(pk=timeline.host.pk)):
        assert (row.breaker_since, row.breaker_calm_since) == (now, now - HOUR)
    assert Heartbeat.objects.get(name="watch:dead").at == now - HOUR
    assert HealthStatus.objects.get(pk=container.pk).stop_signal_at == now
