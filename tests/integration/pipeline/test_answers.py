"""What follows from an engine call whose answer was lost, and from one that never left here."""

from __future__ import annotations

from datetime import timedelta
from unittest import mock

import pytest

from healing.core.errors import EngineUnreachable
from healing.core.types import Lifecycle
from healing.engines.fake import FakeEngine
from healing.models import Attempt, AttemptState, Container, HealthStatus
from healing.pipeline import check, diagnosing, restarting
from tests.integration.loop.timeline import Timeline
from tests.integration.pipeline.test_alert_details import started

pytestmark = pytest.mark.django_db

STOP_TIMEOUT = 90.0


def intended(timeline: Timeline, *, is_watched: bool = True) -> int:
    """A restart of web is decided, and not yet carried out."""
    started(timeline, "web", stop_timeout=f"{STOP_TIMEOUT:g}", verify_timeout=10)
    if not is_watched:
        timeline.look_away()
        timeline.run(90)
    timeline.fake.make_unhealthy("web")
    (found,) = check.check_some(timeline.host.pk, [Container.objects.get().pk], by_event=True)
    diagnosing.run(found.failure_id)
    return found.failure_id


def test_what_may_still_happen_is_waited_for_as_long_as_the_engine_may_take(timeline: Timeline) -> None:
    """A proxy gives up long before a container has stopped: another call would restart what the first has just started."""
    failure_id = intended(timeline)
    called_at = timeline.now
    timeline.fake.hang_next_action(succeeds=False)
    restarting.run(failure_id)
    attempt = Attempt.objects.get()
    assert (attempt.state, attempt.answered_at) == (AttemptState.VERIFYING, None)
    comes = (called_at - timeline.begin).total_seconds() + STOP_TIMEOUT
    timeline.at(comes, lambda: timeline.fake.restart("web", STOP_TIMEOUT, 60.0))
    timeline.run(STOP_TIMEOUT + 60)
    assert Attempt.objects.get().state == AttemptState.SUCCEEDED
    assert len(timeline.calls_of("web")) == 2


@pytest.mark.parametrize("is_watched", [True, False])
def test_a_stop_while_the_engine_was_called_in_vain_is_a_persons(
    timeline: Timeline, is_watched: bool
) -> None:
    """Nothing was sent, so the stop signal of that time and the exit are none of ours."""
    failure_id = intended(timeline, is_watched=is_watched)

    def connect(*_: object) -> None:
        timeline.fake.stop_by_hand("web")
        timeline._clock.shift(timedelta(seconds=5))
        raise EngineUnreachable("no answer from the engine within 10 s")

    with mock.patch.object(FakeEngine, "restart", connect):
        restarting.run(failure_id)
    assert Attempt.objects.get().state == AttemptState.FAILED
    timeline.run(180)
    assert timeline.calls_of("web") == []
    assert HealthStatus.objects.get().lifecycle == Lifecycle.STOPPED_BY_HAND
