"""What every engine promises, whatever its kind: reads, actions, exec, logs."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest

from healing.core.errors import ContainerNotFound, EngineConflict, PermanentError, TemporaryError
from healing.core.types import EngineHealth, EngineState, ExecResult, RestartPolicy, Summary
from tests.contract.engines.labs import Lab, Listener
from tests.testbed import faults
from tests.testbed.wait import until

MISSING = "no-such-container"


def row_of(lab: Lab, container: str) -> Summary:
    return next(row for row in lab.engine.list() if row.id == container)


def wait_state(lab: Lab, container: str, state: EngineState) -> None:
    until(lambda: lab.engine.inspect(container).state is state, 15, f"state is {state}")


def wait_health(lab: Lab, container: str, health: EngineHealth) -> None:
    until(lambda: lab.engine.inspect(container).health is health, 15, f"health is {health}")


def test_info_names_the_engine(lab: Lab) -> None:
    """A host page shows which engine answers, and how many containers it has."""
    lab.run("one")
    info = lab.engine.info()
    assert info.kind == lab.kind
    assert info.version
    assert info.containers >= 1


def test_list_and_inspect_agree_on_a_running_container(lab: Lab) -> None:
    """A sweep reads the list only: what it says must be what inspect says."""
    container = lab.run("web", health=True, labels={"selfheal.enable": "true"})
    wait_health(lab, container, EngineHealth.HEALTHY)
    row, seen = row_of(lab, container), lab.engine.inspect(container)
    assert (row.id, row.name, row.image, row.image_id) == (seen.id, seen.name, seen.image, seen.image_id)
    assert seen.name == lab.full_name("web")
    assert row.labels["selfheal.enable"] == seen.labels["selfheal.enable"] == "true"
    assert (row.state, row.health) == (seen.state, seen.health) == (EngineState.RUNNING, EngineHealth.HEALTHY)
    assert row.exit_code is None
    assert row.status_text.startswith("Up ")
    assert seen.created_at is not None
    assert abs(row.created_at - seen.created_at) <= timedelta(seconds=1)


def test_list_and_inspect_agree_on_an_exited_container(lab: Lab) -> None:
    """The exit code in the list is the one that inspect gives."""
    container = lab.run("crash", faults.CRASH)
    wait_state(lab, container, EngineState.EXITED)
    row, seen = row_of(lab, container), lab.engine.inspect(container)
    assert (row.state, row.exit_code) == (seen.state, seen.exit_code) == (EngineState.EXITED, 1)
    assert seen.started_at is not None
    assert seen.finished_at is not None
    assert seen.started_at <= seen.finished_at
    assert not seen.is_running


def test_inspect_tells_how_it_is_checked_and_stopped(lab: Lab) -> None:
    """Restart policy, stop signal, stop timeout and health command decide how a container is healed."""
    policy = RestartPolicy("on-failure", 3)
    container = lab.run("web", health=True, policy=policy, stop_signal="SIGINT", stop_timeout=7)
    seen = lab.engine.inspect(container)
    assert seen.restart_policy == policy
    assert seen.stop_signal == "SIGINT"
    assert seen.stop_timeout == 7.0
    assert seen.health_command.argv
    assert seen.health_command.retries >= 1
    assert seen.command


def test_inspect_works_by_name(lab: Lab) -> None:
    """People and configuration name containers; the engine knows them by that too."""
    container = lab.run("named")
    assert lab.engine.inspect(lab.full_name("named")).id == container


def test_a_created_container_was_never_started(lab: Lab) -> None:
    """A container that never ran is no failure: it shows as created, without a start."""
    container = lab.run("idle", start=False)
    seen = lab.engine.inspect(container)
    assert (seen.state, seen.started_at) == (EngineState.CREATED, None)
    assert row_of(lab, container).state is EngineState.CREATED


def test_unknown_containers_are_not_found(lab: Lab) -> None:
    """A container that has gone is told from an engine that cannot act."""
    with pytest.raises(ContainerNotFound):
        lab.engine.inspect(MISSING)
    with pytest.raises(ContainerNotFound):
        lab.engine.start(MISSING, 5)
    with pytest.raises(ContainerNotFound):
        lab.engine.restart(MISSING, 1, 5)
    with pytest.raises(ContainerNotFound):
        lab.engine.logs(MISSING, 5)
    with pytest.raises(ContainerNotFound):
        lab.engine.exec(MISSING, ["true"], 5)


@pytest.mark.parametrize("name", ["", "../images", "a b", "x?force=1"])
def test_impossible_names_are_not_found(lab: Lab, name: str) -> None:
    """A name never becomes another request or another file."""
    with pytest.raises(ContainerNotFound):
        lab.engine.inspect(name)


def test_start_of_a_running_container_changes_nothing(lab: Lab) -> None:
    """A second start, by two healers at once, does no harm."""
    container = lab.run("web")
    before = lab.engine.inspect(container).started_at
    lab.engine.start(container, 10)
    assert lab.engine.inspect(container).started_at == before


def test_start_brings_an_exited_container_back(lab: Lab) -> None:
    """An exited container is started, and its StartedAt tells that it was."""
    container = lab.run("web")
    before = lab.engine.inspect(container).started_at
    lab.kill_from_outside(container)
    wait_state(lab, container, EngineState.EXITED)
    assert lab.engine.inspect(container).exit_code == 137
    lab.engine.start(container, 10)
    after = lab.engine.inspect(container)
    assert after.state is EngineState.RUNNING
    assert before is not None
    assert after.started_at is not None
    assert after.started_at > before


def test_restart_changes_started_at_and_keeps_the_id(lab: Lab) -> None:
    """(Id, StartedAt) is what guards against acting twice."""
    container = lab.run("web")
    before = lab.engine.inspect(container)
    lab.engine.restart(container, 5, 20)
    after = lab.engine.inspect(container)
    assert after.id == before.id
    assert after.state is EngineState.RUNNING
    assert before.started_at is not None
    assert after.started_at is not None
    assert after.started_at > before.started_at
    assert after.restart_count == 0


def test_restart_of_an_exited_container_starts_it(lab: Lab) -> None:
    """A container that ended between our look and our action is brought back all the same."""
    container = lab.run("web")
    lab.kill_from_outside(container)
    wait_state(lab, container, EngineState.EXITED)
    lab.engine.restart(container, 1, 20)
    assert lab.engine.inspect(container).state is EngineState.RUNNING


def test_restart_kills_after_the_stop_timeout(lab: Lab) -> None:
    """A process that ignores its stop signal gets its stop timeout, and then SIGKILL."""
    container = lab.run("stubborn", faults.IGNORES_TERM)
    listener = Listener(lab.engine)
    begun = time.monotonic()
    lab.engine.restart(container, 1, 20)
    took = time.monotonic() - begun
    events = listener.wait_for(container, "kill", "kill", "die", "stop", "start", "restart")
    assert [event.signal for event in events if event.signal] == ["SIGTERM", "SIGKILL"]
    assert next(event.exit_code for event in events if event.exit_code is not None) == 137
    assert lab.kind == "fake" or took >= 1


def test_health_turns_with_the_container(lab: Lab) -> None:
    """The engine's own verdict is what the loop believes first."""
    container = lab.run("web", health=True)
    wait_health(lab, container, EngineHealth.HEALTHY)
    lab.sicken(container)
    wait_health(lab, container, EngineHealth.UNHEALTHY)
    assert row_of(lab, container).health is EngineHealth.UNHEALTHY
    assert lab.engine.inspect(container).health_log[-1].exit_code == 1
    lab.cure(container)
    wait_health(lab, container, EngineHealth.HEALTHY)


def test_the_engines_own_policy_restarts_and_counts(lab: Lab) -> None:
    """What the engine restarts by itself shows in its count, so that we can keep out of it."""
    container = lab.run("loop", faults.CRASH, policy=RestartPolicy("always"))
    assert until(
        lambda: lab.engine.inspect(container).restart_count >= 2, 15, "restarted twice by the engine"
    )
    lab.stop_by_hand(container, 1) if lab.kind != "fake" else lab.remove(container)


def test_exec_gives_exit_code_and_output(lab: Lab) -> None:
    """Both streams, and the exit code as it is."""
    container = lab.run("web")
    argv = ["sh", "-c", "echo out; echo err >&2; exit 3"]
    lab.answers(container, argv, ExecResult(3, "out\nerr\n"))
    result = lab.engine.exec(container, argv, 10)
    assert result.exit_code == 3
    assert sorted(result.output.split()) == ["err", "out"]


def test_exec_keeps_four_kilobytes(lab: Lab) -> None:
    """A health command that talks without end does not fill our memory or database."""
    container = lab.run("web")
    argv = ["sh", "-c", "yes | head -c 300000"]
    lab.answers(container, argv, ExecResult(0, "y\n" * 150_000))
    result = lab.engine.exec(container, argv, 20)
    assert (result.exit_code, len(result.output)) == (0, 4096)


def test_exec_of_a_missing_program_is_permanent(lab: Lab) -> None:
    """A probe whose program is not in the image could not look: it did not find the container sick."""
    container = lab.run("web")
    with pytest.raises(PermanentError):
        lab.engine.exec(container, ["no-such-program"], 10)


def test_exec_that_a_shell_cannot_find_is_a_result(lab: Lab) -> None:
    """Exit code 127 of a command that did run is its answer, not a refusal."""
    container = lab.run("web")
    argv = ["sh", "-c", "no-such-program"]
    lab.answers(container, argv, ExecResult(127, "sh: no-such-program: not found\n"))
    assert lab.engine.exec(container, argv, 10).exit_code == 127


def test_exec_ends_within_its_timeout(lab: Lab) -> None:
    """A command that hangs costs its timeout and no more."""
    container = lab.run("web")
    argv = ["sh", "-c", "echo begun; sleep 1000"]
    lab.answers(container, argv, TemporaryError("did not end in time"))
    begun = time.monotonic()
    with pytest.raises(TemporaryError):
        lab.engine.exec(container, argv, 1)
    assert time.monotonic() - begun < 3


def test_exec_in_a_stopped_container_is_refused(lab: Lab) -> None:
    """Nothing can be asked of a container that does not run."""
    container = lab.run("web")
    lab.kill_from_outside(container)
    wait_state(lab, container, EngineState.EXITED)
    with pytest.raises(EngineConflict):
        lab.engine.exec(container, ["true"], 5)


def test_logs_are_the_last_lines(lab: Lab) -> None:
    """The last words of a container are the evidence kept with its failure."""
    container = lab.run("crash", faults.CRASH)
    wait_state(lab, container, EngineState.EXITED)
    assert lab.engine.logs(container, 5) == ["fatal: cannot open the ledger"]
    assert lab.engine.logs(container, 0) == []


def test_log_lines_are_in_order_and_cut(lab: Lab) -> None:
    """Oldest first, and no line longer than 1,000 characters."""
    if lab.kind == "fake":
        container = lab.run("talker")
        lab.fake.set_logs(container, ["one", "two", "x" * 5000])  # type: ignore[attr-defined]
    else:
        script = "echo one; echo two; head -c 5000 /dev/zero | tr '\\0' x; echo; sleep 1000"
        container = lab.run("talker", ["sh", "-c", script])
    until(lambda: len(lab.engine.logs(container, 9)) == 3, 10, "three lines")
    assert lab.engine.logs(container, 2) == ["two", "x" * 1000]
