"""A claim that another has taken over before it was read, or that a crash of the database has undone."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from unittest import mock

import pytest

from healing.models import Container, FailureRecord, Stage
from healing.pipeline import check
from healing.store import heals
from tests.integration.loop.timeline import Timeline

pytestmark = pytest.mark.django_db
LABELS = {"selfheal.enable": "true", "selfheal.check_interval": "10", "selfheal.max_restarts": "10"}


@pytest.fixture
def timeline(db: None) -> Iterator[Timeline]:
    with Timeline() as made:
        made.fake.add("web", labels=LABELS, healthcheck=True)
        made.watch()
        made.run(60)
        yield made


def test_who_reads_its_claim_after_another_has_taken_it_over_has_none(timeline: Timeline) -> None:
    """A worker that stands still between taking a heal and reading it, for longer than its lease, must not get the fence of its successor."""
    timeline.fake.make_unhealthy("web")
    container = Container.objects.get(name="web")
    check.check_some(timeline.host.pk, [container.pk], by_event=True)
    failure = FailureRecord.objects.get(container=container, is_found=True)
    successor: list[FailureRecord | None] = []

    def stand_still(*_: object, **__: object) -> None:
        if not successor:
            successor.append(None)
            timeline._clock.shift(timedelta(seconds=61))
            with mock.patch.object(heals, "owner", return_value="another"):
                successor[0] = heals.claim(failure.pk, Stage.DIAGNOSE, 60)

    with mock.patch.object(heals.logger, "debug", stand_still):
        late = heals.claim(failure.pk, Stage.DIAGNOSE, 60)
    assert successor[0] is not None
    assert late is None, f"both have fence {late.fence}"


def test_a_fence_that_was_given_out_twice_lets_only_the_last_write(timeline: Timeline) -> None:
    """A database that crashes loses the newest claims, and gives the next worker the number that the first still has in hand."""
    failure = heals.open_failure(
        Container.objects.get(), timeline.now, failure_type="container_error", error_message="gone"
    )
    assert failure is not None
    before = FailureRecord.objects.filter(pk=failure.pk).values("fence", "lease_until", "lease_owner")[0]
    first = heals.claim(failure.pk, Stage.DIAGNOSE, 60)
    FailureRecord.objects.filter(pk=failure.pk).update(**before)
    with mock.patch.object(heals, "owner", return_value="another"):
        second = heals.claim(failure.pk, Stage.DIAGNOSE, 60)
    assert first is not None
    assert second is not None
    assert first.fence == second.fence
    with pytest.raises(heals.StaleFence):
        heals.move(first, Stage.RESTART, None)
    heals.move(second, Stage.OBSERVE, None)
    failure.refresh_from_db()
    assert failure.stage == Stage.OBSERVE
