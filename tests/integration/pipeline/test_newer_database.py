"""Code of before on a database that has been migrated: it says so, and lays it on no container."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import IntegrityError, connection, models

from healing.core.types import Lifecycle
from healing.models import (
    Attempt,
    AttemptState,
    Container,
    DeadLetter,
    FailureRecord,
    HealthStatus,
    Stage,
    Trouble,
)
from healing.pipeline import check, stages
from healing.store import heals, troubles
from healing.store.clock import db_now
from tests.integration.loop.timeline import Timeline

LABELS = {"selfheal.enable": "true", "selfheal.check_interval": "10"}

pytestmark = pytest.mark.django_db


def migrate(model: type[models.Model]) -> None:
    """A column more that may not be empty and has no default: what a migration leaves on PostgreSQL."""
    table = model._meta.db_table
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
            cursor.execute(f"ALTER TABLE {table} ADD COLUMN newer integer NOT NULL DEFAULT 0")
            cursor.execute(f"ALTER TABLE {table} ALTER COLUMN newer DROP DEFAULT")
            return
        says = f"NOT NULL constraint failed: {table}.newer"
        cursor.execute(
            f"CREATE TRIGGER newer BEFORE INSERT ON {table} BEGIN SELECT RAISE(ABORT, '{says}'); END"
        )


def added(timeline: Timeline) -> Container:
    timeline.fake.add("web", labels=LABELS, healthcheck=True)
    timeline.watch()
    timeline.run(60)
    return Container.objects.get()


def test_a_failure_that_cannot_be_opened_is_not_taken_for_one_that_is_open(timeline: Timeline) -> None:
    """Nobody would heal it, and nobody would know. One that is open already is as before."""
    container = added(timeline)
    assert heals.open_failure(container, db_now()) is not None
    assert heals.open_failure(container, db_now()) is None
    FailureRecord.objects.update(resolved_at=db_now())
    migrate(FailureRecord)
    with pytest.raises(IntegrityError):
        heals.open_failure(container, db_now())


def test_a_trouble_that_cannot_be_opened_is_not_taken_for_one_that_is_told(
    timeline: Timeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The dead-man's switch would be mute. Of two who see it at once, one tells."""
    assert troubles.open_trouble("self", "it is silent", db_now())
    with monkeypatch.context() as patch:
        patch.setattr(models.QuerySet, "first", lambda _: None)  # the other one's row came after this look
        assert not troubles.open_trouble("self", "it is silent", db_now())
    migrate(Trouble)
    with pytest.raises(IntegrityError):
        troubles.open_trouble("another", "it is silent as well", db_now())


def test_a_verification_that_the_database_refuses_quarantines_nothing(timeline: Timeline) -> None:
    """The container is healthy, and only the record of that cannot be written."""
    container = added(timeline)
    timeline.fake.make_unhealthy("web")
    check.check_some(timeline.host.pk, [container.pk], by_event=True)
    failure = FailureRecord.objects.get(is_found=True)
    for stage in (Stage.DIAGNOSE, Stage.RESTART):
        stages.run(stage, failure.pk)
    timeline._clock.shift(timedelta(seconds=30))
    migrate(FailureRecord)
    for _ in range(3):
        with pytest.raises(IntegrityError):
            stages.run(Stage.VERIFY, failure.pk)
        timeline._clock.shift(heals.BROKEN_PAUSE + timedelta(seconds=1))
    failure.refresh_from_db()
    assert (failure.resolved_at, failure.lost_claims) == (None, 0)
    assert Attempt.objects.get().state == AttemptState.VERIFYING
    assert HealthStatus.objects.get().lifecycle != Lifecycle.QUARANTINED
    assert not DeadLetter.objects.exists()
