"""The health command of a supervised process, run and counted as an engine runs and counts HEALTHCHECK."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from healing.engines.process_command import run_command
from healing.engines.process_spec import ProcessSpec

LOG_ENTRIES = 5


@dataclass(frozen=True, slots=True)
class HealthRun:
    """One run: `exit_code` is -1 for a timeout, as an engine has it."""

    start: datetime
    end: datetime
    exit_code: int
    output: str

    def entry(self) -> dict[str, Any]:
        return {
            "start": self.start.isoformat(),
            "end": self.end.isoformat(),
            "exit_code": self.exit_code,
            "output": self.output,
        }


class HealthRunner:
    """Runs the command every interval, first after one, in a thread of its own, until `stop`."""

    def __init__(self, spec: ProcessSpec, report: Callable[[HealthRunner, HealthRun], None]) -> None:
        self._spec = spec
        self._report = report
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="health", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """No more runs; one under way is killed within a moment."""
        self._stopped.set()

    def join(self) -> None:
        self._thread.join(1.0)

    def _run(self) -> None:
        while not self._stopped.wait(self._spec.healthcheck.interval):
            run = run_health(self._spec, self._stopped)
            if not self._stopped.is_set():
                self._report(self, run)


def run_health(spec: ProcessSpec, cancelled: threading.Event | None = None) -> HealthRun:
    """Run the health command once."""
    check, start = spec.healthcheck, datetime.now(UTC)
    try:
        result = run_command(check.argv, spec.environment(), spec.cwd or None, check.timeout, cancelled)
    except OSError as error:
        return HealthRun(start, datetime.now(UTC), 127, f"{check.argv[0]}: {error.strerror}")
    if result.exit_code is None:
        text = f"Health check exceeded timeout ({check.timeout:g}s)"
        return HealthRun(start, datetime.now(UTC), -1, f"{text}: {result.output}" if result.output else text)
    return HealthRun(start, datetime.now(UTC), result.exit_code, result.output)


class HealthCount:
    """From runs to a verdict: healthy at the first success, unhealthy after `retries` failures in a row.

    Failures within the start period count only once there has been a success.
    """

    def __init__(self, spec: ProcessSpec, started: datetime) -> None:
        self._check = spec.healthcheck
        self._started = started
        self._failures = 0
        self.verdict = "starting"

    def count(self, run: HealthRun) -> str:
        """The verdict after this run."""
        if run.exit_code == 0:
            self._failures, self.verdict = 0, "healthy"
            return self.verdict
        in_start = (run.start - self._started).total_seconds() < self._check.start_period
        if self.verdict == "starting" and in_start:
            return self.verdict
        self._failures += 1
        if self._failures >= self._check.retries:
            self.verdict = "unhealthy"
        return self.verdict
