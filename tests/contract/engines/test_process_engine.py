"""What the process engine promises beyond the contract: processes outlive us, and are never mistaken for others."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from healing.core.errors import ActionFailed, ActionTimedOut, ConfigError, EngineConflict, EngineRefused
from healing.core.ports import EngineConfig
from healing.core.types import EngineHealth, EngineState, HealthCommand, RestartPolicy
from healing.engines import open_engine, process_events
from healing.engines.process import ProcessEngine, ProcessSpec
from healing.engines.process_store import ProcessFolder
from tests.contract.engines.labs import Listener
from tests.testbed.wait import until

IDLE = ("sh", "-c", "trap 'exit 0' TERM; while :; do sleep 0.1; done")

CREATOR = """
import sys
from healing.core.ports import EngineConfig
from healing.engines.process import ProcessEngine, ProcessSpec
engine = ProcessEngine(EngineConfig("process", sys.argv[1]))
engine.start(engine.create(ProcessSpec("web", tuple(sys.argv[2:]))), 10)
"""


def engine_in(folder: Path) -> ProcessEngine:
    return ProcessEngine(EngineConfig("process", f"process://{folder}/engine"))


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[ProcessEngine]:
    """An engine in a folder of the test's own; its processes are ended with it."""
    made = engine_in(tmp_path)
    yield made
    for row in made.list():
        made.stop(row.id, 0)
    made.close()


def supervisor_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def wait_state(engine: ProcessEngine, name: str, state: EngineState) -> None:
    until(lambda: engine.inspect(name).state is state, 10, f"{name} is {state}")


def test_a_process_outlives_its_creator(tmp_path: Path, engine: ProcessEngine) -> None:
    """A restart of Selfheal restarts nothing; the exit code is known even so."""
    ended = tmp_path / "end"
    script = f"until test -e {ended}; do sleep 0.05; done; exit 7"
    address = f"process://{tmp_path}/engine"
    subprocess.run([sys.executable, "-c", CREATOR, address, "sh", "-c", script], check=True, timeout=30)
    assert engine.inspect("web").state is EngineState.RUNNING
    ended.touch()
    wait_state(engine, "web", EngineState.EXITED)
    assert engine.inspect("web").exit_code == 7


def test_a_process_without_its_supervisor_is_still_found_and_restarted(engine: ProcessEngine) -> None:
    """A killed supervisor leaves the process running: it is seen, and replaced by a restart, not doubled."""
    process = engine.create(ProcessSpec("web", IDLE))
    engine.start(process, 10)
    before = engine.inspect(process)
    os.kill(supervisor_of(before.pid), signal.SIGKILL)
    until(lambda: not ProcessFolder(folder_of(engine, process)).is_supervised(), 5, "supervisor gone")
    assert engine.inspect(process).state is EngineState.RUNNING
    engine.start(process, 10)
    assert engine.inspect(process).pid == before.pid
    engine.restart(process, 2, 10)
    after = engine.inspect(process)
    assert after.state is EngineState.RUNNING
    assert after.pid != before.pid
    assert not Path(f"/proc/{before.pid}").exists() or zombie(before.pid)


def folder_of(engine: ProcessEngine, process: str) -> Path:
    return engine.folder / process


def zombie(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"


def test_a_process_lost_unseen_is_exited_with_an_event(engine: ProcessEngine) -> None:
    """After a power cut, or a kill of both, the process is known to be down, its exit code to be unknown."""
    process = engine.create(ProcessSpec("web", IDLE))
    engine.start(process, 10)
    listener = Listener(engine)
    pid = engine.inspect(process).pid
    os.kill(supervisor_of(pid), signal.SIGKILL)
    os.kill(pid, signal.SIGKILL)
    assert listener.wait_for(process, "die")[0].exit_code == 255
    assert engine.inspect(process).state is EngineState.EXITED
    assert "exit code unknown" in engine.inspect(process).error


def test_a_pid_used_again_is_left_alone(engine: ProcessEngine) -> None:
    """A pid alone is no identity: another process that has it now is neither reported nor signalled."""
    process = engine.create(ProcessSpec("web", IDLE))
    with subprocess.Popen(["sleep", "100"]) as bystander:
        folder = ProcessFolder(folder_of(engine, process))
        state = folder.state()
        state.status, state.pid, state.mark = "running", bystander.pid, "another-time"
        folder.write_state(state)
        engine.restart(process, 0, 10)
        assert engine.inspect(process).pid != bystander.pid
        alive = bystander.poll() is None
        bystander.kill()
    assert alive


def test_a_program_that_is_missing_says_so(engine: ProcessEngine) -> None:
    """The start is refused with the reason, and inspect keeps it as evidence."""
    process = engine.create(ProcessSpec("web", ("no-such-program",)))
    with pytest.raises(ActionFailed, match='"no-such-program": executable file not found'):
        engine.start(process, 10)
    seen = engine.inspect(process)
    assert (seen.state, seen.exit_code) == (EngineState.CREATED, 127)
    assert "not found" in seen.error


def test_two_starts_at_once_make_one_process(engine: ProcessEngine, tmp_path: Path) -> None:
    """Two healers that start the same process do not run it twice."""
    script = f"echo $$ >> {tmp_path}/pids; while :; do sleep 0.1; done"
    process = engine.create(ProcessSpec("web", ("sh", "-c", script)))
    threads = [threading.Thread(target=engine.start, args=(process, 20)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    until(lambda: (tmp_path / "pids").exists(), 5, "started")
    assert (tmp_path / "pids").read_text().split() == [str(engine.inspect(process).pid)]


def test_a_restart_that_takes_longer_than_its_deadline_still_happens(engine: ProcessEngine) -> None:
    """The caller gives up, the supervisor does not: an ambiguous success, as with an engine."""
    process = engine.create(
        ProcessSpec("web", ("sh", "-c", "trap '' TERM; echo up; while :; do sleep 0.1; done"))
    )
    engine.start(process, 10)
    until(lambda: engine.logs(process, 1) == ["up"], 5, "trap set")
    before = engine.inspect(process).started_at
    with pytest.raises(ActionTimedOut):
        engine.restart(process, 1, 0.2)
    until(lambda: engine.inspect(process).started_at != before, 10, "restarted all the same")
    assert engine.inspect(process).state is EngineState.RUNNING


def test_children_end_with_their_process(engine: ProcessEngine, tmp_path: Path) -> None:
    """What a process started and left behind does not hold its port against the next start."""
    script = f"sleep 1000 & echo $! > {tmp_path}/child; wait"
    process = engine.create(ProcessSpec("web", ("sh", "-c", script)))
    engine.start(process, 10)
    child = int(until(lambda: (tmp_path / "child").read_text(), 5, "child started"))
    engine.stop(process, 5)
    assert until(lambda: not Path(f"/proc/{child}").exists() or zombie(child), 5, "child gone")


def test_our_secrets_are_not_inherited(engine: ProcessEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    """A supervised process sees its own settings, never our database's password."""
    monkeypatch.setenv("DATABASE_URL", "postgres://secret")
    process = engine.create(ProcessSpec("web", ("sh", "-c", "env; sleep 1000"), env={"COLOUR": "blue"}))
    engine.start(process, 10)
    lines = until(lambda: engine.logs(process, 100), 5, "output")
    assert "COLOUR=blue" in lines
    assert not [line for line in lines if "secret" in line or line.startswith("PYTHONPATH")]


def test_output_is_kept_within_bounds(engine: ProcessEngine) -> None:
    """A process that talks without end does not fill the disk."""
    script = "yes 0123456789012345678901234567890123456789 | head -c 5000000; echo; echo last; sleep 1000"
    process = engine.create(ProcessSpec("web", ("sh", "-c", script)))
    engine.start(process, 10)
    until(lambda: engine.logs(process, 1) == ["last"], 20, "all written")
    folder = folder_of(engine, process)
    assert sum(file.stat().st_size for file in folder.glob("output*")) <= 2_100_000
    assert len(engine.logs(process, 30_000)) > 20_000


def test_on_failure_gives_up_after_its_retries(engine: ProcessEngine) -> None:
    """The engine's own policy goes first, and then it is our turn."""
    spec = ProcessSpec("web", ("sh", "-c", "exit 3"), restart_policy=RestartPolicy("on-failure", 2))
    process = engine.create(spec)
    listener = Listener(engine)
    engine.start(process, 10)
    listener.wait_for(process, *(["start", "die"] * 3))
    wait_state(engine, "web", EngineState.EXITED)
    assert engine.inspect(process).restart_count == 2


def test_a_stop_between_two_starts_of_its_policy_holds(engine: ProcessEngine) -> None:
    """A process that loops can be stopped, also while it does not run."""
    spec = ProcessSpec("web", ("sh", "-c", "exit 3"), restart_policy=RestartPolicy("always"))
    process = engine.create(spec)
    engine.start(process, 10)
    until(lambda: engine.inspect(process).restart_count >= 3, 10, "looping")
    wait_state(engine, "web", EngineState.RESTARTING)
    engine.stop(process, 1)
    assert engine.inspect(process).state is EngineState.EXITED


def test_a_start_period_forgives_failures(engine: ProcessEngine) -> None:
    """A service that is still starting is not unhealthy."""
    check = HealthCommand(("false",), interval=0.05, timeout=1, start_period=1000, retries=1)
    process = engine.create(ProcessSpec("web", IDLE, healthcheck=check))
    engine.start(process, 10)
    until(lambda: len(engine.inspect(process).health_log) >= 3, 10, "three runs")
    assert engine.inspect(process).health is EngineHealth.STARTING


def test_a_health_command_that_hangs_is_killed_and_counts(engine: ProcessEngine, tmp_path: Path) -> None:
    """A hung health command is a failed one, and does not pile up."""
    script = f"echo $$ > {tmp_path}/hung; sleep 1000"
    check = HealthCommand(("sh", "-c", script), interval=0.05, timeout=0.3, retries=1)
    process = engine.create(ProcessSpec("web", IDLE, healthcheck=check))
    engine.start(process, 10)
    until(lambda: engine.inspect(process).health is EngineHealth.UNHEALTHY, 10, "unhealthy")
    entry = engine.inspect(process).health_log[0]
    assert entry.exit_code == -1
    assert "exceeded timeout" in entry.output


def test_a_running_process_is_not_removed(engine: ProcessEngine) -> None:
    """Removing is for what has ended."""
    process = engine.create(ProcessSpec("web", IDLE))
    engine.start(process, 10)
    with pytest.raises(EngineConflict, match="stop it"):
        engine.remove(process)
    engine.stop(process, 5)
    engine.remove(process)
    assert engine.list() == []


def test_a_name_is_used_once(engine: ProcessEngine) -> None:
    """Names identify: two of one name would be healed as one."""
    engine.create(ProcessSpec("web", IDLE))
    with pytest.raises(ConfigError, match="exists already"):
        engine.create(ProcessSpec("web", IDLE))


def test_an_unusable_folder_is_said_to_be(tmp_path: Path) -> None:
    """A folder that is a file, or another's, is named."""
    (tmp_path / "engine").write_text("a file")
    with pytest.raises(EngineRefused, match=r"engine cannot be used"):
        engine_in(tmp_path).list()


def test_events_go_on_over_a_new_log_file(engine: ProcessEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    """The event log is kept short without losing what happens meanwhile."""
    monkeypatch.setattr(process_events, "ROTATE_AT", 2000)
    listener = Listener(engine)
    made = []
    for number in range(40):
        made.append(engine.create(ProcessSpec(f"web{number}", IDLE)))
        until(lambda: len(listener.events) == len(made), 10, "heard of")
    assert [event.container_id for event in listener.events] == made
    sizes = [file.stat().st_size for file in engine.folder.glob("events*.jsonl")]
    assert len(sizes) == 2
    assert max(sizes) < 3000


def test_a_torn_event_line_is_passed_over(engine: ProcessEngine) -> None:
    """A machine that lost power in the middle of a line does not end the stream."""
    engine.create(ProcessSpec("one", IDLE))
    with (engine.folder / "events.jsonl").open("ab") as file:
        file.write(b'{"kind": "st\n')
    listener = Listener(engine)
    process = engine.create(ProcessSpec("two", IDLE))
    assert listener.wait_for(process, "create")


def test_stopping_the_supervisor_stops_the_process_as_an_engine_would(engine: ProcessEngine) -> None:
    """When the machine goes down, the process gets its stop signal and its time."""
    process = engine.create(ProcessSpec("web", IDLE, restart_policy=RestartPolicy("always")))
    engine.start(process, 10)
    listener = Listener(engine)
    os.kill(supervisor_of(engine.inspect(process).pid), signal.SIGTERM)
    assert listener.wait_for(process, "kill", "die", "stop")[1].exit_code in (0, 143)


def test_the_folder_is_only_ours(engine: ProcessEngine) -> None:
    """A spec is a command that will be run: nobody else may write one."""
    process = engine.create(ProcessSpec("web", IDLE))
    assert engine.folder.stat().st_mode & 0o077 == 0
    assert folder_of(engine, process).stat().st_mode & 0o077 == 0
    body = json.loads((folder_of(engine, process) / "spec.json").read_text())
    assert body["argv"] == list(IDLE)


def test_it_is_cheap_when_nothing_happens(engine: ProcessEngine) -> None:
    """Watching costs next to nothing on an idle machine."""
    listener = Listener(engine)
    begun, used = time.monotonic(), time.process_time()
    assert not listener.ended(1.5)
    assert (time.process_time() - used) / (time.monotonic() - begun) < 0.2


def test_it_is_opened_by_its_address(tmp_path: Path) -> None:
    """`process:///folder` in a host's configuration leads here."""
    engine = open_engine(EngineConfig("process", f"process://{tmp_path}/engine"))
    assert isinstance(engine, ProcessEngine)
    assert engine.info().kind == "process"
