"""A clock that is set back stops neither the checks nor the heals until it has caught up."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from healing.core.types import ExecResult
from healing.engines.fake import Outcome
from healing.models import Attempt, CheckShard, FailureRecord, HealthStatus, Stage
from healing.store import setback
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
