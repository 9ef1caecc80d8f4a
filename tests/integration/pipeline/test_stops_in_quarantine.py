"""What a person stops while it is quarantined stays stopped after its release time, also where no watcher told of it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from healing.core.types import Lifecycle
from healing.engines.fake import Outcome
from healing.models import Attempt, AttemptState, FailureRecord, HealthStatus, Stage
from notifications.models import Notification
from tests.integration.loop.timeline import Timeline
from tests.integration.pipeline.test_stops_in_mid_heal import run_until

LABELS = {"selfheal.enable": "true", "selfheal.check_interval": "10", "selfheal.quarantine_release": "300"}
LEFT_ALONE = "web was found stopped and is left alone"

pytestmark = pytest.mark.django_db


def quarantined(timeline: Timeline, *, healthcheck: bool, released_in: float) -> None:
    """Web is unhealthy, or has ended, and is quarantined; no watcher has told of anything for a while."""
    timeline.fake.add("web", labels=LABELS, healthcheck=healthcheck)
    timeline.watch()
    timeline.run(60)
    timeline.look_away()
    timeline.run(90)
    if healthcheck:
        timeline.fake.make_unhealthy("web")
    else:
        timeline.fake.exit("web", 1)
    HealthStatus.objects.update(
        status="unhealthy",
        lifecycle=Lifecycle.QUARANTINED,
        consecutive_failures=1,
        quarantined_at=timeline.now,
        quarantine_until=timeline.now + timedelta(seconds=released_in),
    )


def test_a_stop_in_quarantine_holds_after_its_release_time(timeline: Timeline) -> None:
    """Told as left alone, once, and then left alone: it gets no trial. Started by a person it is watched again."""
    quarantined(timeline, healthcheck=True, released_in=120)
    timeline.run(30)
    timeline.fake.stop_by_hand("web")
    timeline.run(150)
    assert timeline.calls_of("web") == []
    assert Notification.objects.filter(title=LEFT_ALONE).count() == 1
    assert not FailureRecord.objects.exists()

    timeline.fake.start_by_hand("web")
    timeline.run(60)
    assert HealthStatus.objects.get().lifecycle == Lifecycle.RUNNING
    timeline.fake.exit("web", 1)
    timeline.run(30)
    assert len(timeline.calls_of("web")) == 1


def test_a_stop_while_the_trial_is_verified_holds(timeline: Timeline) -> None:
    """Verification sees that it has ended, and not by whom: the next trial does not start it."""
    quarantined(timeline, healthcheck=False, released_in=10)
    timeline.fake.after_starts("web", Outcome())
    run_until(timeline, FailureRecord.objects.filter(stage=Stage.VERIFY).exists)
    timeline.fake.stop_by_hand("web")
    timeline.run(900)
    assert [call.method for call in timeline.calls_of("web")] == ["start"]
    assert Attempt.objects.get().state == AttemptState.FAILED
    assert FailureRecord.objects.get(is_found=True).resolved_at is not None
    assert Notification.objects.filter(title=LEFT_ALONE).count() == 1
