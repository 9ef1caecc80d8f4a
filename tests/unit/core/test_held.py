"""Heals that wait for a maintenance window, and dry runs: what would be done is the true decision."""

from __future__ import annotations

from typing import Any

import pytest

from healing.core.config import Config
from healing.core.decide import FLEET_CEILING, OBSERVE_EVERY, Course, Decision, Hold, Situation, decide
from healing.core.diagnose import Diagnosis
from healing.core.types import EngineState, FailureType
from healing.core.window import Window
from tests.unit.core.build import NOW, at, exited, healthy_status, room, unhealthy

DIAGNOSIS = Diagnosis("health check failing", "It fails.", FailureType.HEALTH_CHECK_FAILED)
HOLD = Hold("maintenance nightly until 04:00", at(60))


def choose(config: Config | None = None, **facts: Any) -> Decision:
    base: dict[str, Any] = {"snapshot": unhealthy(), "status": healthy_status(), "budget": room()}
    return decide(DIAGNOSIS, config or Config(), Situation(**(base | facts)), NOW)


@pytest.mark.parametrize(
    "facts",
    [
        {},
        {"budget": room(in_row=5)},
        {"config": Config(auto_restart=False)},
        {"dry_run_by": "host h1"},
    ],
)
def test_held_until_the_window_ends(facts: Any) -> None:
    """In maintenance nothing is done and nobody told, whatever else would follow; it is decided again at its end."""
    assert choose(hold=HOLD, **facts) == Decision(
        Course.WAIT, "held: maintenance nightly until 04:00", at(60)
    )


@pytest.mark.parametrize(
    ("facts", "course"),
    [
        ({"forced": True}, Course.ACT),
        ({"paused_until": at(90), "paused_by": "everything is paused"}, Course.WAIT),
        ({"snapshot": exited(143), "status": healthy_status(stop_signal_at=at(-11))}, Course.CLOSE),
    ],
)
def test_what_goes_before_a_hold(facts: Any, course: Course) -> None:
    """A person's demand goes through maintenance; a pause and a stop by hand say more than it does."""
    decision = choose(hold=HOLD, **facts)
    assert decision.course is course
    assert "maintenance" not in decision.reason


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({}, "dry run of host h1: would restart: health check failing"),
        ({"forced": True}, "dry run of host h1: would restart: health check failing"),
        (
            {"budget": room(in_window=5, in_row=1)},
            "dry run of host h1: would quarantine: budget spent: 5 restarts within 300 s",
        ),
        (
            {"budget": room(in_row=5)},
            "dry run of host h1: would quarantine: budget spent: 5 restarts in a row",
        ),
        (
            {"is_trial": True, "attempts_tried": 1},
            "would quarantine: the trial after quarantine did not help",
        ),
        ({"window": Window(first=8)}, "would restart"),
        ({"heals_under_way": FLEET_CEILING}, "would restart"),
    ],
)
def test_a_dry_run_tells_what_would_be_done(facts: Any, words: str) -> None:
    """Where it would act, or give up, it says so and touches nothing; what only delays does not change the answer."""
    decision = choose(dry_run_by="host h1", **facts)
    assert decision.course is Course.DRY_RUN
    assert words in decision.reason
    assert decision.not_before == at(OBSERVE_EVERY)


@pytest.mark.parametrize(
    ("facts", "course"),
    [
        ({"budget": room(in_row=1, backoff=10.0, not_before=at(4))}, Course.WAIT),
        ({"config": Config(auto_restart=False)}, Course.OBSERVE),
        ({"snapshot": unhealthy(state=EngineState.PAUSED)}, Course.OBSERVE),
        ({"status": healthy_status(stop_signal_at=at(-40))}, Course.CLOSE),
    ],
)
def test_a_dry_run_changes_nothing_where_nothing_would_be_done(facts: Any, course: Course) -> None:
    """Waiting, watching and closing are decided as ever."""
    assert choose(dry_run_by="host h1", **facts) == choose(**facts)
    assert choose(**facts).course is course
