"""A check that closes a failure which somebody has moved, told or asked for since the check read it."""

from __future__ import annotations

from unittest import mock

import pytest

from healing import commands
from healing.core.types import Lifecycle
from healing.models import Container, FailureRecord, Stage
from healing.pipeline import check, diagnosing
from healing.store import heals
from tests.integration.loop.timeline import Timeline
from tests.integration.pipeline.test_alert_details import started, story

pytestmark = pytest.mark.django_db


def stale(timeline: Timeline, **values: object) -> FailureRecord:
    """The open failure of web as a check has read it, before anything was decided."""
    started(timeline, "web", **values)
    timeline.fake.make_unhealthy("web")
    check.check_some(timeline.host.pk, [Container.objects.get().pk], by_event=True)
    return FailureRecord.objects.get()


def close_late(timeline: Timeline, read: FailureRecord) -> None:
    """The check judges what the engine says now, by the failure as it was read."""
    with mock.patch.object(heals, "open_failures", return_value={read.container_id: read}):
        check.check_some(timeline.host.pk, [read.container_id], by_event=True)


@pytest.mark.parametrize("end", ["recovers", "removed"])
def test_what_was_told_meanwhile_has_its_end(timeline: Timeline, end: str) -> None:
    """The worker that told it and gave it back has left its fence: what fires must not fire for ever."""
    failure_id = stale(timeline, auto_restart="false").pk
    failure = heals.claim(failure_id, Stage.DIAGNOSE, 60.0)
    assert failure is not None
    read = FailureRecord.objects.get()
    assert (read.fence, read.alert_level) == (failure.fence, "")
    with mock.patch.object(heals, "claim", return_value=failure):
        diagnosing.run(failure_id)
    assert FailureRecord.objects.get().stage == Stage.OBSERVE
    if end == "recovers":
        timeline.fake.make_healthy("web")
    else:
        timeline.fake.remove("web")
    close_late(timeline, read)
    timeline.run(60)
    assert FailureRecord.objects.get().resolved_at is not None
    assert [row[2] for row in story("web")] == ["firing", "resolved"]


def test_what_was_told_at_the_same_stage_has_its_end(timeline: Timeline) -> None:
    """A wait tells as well, and the failure stays in its diagnosis."""
    failure_id = stale(timeline, auto_restart="false").pk
    read = FailureRecord.objects.get()
    diagnosing.run(failure_id)
    told = FailureRecord.objects.get()
    assert told.alert_level
    FailureRecord.objects.update(stage=Stage.DIAGNOSE, fence=read.fence, lease_owner=read.lease_owner)
    timeline.fake.make_healthy("web")
    close_late(timeline, read)
    assert FailureRecord.objects.get().resolved_at is not None
    assert [row[2] for row in story("web")] == ["firing", "resolved"]


def test_what_a_person_demands_meanwhile_is_done(timeline: Timeline) -> None:
    """That it is healthy again is no answer to who asks for a restart."""
    read = stale(timeline)
    commands.heal_now(Container.objects.get())
    timeline.fake.make_healthy("web")
    close_late(timeline, read)
    assert FailureRecord.objects.get().resolved_at is None
    timeline.run(60)
    assert [call.method for call in timeline.calls_of("web")] == ["restart"]


def test_a_demand_about_what_is_gone_is_closed(timeline: Timeline) -> None:
    """There is nothing left to restart."""
    read = stale(timeline)
    commands.heal_now(Container.objects.get())
    timeline.fake.remove("web")
    close_late(timeline, read)
    assert FailureRecord.objects.get().reason == "container removed"
    assert Container.objects.get().health.lifecycle == Lifecycle.GONE
