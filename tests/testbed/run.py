"""Runs pytest with one engine, one Redis and one PostgreSQL for all its parts.

`python -m tests.testbed.run` runs everything; `python -m tests.testbed.run -- ARGUMENTS` one pytest with these.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from tests.testbed.paths import IN_CI, PROJECT, ServiceMissingError, new_folder
from tests.testbed.shared import POSTGRES, shared_services

PARALLEL = ("-n", "4", "--dist", "loadfile", "--durations=10")
# Touches no database of ours, or brings its own; or is long, and about decisions in one thread, or about pages.
_ONCE = (
    "admin",
    "test_testbed.py",
    "many/test_rabbitmq.py",
    "many/test_two_of_all.py",
    "many/test_on_its_own.py",
    "test_property8.py",
    "notifications/admin",
    "notifications/test_alertmanager_peer.py",
    "notifications/test_explaining.py",
    "pipeline/test_cut_off.py",
    "pipeline/test_stops_in_mid_heal.py",
    "pipeline/test_storm.py",
)
ONCE = tuple(word for name in _ONCE for word in ("--ignore", f"tests/integration/{name}"))
QUICK_FAULTS = {"FAULTS": "quick"}
# What a developer's shell may hold and would point the tests at something that is not theirs.
_FOREIGN = ("DATABASE_URL", "CELERY_BROKER_URL", "DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_TLS_VERIFY", "PORT")
_ANSI = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True)
class Part:
    """One pytest run: its name, the folders it covers, further arguments and variables."""

    name: str
    folders: tuple[str, ...]
    arguments: tuple[str, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict)

    def existing(self) -> list[str]:
        """The folders that hold tests."""
        return [folder for folder in self.folders if any((PROJECT / folder).rglob("test_*.py"))]


def parts(postgres: str) -> list[Part]:
    """All of the suite; what touches the database a second time on PostgreSQL."""
    on_postgres = {"DATABASE_URL": postgres}
    return [
        Part("parallel, SQLite", ("tests/unit", "tests/contract", "tests/integration"), PARALLEL),
        Part("parallel, PostgreSQL", ("tests/integration",), (*PARALLEL, *ONCE), on_postgres),
        Part(
            "whole", ("tests/faults", "tests/scenarios", "tests/e2e"), PARALLEL, QUICK_FAULTS
        ),  # the longest first
        Part("alone", ("tests/alone",)),  # what measures time
    ]


def main(arguments: list[str]) -> int:
    """0 when every part passed."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        with _home() as home, shared_services() as services:
            environment = _environment(home, services)
            if arguments:
                return _pytest(arguments, environment)[0]
            return _run_all(environment)
    except ServiceMissingError as error:
        print(error, file=sys.stderr)
        if IN_CI:
            return 1
    with _home() as home:  # without the services: their tests say what they lack, and are skipped
        environment = _environment(home, {})
        return _pytest(arguments, environment)[0] if arguments else _run_all(environment)


def _run_all(environment: Mapping[str, str]) -> int:
    results = []
    for part in parts(environment.get(POSTGRES, "")):
        if part.existing() and all(part.variables.values()):
            print(f"\n=== {part.name}: {' '.join(part.existing())}", flush=True)
            begun = time.monotonic()
            status, closing = _pytest([*part.arguments, *part.existing()], {**environment, **part.variables})
            results.append((part.name, status, closing, time.monotonic() - begun))
    print("\n=== all parts")
    for name, status, closing, seconds in results:
        print(f"{'ok  ' if status == 0 else 'FAIL'} {name} ({seconds:.0f} s): {closing}")
    return 0 if results and all(status == 0 for _, status, _, _ in results) else 1


def _pytest(arguments: list[str], environment: Mapping[str, str]) -> tuple[int, str]:
    """Run pytest, showing what it prints; its exit status and its closing line."""
    command = [sys.executable, "-m", "pytest", *arguments]
    last = ""
    with subprocess.Popen(
        command,
        cwd=PROJECT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        assert process.stdout
        try:
            for line in process.stdout:
                print(line, end="", flush=True)
                last = _ANSI.sub("", line).strip() or last
        except BaseException:
            process.terminate()
            raise
    return process.returncode, last.strip("= ")


def _environment(home: str, services: Mapping[str, str]) -> dict[str, str]:
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in _FOREIGN and (not name.startswith("SELFHEAL_") or name.startswith("SELFHEAL_TEST_"))
    }
    return {**kept, "SELFHEAL_HOME": home, "PYTHONFAULTHANDLER": "1", **services}


@contextlib.contextmanager
def _home() -> Iterator[str]:
    """A state folder for the settings, so that the tests never touch that of a running installation."""
    folder = new_folder("home")
    try:
        yield str(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main([argument for argument in sys.argv[1:] if argument != "--"]))
