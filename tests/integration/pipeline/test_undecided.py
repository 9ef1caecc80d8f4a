"""How often a failing container is asked of which there is nothing to decide for now."""

from __future__ import annotations

import pytest

from tests.integration.loop.timeline import Timeline
from tests.integration.pipeline.test_stops_in_mid_heal import found, running, touched

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("is_new", [False, True])
def test_what_is_paused_or_was_never_started_is_not_asked_every_moment(
    timeline: Timeline, is_new: bool
) -> None:
    """A person may leave it so for days; healed it is soon after it runs again."""
    running(timeline)
    timeline.fake.make_unhealthy("web")
    found(timeline)
    if is_new:
        timeline.fake._world.find("web").status = "created"
    else:
        timeline.fake.pause("web")
    asked = len(timeline.fake.calls)
    timeline.run(120)
    methods = [call.method for call in timeline.fake.calls[asked:]]
    sweeps = methods.count("list")  # each looks at what fails
    assert methods.count("inspect") - sweeps <= 16
    assert touched(timeline) == []
    if is_new:
        timeline.fake.start_by_hand("web")
    else:
        timeline.fake.unpause("web")
    timeline.fake.make_unhealthy("web")
    timeline.run(15)
    assert touched(timeline) == ["restart"]
