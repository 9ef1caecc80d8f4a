"""The shipped fake: time passes as its clock says, faults come as scripted, payloads are those of a real engine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from healing.core.errors import (
    ActionFailed,
    ActionTimedOut,
    ConfigError,
    EngineConflict,
    EngineUnreachable,
)
from healing.core.ports import EngineConfig
from healing.core.types import EngineHealth, EngineState, RestartPolicy
from healing.engines import open_engine
from healing.engines.fake import FakeEngine, ManualClock, Outcome, fake_engine, reset_fakes
from healing.engines.fake_container import event_body, inspect_body, list_row

RECORDED = Path(__file__).parents[2] / "data/engines/docker-20.10"


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def fake(clock: ManualClock) -> FakeEngine:
    return fake_engine("unit", clock)


def kinds(fake: FakeEngine) -> list[str]:
    return [event.kind.value for event in fake.happened]


def test_engines_of_one_name_share_one_world(fake: FakeEngine) -> None:
    """The test scripts one object, the product opens another."""
    other = open_engine(EngineConfig("fake", "fake://unit"))
    container = fake.add("web")
    assert other.inspect("web").id == container
    assert [call.method for call in fake.calls] == ["inspect"]
    reset_fakes()
    assert open_engine(EngineConfig("fake", "fake://unit")).list() == []


def test_the_same_script_gives_the_same_world() -> None:
    """A failing example fails again."""

    def play() -> list[Any]:
        fake = fake_engine("unit", ManualClock())
        container = fake.add("web", healthcheck=True)
        fake.kill(container)
        fake.restart(container, 1, 5)
        return [fake.inspect(container), fake.happened]

    assert play() == play()


def test_started_at_always_changes(fake: FakeEngine) -> None:
    """Also while the clock stands still, since it is what guards against acting twice."""
    container = fake.add("web")
    seen = [fake.inspect(container).started_at]
    for _ in range(3):
        fake.restart(container, 1, 5)
        seen.append(fake.inspect(container).started_at)
    assert len(set(seen)) == 4


def test_outcomes_come_when_due(fake: FakeEngine, clock: ManualClock) -> None:
    """A start leads to what was scripted for it, when its time has come."""
    outcomes = (Outcome("unhealthy", after=5, output="no answer"), Outcome("exit", after=2, exit_code=4))
    container = fake.add("web", healthcheck=True, outcomes=outcomes)
    assert fake.inspect(container).health is EngineHealth.STARTING
    clock.advance(6)
    assert fake.inspect(container).health is EngineHealth.UNHEALTHY
    assert fake.inspect(container).health_log[-1].output == "no answer"
    fake.restart(container, 1, 5)
    clock.advance(3)
    assert (fake.inspect(container).state, fake.inspect(container).exit_code) == (EngineState.EXITED, 4)


def test_an_action_can_be_refused(fake: FakeEngine) -> None:
    """The engine's no leaves the container as it was, once."""
    container = fake.add("web")
    before = fake.inspect(container)
    fake.refuse_next_action(ActionFailed("driver failed"))
    with pytest.raises(ActionFailed, match="driver failed"):
        fake.restart(container, 1, 5)
    assert fake.inspect(container) == before
    fake.restart(container, 1, 5)
    assert fake.inspect(container) != before


@pytest.mark.parametrize("succeeds", [True, False])
def test_an_action_can_hang(fake: FakeEngine, succeeds: bool) -> None:
    """A call without answer may have worked, or not."""
    container = fake.add("web")
    before = fake.inspect(container).started_at
    fake.hang_next_action(succeeds)
    with pytest.raises(ActionTimedOut):
        fake.restart(container, 1, 5)
    assert (fake.inspect(container).started_at != before) is succeeds


def test_an_engine_can_be_unreachable(fake: FakeEngine) -> None:
    """All calls fail, streams break, and afterwards everything is as it was."""
    container = fake.add("web")
    stream = fake.events(fake.inspect(container).created_at, 5)
    next(stream)
    fake.unreachable(True)
    with pytest.raises(EngineUnreachable):
        fake.list()
    with pytest.raises(EngineUnreachable):
        list(stream)
    fake.unreachable(False)
    assert fake.inspect(container).state is EngineState.RUNNING


def test_out_of_memory_is_oom_then_die(fake: FakeEngine) -> None:
    """In a real engine's order, with its flag."""
    container = fake.add("web")
    fake.oom(container)
    assert kinds(fake) == ["create", "start", "oom", "die"]
    assert (fake.inspect(container).oom_killed, fake.inspect(container).exit_code) == (True, 137)


def test_the_engines_policy_loops_with_growing_pauses(fake: FakeEngine, clock: ManualClock) -> None:
    """100 ms, doubling, as a real engine waits."""
    container = fake.add(
        "web", restart_policy=RestartPolicy("always"), outcomes=(Outcome("exit", exit_code=1),)
    )
    assert fake.inspect(container).state is EngineState.RESTARTING
    clock.advance(1)
    assert fake.inspect(container).restart_count == 4
    fake.remove(container)


def test_an_engine_that_shuts_down_stops_all(fake: FakeEngine) -> None:
    """The same events as a person's stop, for every container."""
    fake.add("one")
    fake.add("two", restart_policy=RestartPolicy("always"))
    before = len(fake.happened)
    fake.shut_down()
    assert kinds(fake)[before:] == ["kill", "die", "stop"] * 2
    fake.boot()
    assert [row.state.value for row in fake.list()] == ["exited", "running"]


def test_recreate_keeps_the_name_and_changes_the_id(fake: FakeEngine) -> None:
    """As Compose does it."""
    old = fake.add("web", image="app:1")
    new = fake.recreate_by_hand("web", image="app:2")
    assert new != old
    assert (fake.inspect("web").id, fake.inspect("web").image) == (new, "app:2")
    assert kinds(fake)[2:] == ["kill", "die", "destroy", "create", "start"]


def test_a_dead_container_refuses_its_start(fake: FakeEngine) -> None:
    """State `dead` is answered with a conflict."""
    container = fake.add("web")
    fake.mark_dead(container)
    assert fake.inspect(container).state is EngineState.DEAD
    with pytest.raises(EngineConflict):
        fake.start(container, 5)


def test_pause_and_rename(fake: FakeEngine) -> None:
    """What people do besides stopping."""
    container = fake.add("web")
    fake.pause(container)
    assert fake.inspect(container).state is EngineState.PAUSED
    fake.unpause(container)
    fake.rename(container, "front")
    assert fake.inspect("front").id == container
    assert kinds(fake)[2:] == ["pause", "unpause", "rename"]


def test_scripting_mistakes_are_told(fake: FakeEngine) -> None:
    """A test that scripts nonsense fails at its own line."""
    container = fake.add("web")
    with pytest.raises(ConfigError, match="healthcheck=True"):
        fake.make_unhealthy(container)
    with pytest.raises(ConfigError, match="another name"):
        fake.add("web")


def test_the_fakes_payloads_have_a_real_engines_shape(fake: FakeEngine) -> None:
    """Every key that the fake writes is one that the real engine wrote, in the same place."""
    fake.add(
        "web",
        healthcheck=True,
        stop_timeout=7,
        addresses=("10.0.0.2",),
        labels={"com.docker.compose.service": ""},
    )
    container = fake._world.find("web")
    real = json.loads((RECORDED / "inspect-healthy.json").read_text())
    rows = json.loads((RECORDED / "list.json").read_text())
    events = [json.loads(line) for line in (RECORDED / "events.jsonl").read_text().splitlines()]
    kill = next(event for event in events if event["Action"] == "kill")
    assert missing(inspect_body(container), real) == []
    assert missing(list_row(container), next(row for row in rows if row["Names"] == ["/healthy"])) == []
    body = event_body(container, "kill", fake.happened[0].at, {"signal": "15"})
    body["Actor"]["Attributes"].pop("com.docker.compose.service")
    assert missing(body, kill) == []


def missing(made: Any, real: Any, path: str = "") -> list[str]:
    """Keys of `made` that `real` has not; below "Networks" names are free."""
    if isinstance(made, dict) and isinstance(real, dict) and not path.endswith(".Networks"):
        absent = [f"{path}.{key}" for key in made if key not in real]
        return absent + [
            found for key in made if key in real for found in missing(made[key], real[key], f"{path}.{key}")
        ]
    return []
