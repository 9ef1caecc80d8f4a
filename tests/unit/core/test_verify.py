"""Verification: a restart that the engine accepted is not a recovery."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from healing.core.config import Config
from healing.core.types import EngineHealth, EngineState, ExecResult, HealthCommand
from healing.core.verify import NotVerified, Trial, Verdict, Verified, Wait, deadline, verify
from tests.unit.core.build import NOW, STARTED, at, exited, probe, running, unhealthy

CHECKED = HealthCommand(("CMD", "check"), interval=30.0)
GOOD, BAD = ExecResult(0, "ok"), ExecResult(1, "db down")


def judge(snapshot: Any, command: Any = None, probes: Any = (), now: Any = NOW, **trial: Any) -> Verdict:
    """Verify an attempt that was guarded by the run that began an hour ago."""
    facts: dict[str, Any] = {"guard_engine_id": "c1", "guard_started_at": STARTED, "verify_until": at(60)}
    return verify(Trial(**(facts | trial)), snapshot, command, probes, now)


def restarted(ago: float = 2.0, health: EngineHealth = EngineHealth.NONE, **facts: Any) -> Any:
    """The container after a new start."""
    command = CHECKED if health is not EngineHealth.NONE else HealthCommand()
    return running(**({"started_at": at(-ago), "health": health, "health_command": command} | facts))


@pytest.mark.parametrize(
    ("snapshot", "command", "probes", "reason"),
    [
        (restarted(health=EngineHealth.HEALTHY), None, (), "HEALTHCHECK"),
        (restarted(health=EngineHealth.STARTING), GOOD, (), "its health command"),
        (restarted(), None, (probe("passed"),), "http"),
        (restarted(health=EngineHealth.HEALTHY), None, (probe("passed"),), "http, HEALTHCHECK"),
        (restarted(10.0), None, (), "up for 10 s"),
        (restarted(11.0, id="c2", started_at=STARTED), None, (), "up for"),
    ],
)
def test_verified(snapshot: Any, command: Any, probes: Any, reason: str) -> None:
    """Healthy by HEALTHCHECK, its command or our probes, or up for 10 s where there is nothing to ask."""
    verdict = judge(snapshot, command, probes)
    assert isinstance(verdict, Verified)
    assert reason in verdict.reason


@pytest.mark.parametrize(
    ("snapshot", "command", "probes"),
    [
        (restarted(health=EngineHealth.STARTING), None, ()),
        (restarted(health=EngineHealth.STARTING), BAD, ()),
        (restarted(health=EngineHealth.HEALTHY), None, (probe("failed"),)),
        (restarted(health=EngineHealth.STARTING), GOOD, (probe("passed"), probe("failed", name="tcp"))),
        (restarted(health=EngineHealth.STARTING), None, (probe("passed"),)),
        (restarted(9.9), None, ()),
        (restarted(60), None, (probe("failed"),)),
        (restarted(state=EngineState.RESTARTING), None, ()),
        (restarted(state=EngineState.PAUSED), None, ()),
    ],
)
def test_not_yet(snapshot: Any, command: Any, probes: Any) -> None:
    """`starting` is no success, nor is a part of what there is to ask: it waits, and fails when its time is over."""
    verdict = judge(snapshot, command, probes)
    assert isinstance(verdict, Wait)
    assert NOW < verdict.until <= at(60)
    assert isinstance(judge(snapshot, command, probes, verify_until=NOW), NotVerified)


@pytest.mark.parametrize(
    ("snapshot", "reason"),
    [
        (None, "removed"),
        (restarted(state=EngineState.EXITED, exit_code=1), "exit code 1"),
        (restarted(state=EngineState.EXITED, exit_code=0), "exit code 0"),
        (restarted(state=EngineState.DEAD), "stopped again"),
        (unhealthy(started_at=at(-40), output="still no db"), "still no db"),
    ],
)
def test_not_verified(snapshot: Any, reason: str) -> None:
    """Removed, ended again or unhealthy again is known at once, before the time is over."""
    verdict = judge(snapshot)
    assert isinstance(verdict, NotVerified)
    assert reason in verdict.reason


@pytest.mark.parametrize("snapshot", [running(), exited(1), running(health=EngineHealth.HEALTHY)])
def test_the_start_must_have_changed(snapshot: Any) -> None:
    """The old run is no proof: healthy without a new StartedAt means that nothing was started."""
    assert isinstance(judge(snapshot), NotVerified)


@pytest.mark.parametrize("snapshot", [running(), exited(1)])
def test_an_unanswered_call_may_still_succeed(snapshot: Any) -> None:
    """A call that timed out is waited for, and never posted again, until the time is over (scenario 24)."""
    verdict = judge(snapshot, call_ended=False)
    assert isinstance(verdict, Wait)
    assert isinstance(judge(snapshot, call_ended=False, verify_until=NOW), NotVerified)


@pytest.mark.parametrize("policy", ["no", "on-failure"])
def test_a_job_may_finish(policy: str) -> None:
    """A restarted job that finishes with 0 is done, and must not be run a second time."""
    done = exited(0, policy=policy, started_at=at(-3), finished_at=at(-1))
    verdict = judge(done, may_finish=True)
    assert isinstance(verdict, Verified)
    assert "finished" in verdict.reason
    assert isinstance(judge(done, may_finish=False), NotVerified)
    failed = exited(1, policy=policy, started_at=at(-3), finished_at=at(-1))
    assert isinstance(judge(failed, may_finish=True), NotVerified)


def test_a_service_may_not_finish() -> None:
    """Exit 0 of what its policy keeps running is not a recovery."""
    done = exited(0, policy="always", started_at=at(-3), finished_at=at(-1))
    assert isinstance(judge(done, may_finish=True), NotVerified)


def test_unhealthy_in_the_start_period_is_waited_for() -> None:
    """In the start period of the config an unhealthy HEALTHCHECK does not fail the attempt, as it opens no failure."""
    starting = unhealthy(started_at=at(-40))
    assert isinstance(judge(starting, start_period=41.0), Wait)
    assert isinstance(judge(starting, start_period=40.0), NotVerified)


def test_what_could_not_be_asked_fails_nothing() -> None:
    """A probe that cannot look holds verification up, and when the time is over the rest decides (scenario 20)."""
    blind = (probe("unknown", "name does not resolve"),)
    assert isinstance(judge(restarted(30), None, blind), Wait)
    assert isinstance(judge(restarted(30), None, blind, verify_until=NOW), Verified)
    assert isinstance(judge(restarted(30), None, (*blind, probe("failed")), verify_until=NOW), NotVerified)
    starting = restarted(30, health=EngineHealth.STARTING)
    assert isinstance(judge(starting, BAD, blind, verify_until=NOW), NotVerified)


@pytest.mark.parametrize(
    ("config", "own", "seconds"),
    [
        (Config(), 0.0, 120),
        (Config(start_period=60), 0.0, 180),
        (Config(start_period=60), 90.0, 210),
        (Config(verify_timeout=5), 20.0, 25),
    ],
)
def test_deadline(config: Config, own: float, seconds: float) -> None:
    """The verify timeout counts from the end of the longer of both start periods."""
    snapshot = running(health_command=HealthCommand(("CMD", "check"), start_period=own))
    assert deadline(NOW, snapshot, config) - NOW == timedelta(seconds=seconds)


def test_looks_come_soon_and_then_rarer() -> None:
    """The first look comes after about a second, the pauses grow, up to the HEALTHCHECK's own interval."""
    snapshot, pauses = restarted(health=EngineHealth.STARTING), []
    for looks in range(12):
        verdict = judge(snapshot, looks=looks, verify_until=at(1000))
        assert isinstance(verdict, Wait)
        pauses.append((verdict.until - NOW).total_seconds())
    assert pauses[0] == pytest.approx(1.0)
    assert pauses == sorted(pauses)
    assert pauses[-1] == CHECKED.interval


def test_the_look_after_ten_seconds() -> None:
    """Where there is nothing to ask, the next look is when it has been up for 10 s."""
    verdict = judge(restarted(2.0))
    assert isinstance(verdict, Wait)
    assert verdict.until == at(8)
