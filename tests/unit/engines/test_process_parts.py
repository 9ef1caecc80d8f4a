"""The process engine's parts that need no supervisor: specs, health counting, identity, commands."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from healing.core.errors import ConfigError
from healing.core.types import HealthCommand, RestartPolicy
from healing.engines.process_command import run_command
from healing.engines.process_health import HealthCount, HealthRun
from healing.engines.process_identity import is_alive, signal_process, start_mark
from healing.engines.process_spec import ProcessSpec, parse_spec

STARTED = datetime(2030, 1, 1, tzinfo=UTC)


def test_a_spec_goes_through_json_unchanged() -> None:
    """What is written into the folder is what is read from it."""
    spec = ProcessSpec(
        "web",
        ("serve", "--port", "80"),
        env={"A": "b"},
        cwd="/",
        labels={"selfheal.enable": "true"},
        restart_policy=RestartPolicy("on-failure", 3),
        healthcheck=HealthCommand(("true",), 1, 2, 3, 4),
        stop_signal="SIGINT",
        stop_timeout=1.5,
        image="serve:1",
    )
    assert parse_spec(spec.to_json()) == spec
    assert ProcessSpec("web", ("/usr/bin/serve",)).image_name == "serve"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ([], "spec"),
        ({"name": "web"}, "spec"),
        ({"name": "web", "argv": []}, "argv"),
        ({"name": "../web", "argv": ["true"]}, "name"),
        ({"name": "web", "argv": ["true"], "shell": True}, "shell"),
        ({"name": "web", "argv": ["true"], "stop_signal": "SIGNONE"}, "stop_signal"),
        ({"name": "web", "argv": ["true"], "restart_policy": {"name": "sometimes"}}, "restart_policy"),
        ({"name": "web", "argv": ["true"], "healthcheck": {"every": 3}}, "spec"),
    ],
)
def test_a_malformed_spec_names_its_field(body: Any, field: str) -> None:
    """A spec is never half understood."""
    with pytest.raises(ConfigError) as caught:
        parse_spec(body)
    assert caught.value.field == field


def run_at(seconds: float, exit_code: int) -> HealthRun:
    start = STARTED + timedelta(seconds=seconds)
    return HealthRun(start, start, exit_code, "")


def verdicts(start_period: float, retries: int, *codes: int) -> list[str]:
    spec = ProcessSpec("web", ("x",), healthcheck=HealthCommand(("x",), 1, 1, start_period, retries))
    count = HealthCount(spec, STARTED)
    return [count.count(run_at(second, code)) for second, code in enumerate(codes)]


def test_health_is_counted_as_an_engine_counts() -> None:
    """Retries in a row, start period, and a success that ends both."""
    assert verdicts(0, 2, 1, 0, 1, 1) == ["starting", "healthy", "healthy", "unhealthy"]
    assert verdicts(2, 1, 1, 1, 1) == ["starting", "starting", "unhealthy"]
    assert verdicts(100, 1, 0, 1) == ["healthy", "unhealthy"]
    assert verdicts(0, 1, -1, 0) == ["unhealthy", "healthy"]


def test_a_process_is_its_pid_and_its_start() -> None:
    """Another start mark is another process, and is not signalled."""
    with subprocess.Popen(["sleep", "100"]) as process:
        mark = start_mark(process.pid)
        assert is_alive(process.pid, mark)
        assert not is_alive(process.pid, "another")
        assert not signal_process(process.pid, "another", signal.SIGKILL)
        assert process.poll() is None
        assert signal_process(process.pid, mark, signal.SIGKILL)
        process.wait()
        assert not is_alive(process.pid, mark)
    assert start_mark(0) == ""
    assert start_mark(os.getpid()) == start_mark(os.getpid()) != ""


def test_a_zombie_is_not_alive() -> None:
    """A process that has ended and was not collected yet does not run."""
    with subprocess.Popen(["true"]) as process:
        mark = start_mark(process.pid)
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert not is_alive(process.pid, mark)


def run(script: str, timeout: float = 10) -> tuple[int | None, str]:
    result = run_command([sys.executable, "-c", script], dict(os.environ), None, timeout)
    return result.exit_code, result.output


def test_commands_end_with_code_and_output() -> None:
    """Exit codes and signals as a shell has them, both streams, cut to 4 KiB."""
    assert run("import sys; print('a', flush=True); sys.stderr.write('b'); sys.exit(3)") == (3, "a\nb")
    assert run("import os; os.kill(os.getpid(), 9)")[0] == 137
    assert len(run("print('x' * 100000)")[1]) == 4096


def test_a_command_whose_child_holds_its_output_ends_all_the_same() -> None:
    """A health command that starts a daemon is over when it is over."""
    script = "import subprocess; subprocess.Popen(['sleep', '100'], start_new_session=True)"
    begun = time.monotonic()
    assert run(script, 30)[0] == 0
    assert time.monotonic() - begun < 10


def test_a_command_can_be_cancelled() -> None:
    """A process that ended does not wait for its health command."""
    cancelled = threading.Event()
    threading.Timer(0.2, cancelled.set).start()
    begun = time.monotonic()
    assert run_command(["sleep", "100"], dict(os.environ), None, 0.5 + 60, cancelled).exit_code is None
    assert time.monotonic() - begun < 10
