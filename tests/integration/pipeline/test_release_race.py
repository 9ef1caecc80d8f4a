"""What a person does while a quarantine is being decided: ends it, or begins maintenance."""

from __future__ import annotations

from datetime import timedelta
from unittest import mock

import pytest

from healing import commands
from healing.effective import ConfigBook, config_book
from healing.models import Container, FailureRecord, HealthStatus
from healing.pipeline import diagnosing
from healing.pipeline.case import Case, gather
from tests.integration.loop.timeline import Timeline
from tests.integration.pipeline.test_alert_details import never_well, started, told

pytestmark = pytest.mark.django_db


def test_a_release_during_the_last_look_at_a_trial_stands(timeline: Timeline) -> None:
    """Nothing would fire any more: the quarantine's alert has ended, and what a trial leads to is told to nobody."""
    started(timeline, "web", healthcheck=False, max_restarts=2, backoff_initial=5, quarantine_release=120)
    never_well(timeline, "web")
    released: list[str] = []

    def slowly(failure: FailureRecord, book: ConfigBook) -> Case | None:
        found = gather(failure, book)
        if failure.is_trial and found is not None and found.made and not released:
            commands.release(Container.objects.get(name="web"))
            status = HealthStatus.objects.get()
            released.append(status.lifecycle)
            assert status.released_at == timeline.now
        return found

    with mock.patch.object(diagnosing, "gather", slowly):
        while not released:
            timeline.run(10)
    assert HealthStatus.objects.get().lifecycle != "quarantined"
    failure = FailureRecord.objects.get(resolved_at=None)
    assert not failure.is_trial
    for _ in range(120):
        if HealthStatus.objects.get().lifecycle == "quarantined":
            break
        timeline.run(10)
    kinds = [row.kind for row in told("web") if row.alertname == "quarantined"]
    assert kinds == ["firing", "resolved", "firing"]


def test_maintenance_that_begins_during_the_last_look_leaves_nothing_quarantined(timeline: Timeline) -> None:
    """Its critical alert would be told to nobody, then or later; it is quarantined, and told, when the window is over."""
    started(timeline, "web", healthcheck=False, max_restarts=1, quarantine_release=0)
    never_well(timeline, "web")
    container, begun = Container.objects.get(name="web"), []

    def slowly(failure: FailureRecord, book: ConfigBook) -> Case | None:
        found = gather(failure, book)
        if found is not None and found.made and not begun:
            begun.append(commands.start_maintenance(container, timeline.now + timedelta(minutes=5)))
            assert config_book() is not book
        return found

    with mock.patch.object(diagnosing, "gather", slowly):
        while not begun:
            timeline.run(1)
    timeline.run(60)
    assert HealthStatus.objects.get().lifecycle != "quarantined"
    assert FailureRecord.objects.get(resolved_at=None).reason.startswith("held: maintenance")
    assert not [row for row in told("web") if row.alertname == "quarantined"]
    timeline.run(300)
    assert HealthStatus.objects.get().lifecycle == "quarantined"
    assert [row.level for row in told("web") if row.alertname == "quarantined"] == ["critical"]
