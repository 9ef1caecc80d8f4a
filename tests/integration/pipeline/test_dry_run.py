"""Dry run on the fake engine: what would be done is recorded, and nothing is touched."""

from __future__ import annotations

import pytest
from django.core.management import call_command

from healing import commands
from healing.core.types import ExecResult
from healing.engines.fake import Outcome
from healing.models import Attempt, AttemptState, Container, FailureRecord, HealingConfig, Stage
from healing.pipeline import diagnosing, restarting
from notifications.models import Notification
from tests.integration.loop.timeline import Timeline

LABELS = {"selfheal.enable": "true", "selfheal.check_interval": "10"}

pytestmark = pytest.mark.django_db


@pytest.fixture
def web(timeline: Timeline) -> Container:
    """A container that has been up, and seen healthy, for a minute."""
    timeline.fake.add("web", labels=LABELS, healthcheck=True)
    timeline.watch()
    timeline.run(60)
    return Container.objects.get(name="web")


def told() -> list[str]:
    """The levels of all alerts, sorted: several can be of one moment here."""
    return sorted(Notification.objects.values_list("level", flat=True))


def dry_run(switch: str, timeline: Timeline) -> None:
    call_command("dry_run", switch, "--host", timeline.host.name)


def test_recorded_told_once_and_not_touched(timeline: Timeline, web: Container) -> None:
    """Scenario 31: the record says what would be done; no attempt, no call, no second alert; then healed for real."""
    dry_run("on", timeline)
    timeline.fake.make_unhealthy("web")
    timeline.run(330)
    failure = FailureRecord.objects.get()
    assert (failure.action, failure.action_result, failure.stage) == ("none", "pending", Stage.OBSERVE)
    assert failure.reason == f"dry run of host {timeline.host.name}: would restart: health check failing"
    assert not Attempt.objects.exists()
    assert not timeline.calls_of("web")
    assert told() == ["info"]

    dry_run("off", timeline)
    timeline.run(15)
    failure.refresh_from_db()
    assert failure.action_result == "success"
    assert len(timeline.calls_of("web")) == 1
    assert told() == ["info", "info", "warning"]


def test_what_recovers_by_itself_is_closed(timeline: Timeline, web: Container) -> None:
    """The record of a dry run ends with its failure, and so does its alert."""
    dry_run("on", timeline)
    timeline.fake.make_unhealthy("web")
    timeline.run(60)
    timeline.fake.make_healthy("web")
    timeline.run(30)
    assert FailureRecord.objects.get().reason == "recovered without an action of ours"
    assert told() == ["info", "info"]


def test_a_spent_budget_would_quarantine(timeline: Timeline, web: Container) -> None:
    """Limits are real: where the budget is spent it says so, and does not quarantine either."""
    web.config = HealingConfig.objects.create(name="twice", max_restarts=2)
    web.save()
    timeline.fake.after_starts("web", Outcome("unhealthy", 20.0))
    command = timeline.fake.inspect("web").health_command.argv
    timeline.fake.answer_exec("web", command, ExecResult(1, "still sick"))
    timeline.fake.make_unhealthy("web")
    while Attempt.objects.count() < 2:
        timeline.run(10)
    dry_run("on", timeline)
    timeline.run(60)
    failure = FailureRecord.objects.get(is_found=True)
    assert "would quarantine: budget spent: 2 restarts" in failure.reason
    assert failure.resolved_at is None
    web.health.refresh_from_db()
    assert web.health.lifecycle != "quarantined"
    assert len(timeline.calls_of("web")) == 2
    assert "critical" not in told()


def test_a_dry_run_that_begins_before_the_call_forbids_it(timeline: Timeline, web: Container) -> None:
    """The guard refuses, also for what a person asked for, and the record tells what would have been done."""
    timeline.fake.make_unhealthy("web")
    commands.heal_now(web)
    failure = FailureRecord.objects.get()
    diagnosing.run(failure.pk)
    call_command("dry_run", "on", "--all")
    restarting.run(failure.pk)
    attempt = Attempt.objects.get()
    assert (attempt.state, attempt.outcome) == (AttemptState.WITHDRAWN, "dry run of everything")
    timeline.run(20)
    failure.refresh_from_db()
    assert failure.reason == "dry run of everything: would restart: health check failing"
    assert not timeline.calls_of("web")


def test_a_persons_demand_is_refused(timeline: Timeline, web: Container) -> None:
    """Who asks for a heal in a dry run is told why there is none, and what to do."""
    call_command("dry_run", "on", "--container", "web")
    with pytest.raises(commands.Refused, match="dry run of container web; switch that off first"):
        commands.heal_now(Container.objects.get(name="web"))
    assert not FailureRecord.objects.exists()
