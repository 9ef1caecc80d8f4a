"""What is done about a failure, and why."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from healing.core.config import Config, Priority
from healing.core.decide import FLEET_CEILING, Course, Decision, Hold, Situation, decide
from healing.core.diagnose import Diagnosis
from healing.core.types import ActionKind, EngineHealth, EngineState, FailureType
from healing.core.window import Window
from tests.unit.core.build import NOW, at, exited, healthy_status, room, running, unhealthy

DIAGNOSIS = Diagnosis("health check failing", "It fails.", FailureType.HEALTH_CHECK_FAILED)
HOPELESS = replace(DIAGNOSIS, cause="dead", may_act=False, why_not="the engine answers 409")
DISK = replace(DIAGNOSIS, cause="disk full", max_attempts=1)
CRITICAL = Config(priority=Priority.CRITICAL)
SWARM = {"com.docker.swarm.task.id": "t"}


def choose(diagnosis: Diagnosis = DIAGNOSIS, config: Config | None = None, **facts: Any) -> Decision:
    base: dict[str, Any] = {"snapshot": unhealthy(), "status": healthy_status(), "budget": room()}
    return decide(diagnosis, config or Config(), Situation(**(base | facts)), NOW)


@pytest.mark.parametrize("snapshot", [unhealthy(), exited(1), exited(0, policy="always"), running()])
def test_acts(snapshot: Any) -> None:
    """With nothing against it, the container is acted on, and the reason names cause and budget."""
    decision = choose(snapshot=snapshot)
    assert (decision.course, decision.not_before) == (Course.ACT, None)
    assert decision.reason == "health check failing; attempt 1 of at most 5 in 300 s"


FORBIDDEN = {
    "swarm": ({"snapshot": unhealthy(labels=SWARM)}, Course.OBSERVE, "Swarm"),
    "paused by a person": (
        {"paused_until": at(60), "paused_by": "host a is paused"},
        Course.WAIT,
        "host a is paused",
    ),
    "paused in the engine": ({"snapshot": unhealthy(state=EngineState.PAUSED)}, Course.OBSERVE, "paused"),
    "restarting": ({"snapshot": running(state=EngineState.RESTARTING)}, Course.OBSERVE, "restarting"),
    "removing": ({"snapshot": running(state=EngineState.REMOVING)}, Course.OBSERVE, "removing"),
    "dead": ({"diagnosis": HOPELESS}, Course.OBSERVE, "409"),
    "auto_restart off": ({"config": Config(auto_restart=False)}, Course.OBSERVE, "auto_restart is off"),
    "disk full": ({"diagnosis": DISK, "attempts_tried": 1}, Course.OBSERVE, "tried 1 time and"),
    "fleet ceiling": (
        {"heals_under_way": FLEET_CEILING, "config": CRITICAL},
        Course.WAIT,
        "put off: 64 heals are under way (ceiling 64)",
    ),
    "share of the ceiling": (
        {"heals_under_way": 48, "config": Config(priority=Priority.NON_CRITICAL)},
        Course.WAIT,
        "kept for those above non-critical",
    ),
    "slow start": ({"window": Window(4.0, at(-5), first=4)}, Course.WAIT, "window 4"),
    "slow start of a later attempt": (
        {"window": Window(repeated=1), "budget": room(in_row=1)},
        Course.WAIT,
        "at a later attempt",
    ),
    "back-off": ({"budget": room(in_row=1, backoff=10.0, not_before=at(4))}, Course.WAIT, "back-off of 10 s"),
    "window spent": ({"budget": room(in_window=5, in_row=1)}, Course.QUARANTINE, "5 restarts within 300 s"),
    "row spent": ({"budget": room(in_row=5)}, Course.QUARANTINE, "5 restarts in a row"),
    "stopped by hand": (
        {"snapshot": exited(143), "status": healthy_status(stop_signal_at=at(-11))},
        Course.CLOSE,
        "stopped by hand",
    ),
    "being stopped": ({"status": healthy_status(stop_signal_at=at(-40))}, Course.CLOSE, "told to stop"),
    "start period": (
        {"snapshot": unhealthy(started_at=at(-20)), "config": Config(start_period=60)},
        Course.WAIT,
        "start period of 60 s",
    ),
}


@pytest.mark.parametrize("name", FORBIDDEN)
def test_does_not_act(name: str) -> None:
    """Each rule of safe automation that forbids acting says so, and when to look again."""
    facts, course, words = FORBIDDEN[name]
    decision = choose(**facts)
    assert decision.course is course
    assert words in decision.reason
    if course in (Course.WAIT, Course.OBSERVE):
        assert decision.not_before is not None
        assert decision.not_before > NOW


SKIPPED = (
    "share of the ceiling",
    "auto_restart off",
    "disk full",
    "back-off",
    "window spent",
    "row spent",
    "stopped by hand",
    "being stopped",
    "start period",
    "slow start",
    "slow start of a later attempt",
)


@pytest.mark.parametrize("name", FORBIDDEN)
def test_a_persons_demand(name: str) -> None:
    """A person's demand skips back-off, budget and their like, never a pause, Swarm, or what the engine forbids."""
    facts, course, _ = FORBIDDEN[name]
    decision = choose(**facts, forced=True)
    assert decision.course is (Course.ACT if name in SKIPPED else course)
    if name in SKIPPED:
        assert "asked for by a person" in decision.reason


@pytest.mark.parametrize(
    ("facts", "course"),
    [
        ({"paused_until": at(-1)}, Course.ACT),
        ({"heals_under_way": FLEET_CEILING - 1, "config": CRITICAL}, Course.ACT),
        ({"heals_under_way": 56}, Course.ACT),
        ({"heals_under_way": 57}, Course.WAIT),
        ({"heals_under_way": FLEET_CEILING - 1, "forced": True}, Course.ACT),
        ({"window": Window(4.0, at(-5), first=3, repeated=1)}, Course.ACT),
        ({"window": Window(first=8), "budget": room(in_row=1)}, Course.ACT),
        ({"budget": room(in_row=1, backoff=10.0, not_before=NOW)}, Course.ACT),
        ({"budget": room(in_window=4, in_row=4)}, Course.ACT),
        ({"snapshot": unhealthy(started_at=at(-60)), "config": Config(start_period=60)}, Course.ACT),
        ({"snapshot": exited(1, started_at=at(-20)), "config": Config(start_period=60)}, Course.ACT),
        ({"diagnosis": DISK, "attempts_tried": 0}, Course.ACT),
        ({"status": healthy_status(stop_signal_at=at(-301))}, Course.ACT),
    ],
)
def test_borders(facts: Any, course: Course) -> None:
    """At the border of a rule, where it no longer holds, the container is acted on."""
    assert choose(**facts).course is course


def test_the_first_rule_says_why() -> None:
    """Where several rules forbid it, a manual stop ends the failure before any limit is asked."""
    facts = FORBIDDEN["stopped by hand"][0] | FORBIDDEN["row spent"][0] | FORBIDDEN["fleet ceiling"][0]
    assert choose(**facts).course is Course.CLOSE


def test_a_trial_is_one_attempt_beyond_the_row() -> None:
    """After quarantine one trial is made although the row is spent and without back-off; no second one."""
    used = room(in_row=5, backoff=160.0, not_before=at(100))
    assert choose(budget=used, is_trial=True).course is Course.ACT
    assert choose(budget=used, is_trial=True, attempts_tried=1).course is Course.QUARANTINE


def test_a_trial_waits_for_room_in_the_window() -> None:
    """A trial too is never over the budget of the window."""
    decision = choose(budget=room(in_window=5, in_row=5, frees_at=at(30)), is_trial=True)
    assert (decision.course, decision.not_before) == (Course.WAIT, at(30))


def test_a_release_waits_for_room_in_the_window() -> None:
    """What a person has just released is not quarantined again for attempts of before: it waits for room."""
    used = room(in_window=5, in_row=0, frees_at=at(30), is_released=True)
    decision = choose(budget=used)
    assert (decision.course, decision.not_before) == (Course.WAIT, at(30))


def test_starting_health_is_no_reason_to_hurry() -> None:
    """A running container with a failing probe waits for its start period as well."""
    snapshot = running(started_at=at(-5), health=EngineHealth.STARTING)
    assert choose(snapshot=snapshot, config=Config(start_period=10)).not_before == at(5)


def test_a_hold_says_to_which_incident_a_failure_belongs() -> None:
    """What waits for a dependency is told of with that, and not by itself."""
    decision = choose(hold=Hold("waits for db", at(5), incident=7))
    assert decision == Decision(Course.WAIT, "held: waits for db", at(5), incident=7)


@pytest.mark.parametrize(
    ("facts", "course", "words"),
    [
        ({}, Course.ACT, "attempt 1 of at most 5"),
        ({"budget": room(in_window=5)}, Course.CLOSE, "not restarted along: budget spent"),
        ({"budget": room(in_row=5)}, Course.CLOSE, "not restarted along: budget spent"),
        ({"config": Config(auto_restart=False)}, Course.CLOSE, "not restarted along: auto_restart is off"),
        ({"dry_run_by": "host a"}, Course.CLOSE, "not restarted along: dry run of host a: would restart"),
        ({"hold": Hold("maintenance", at(60))}, Course.WAIT, "held: maintenance"),
        ({"budget": room(in_row=1, backoff=10.0, not_before=at(9))}, Course.WAIT, "back-off"),
    ],
)
def test_a_container_restarted_along_is_never_quarantined_for_it(
    facts: dict[str, Any], course: Course, words: str
) -> None:
    """It works: where it may not be restarted it is left as it is, and nobody is paged."""
    decision = choose(snapshot=running(), goes_along=True, **facts)
    assert decision.course is course
    assert words in decision.reason


def test_a_dry_run_names_the_action() -> None:
    """A recreate is not told of as a restart."""
    decision = choose(replace(DIAGNOSIS, action=ActionKind.RECREATE), dry_run_by="host a")
    assert "would recreate: health check failing" in decision.reason
