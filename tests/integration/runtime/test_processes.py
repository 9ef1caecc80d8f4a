"""The keeper of processes: starts, starts again with growing pauses, stops all."""

from __future__ import annotations

import itertools
import subprocess
import sys
from pathlib import Path

import pytest

from selfheal_project import processes
from selfheal_project.processes import Keeper, Program, flower_password, programs
from selfheal_project.up.errors import StartRefused
from tests.testbed.wait import until

ENDS = [sys.executable, "-c", "raise SystemExit(3)"]
STAYS = [sys.executable, "-c", "import time; time.sleep(600)"]
IGNORES_TERM = [
    sys.executable,
    "-uc",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready'); time.sleep(600)",
]


class Starts:
    """Starts programs for real, and remembers them."""

    def __init__(self) -> None:
        self.started: list[subprocess.Popen[bytes]] = []

    def __call__(self, program: Program) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(program.argv, stdout=subprocess.PIPE)
        self.started.append(process)
        return process

    def end(self) -> None:
        for process in self.started:
            process.kill()
            process.communicate()


@pytest.fixture
def starts() -> Starts:
    return Starts()


def test_a_program_that_ends_is_started_again_later_and_later(starts: Starts) -> None:
    """A program that cannot start does not spin: its pauses double up to half a minute."""
    keeper = Keeper([Program("broken", ENDS)], starts)
    now, begun = 0.0, []
    while len(begun) < 8:
        before = len(starts.started)
        keeper.look(now)
        if len(starts.started) > before:
            begun.append(now)
            starts.started[-1].wait(20)
        now += 0.5
    pauses = [later - earlier for earlier, later in itertools.pairwise(begun)]
    assert pauses == sorted(pauses)
    assert pauses[0] <= 2
    assert 30 <= pauses[-1] <= 31
    starts.end()


def test_one_that_held_for_a_while_is_started_again_soon(starts: Starts) -> None:
    """Yesterday's trouble does not slow down today's restart."""
    keeper = Keeper([Program("p", ENDS)], starts)
    now = 0.0
    for _ in range(4):
        keeper.look(now)
        starts.started[-1].wait(20)
        keeper.look(now)
        now += 40
    keeper.look(now)
    starts.started[-1].wait(20)
    count = len(starts.started)
    keeper.look(now + processes.STEADY_SECONDS)
    keeper.look(now + processes.STEADY_SECONDS + processes.FIRST_PAUSE)
    assert len(starts.started) == count + 1
    starts.end()


def test_the_others_are_left_alone(starts: Starts) -> None:
    """The end of one process is no reason to stop another."""
    keeper = Keeper([Program("stays", STAYS), Program("broken", ENDS)], starts)
    keeper.look(0.0)
    starts.started[1].wait(20)
    keeper.look(1.0)
    keeper.look(10.0)
    assert len(starts.started) == 3
    assert starts.started[0].poll() is None
    keeper.stop()
    assert all(process.poll() is not None for process in starts.started)
    starts.end()


def test_one_that_cannot_be_started_is_tried_again(starts: Starts) -> None:
    """A machine that has no memory for a process just now costs that process a pause, and the others nothing."""
    refusals: list[Exception] = [
        BlockingIOError("Resource temporarily unavailable"),
        subprocess.SubprocessError("Exception occurred in preexec_fn."),
    ]

    def start(program: Program) -> subprocess.Popen[bytes]:
        if program.name == "broken" and refusals:
            raise refusals.pop(0)
        return starts(program)

    keeper = Keeper([Program("broken", STAYS), Program("stays", STAYS)], start)
    counts = []
    for now in (0.0, 0.9, 1.0, 2.9, 3.0):
        keeper.look(now)
        counts.append(len(starts.started))
    assert counts == [1, 1, 1, 1, 2]
    assert all(process.poll() is None for process in starts.started)
    starts.end()


def test_one_that_does_not_listen_is_killed(starts: Starts, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stop ends in time, whatever a process does with SIGTERM."""
    monkeypatch.setattr(processes, "STOP_SECONDS", 0.3)
    keeper = Keeper([Program("deaf", IGNORES_TERM)], starts)
    keeper.look(0.0)
    output = starts.started[0].stdout
    assert output is not None
    assert output.readline()
    keeper.stop()
    assert starts.started[0].returncode == -9
    starts.end()


def test_no_secret_on_a_command_line() -> None:
    """Everybody on the machine sees command lines."""
    wanted = programs("127.0.0.1", 8000, 5555, "flower's secret")
    assert "secret" not in " ".join(" ".join(program.argv) for program in wanted)
    assert wanted[-1].environ == {"FLOWER_BASIC_AUTH": "selfheal:flower's secret"}


def test_every_queue_has_a_worker() -> None:
    """The processes take the same queues as the threads of the one process."""
    from selfheal_project.embedded import WORKERS

    argvs = [
        program.argv
        for program in programs("127.0.0.1", 8000, 5555, "x")
        if program.name.startswith("worker")
    ]
    assert [argv[list(argv).index("-Q") + 1] for argv in argvs] == [queues for queues, _ in WORKERS.values()]


def test_flowers_password(tmp_path: Path) -> None:
    """Generated once, or given and never printed; a comma would make two users of it."""
    password, told = flower_password(tmp_path, {})
    assert password in told
    assert flower_password(tmp_path, {})[0] == password
    given, told = flower_password(tmp_path, {"SELFHEAL_FLOWER_PASSWORD": "given"})
    assert given == "given"
    assert "given" not in told.replace("SELFHEAL_FLOWER_PASSWORD", "")
    with pytest.raises(StartRefused, match="comma"):
        flower_password(tmp_path, {"SELFHEAL_FLOWER_PASSWORD": "a,b"})


def test_the_real_starter_puts_secrets_into_the_environment() -> None:
    """A started process gets its own environment on top of ours, in a session of its own."""
    check = "import os; assert os.environ['SECRET'] == 'x' and os.getsid(0) == os.getpid() and 'PATH' in os.environ"
    process = processes._start(Program("p", [sys.executable, "-c", check], {"SECRET": "x"}))
    until(lambda: process.poll() is not None, 20, "the process has ended")
    assert process.returncode == 0
