"""F17: half an hour of a crash loop, in time that the test moves, on the engine that is scripted."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import timedelta

import pytest

from healing.engines.fake import Outcome
from healing.models import Attempt, Container
from notifications.models import Notification
from tests.faults.world import seed
from tests.integration.loop.timeline import Timeline
from tests.integration.test_property8 import at_every_step, within_budget

HALF_AN_HOUR = 1800.0

pytestmark = [pytest.mark.django_db, pytest.mark.quick_fault]


@pytest.fixture
def timeline(db: None) -> Iterator[Timeline]:
    with Timeline() as started:
        yield started


def test_f17_half_an_hour_of_a_crash_loop(timeline: Timeline) -> None:
    """Never over budget, one heal at a time, and one page: the budget in the window and in a row, then quarantine."""
    moments = random.Random(f"{seed()}:F17")
    limit = moments.randint(1, 5)
    labels = {"selfheal.enable": "true", "selfheal.check_interval": "10", "selfheal.max_restarts": str(limit)}
    timeline.fake.add("loops", labels=labels)
    timeline.fake.after_starts("loops", Outcome("exit", moments.uniform(0.5, 20.0), 1))
    timeline.watch()
    timeline.at(moments.uniform(20, 60), lambda: timeline.fake.exit("loops", 1))
    timeline.run(HALF_AN_HOUR, at_every_step)
    within_budget(Container.objects.get(name="loops"))
    calls = timeline.calls_of("loops")
    assert len(calls) == Attempt.objects.filter(called_at__isnull=False).count() == limit
    told = list(Notification.objects.filter(level="critical").values_list("created_at", flat=True))
    assert len(told) == 1, "one page"
    assert told[0] - timeline.begin < timedelta(seconds=HALF_AN_HOUR)
