"""What a supervisor does for its process: starts it, keeps its output, runs its health command, obeys requests.

One thread, one step at a time; only the health command runs beside it. State is written before the event that
tells of it, so that whoever hears of an event finds it true.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import select
import signal
import subprocess
import time
from datetime import UTC, datetime
from typing import Any

from healing.core.types import EventKind
from healing.engines.process_command import end_group, shell_code
from healing.engines.process_events import append_event
from healing.engines.process_health import LOG_ENTRIES, HealthCount, HealthRun, HealthRunner
from healing.engines.process_identity import is_alive, signal_process, start_mark
from healing.engines.process_output import CappedLog
from healing.engines.process_store import LOG_LIMIT, ProcessFolder

KEPT_ANSWERS = 16
RESTART_DELAY = 0.1
LONGEST_RESTART_DELAY = 60.0
LONG_RUN = 10.0
FOR_EVER = 1e12


class Supervisor:
    """Holds the process, and everything that is due."""

    def __init__(self, process: ProcessFolder, wake: int) -> None:
        self.process = process
        self.spec = process.spec()
        self.state = process.state()
        self.log = CappedLog(process.log, process.old_log, LOG_LIMIT)
        self.child: subprocess.Popen[bytes] | None = None
        self.over = False
        self._wake = wake
        self._output = -1
        self._health: HealthRunner | None = None
        self._count: HealthCount | None = None
        self._runs: queue.SimpleQueue[tuple[HealthRunner, HealthRun]] = queue.SimpleQueue()
        self._kill_at = FOR_EVER
        self._start_at = FOR_EVER
        self._asked: list[tuple[str, str]] = []
        self._by_hand = False

    def begin(self, request: str, stop_timeout: float) -> None:
        """The first start; a process left by a supervisor that died is stopped before."""
        self._end_orphan(stop_timeout)
        self.state.restart_count = 0
        self._answer(request, self._start())
        self.over = self.child is None

    def step(self, requests: int, wake: int) -> None:
        """Wait for the next thing to happen, and do what it asks."""
        watched = [requests, wake, *([self._output] if self._output >= 0 else [])]
        due = min(self._kill_at, self._start_at)
        ready, _, _ = select.select(watched, [], [], max(0.0, min(due - time.monotonic(), 60.0)))
        if self._output in ready:
            self._copy_output()
        if wake in ready:
            os.read(wake, 4096)
        if requests in ready:
            for line in os.read(requests, 65536).splitlines():
                self.obey(line)
        self._count_runs()
        self._look_at_clock()
        self._look_at_child()

    def obey(self, line: bytes) -> None:
        """A request: {"request": id, "do": "stop" | "restart" | "start" | "kill", "timeout": s, "signal": n}."""
        try:
            body: dict[str, Any] = json.loads(line)
            request, do = str(body["request"]), str(body["do"])
        except (ValueError, KeyError, TypeError):
            return
        if do == "kill":
            self._kill(request, int(body["signal"]))
        elif self.child is not None and do in ("stop", "restart"):
            self._ask_to_stop(request, do, float(body["timeout"]))
        elif do == "stop":  # between two starts of its restart policy
            self._by_hand, self.over = True, True
            self._set_status("exited")
            self._answer(request, "")
        elif self.child is None:
            self._start_at = FOR_EVER
            self._answer(request, self._start())
        else:
            self._answer(request, "")

    def close(self) -> None:
        """Wait for the health command's own end, which follows at once."""
        if self._health is not None:
            self._health.join()

    def _start(self) -> str:
        """Start the command; the text is what went wrong, "" for nothing."""
        read_end, write_end = os.pipe()
        try:
            self.child = self._spawn(write_end)
        except OSError as error:
            os.close(read_end)
            return self._could_not_start(error)
        finally:
            os.close(write_end)
        os.set_blocking(read_end, False)
        self._output = read_end
        self._by_hand = False
        self._running(datetime.now(UTC), self.child.pid)
        return ""

    def _spawn(self, output: int) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            list(self.spec.argv),
            env=self.spec.environment(),
            cwd=self.spec.cwd or None,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )

    def _running(self, started: datetime, pid: int) -> None:
        state, has_check = self.state, bool(self.spec.healthcheck.argv)
        state.pid, state.mark, state.started_at = pid, start_mark(pid), started.isoformat()
        state.status, state.exit_code, state.error, state.health_log = "running", 0, "", []
        state.health = "starting" if has_check else ""
        self.process.write_state(state)
        self._emit(EventKind.START)
        if has_check:
            self._count = HealthCount(self.spec, started)
            self._health = HealthRunner(self.spec, self._report)

    def _could_not_start(self, error: OSError) -> str:
        name = error.filename if isinstance(error.filename, str) else self.spec.argv[0]
        missing = isinstance(error, FileNotFoundError)
        text = f'exec: "{name}": ' + ("executable file not found" if missing else str(error.strerror).lower())
        self.state.exit_code, self.state.error = (127 if missing else 126), text
        if self.state.status not in ("created", "exited"):
            self.state.status = "exited"
        self.state.pid = 0
        self.process.write_state(self.state)
        self.child, self.over = None, True
        return text

    def _look_at_child(self) -> None:
        if self.child is None or not _has_ended(self.child):
            return
        end_group(self.child)
        self._copy_output()
        os.close(self._output)
        self._output, self._kill_at = -1, FOR_EVER
        if self._health is not None:
            self._health.stop()
        self._ended(shell_code(self.child.returncode))

    def _ended(self, exit_code: int) -> None:
        state, now = self.state, datetime.now(UTC)
        asked, self._asked, self.child = self._asked, [], None
        state.exit_code, state.pid, state.mark, state.finished_at = exit_code, 0, "", now.isoformat()
        state.health = "unhealthy" if state.health else ""  # as a container engine has it
        again = not asked and self._is_restarted()
        self._set_status("restarting" if again else "exited")
        self._emit(EventKind.DIE, exit_code=exit_code)
        if asked:
            self._emit(EventKind.STOP)
        if any(do == "restart" for _, do in asked):
            self._restart(asked)
        elif again:
            self._restart_later((now - datetime.fromisoformat(state.started_at)).total_seconds())
        else:
            self.over = True
            self._answer_all(asked, "")

    def _restart(self, asked: list[tuple[str, str]]) -> None:
        self.state.restart_count = 0
        error = self._start()
        if not error:
            self._emit(EventKind.RESTART)
        self._answer_all(asked, error)

    def _is_restarted(self) -> bool:
        policy = self.spec.restart_policy
        if self._by_hand or policy.name == "no":
            return False
        if policy.name != "on-failure":
            return True
        limit = policy.maximum_retry_count
        return self.state.exit_code != 0 and (not limit or self.state.restart_count < limit)

    def _restart_later(self, ran: float) -> None:
        """As an engine does: 100 ms, doubling while runs are short."""
        doublings = 0 if ran > LONG_RUN else min(self.state.restart_count, 20)
        self._start_at = time.monotonic() + min(RESTART_DELAY * 2**doublings, LONGEST_RESTART_DELAY)
        self.state.restart_count += 1
        self.process.write_state(self.state)

    def _ask_to_stop(self, request: str, do: str, timeout: float) -> None:
        self._asked.append((request, do))
        if len(self._asked) == 1:
            self._kill_at = time.monotonic() + timeout
            self._send(self.spec.stop_number)

    def _kill(self, request: str, number: int) -> None:
        if self.child is not None and number in (signal.SIGKILL, signal.SIGTERM, self.spec.stop_number):
            self._by_hand = True
        self._send(number)
        self._answer(request, "" if self.child is not None else "is not running")

    def _send(self, number: int) -> None:
        if self.child is not None:
            self._emit(EventKind.KILL, signal_name=signal.Signals(number).name)
            signal_process(self.state.pid, self.state.mark, number)

    def _look_at_clock(self) -> None:
        now = time.monotonic()
        if self.child is not None and now >= self._kill_at:
            self._kill_at = FOR_EVER
            self._send(signal.SIGKILL)
        if self.child is None and now >= self._start_at:
            self._start_at = FOR_EVER
            self._start()

    def _report(self, runner: HealthRunner, run: HealthRun) -> None:
        """From the health thread: hand over the run and wake the loop."""
        self._runs.put((runner, run))
        with contextlib.suppress(BlockingIOError):
            os.write(self._wake, b"h")

    def _count_runs(self) -> None:
        while not self._runs.empty():
            runner, run = self._runs.get()
            if runner is not self._health or self._count is None:
                continue
            verdict, before = self._count.count(run), self.state.health
            self.state.health = verdict
            self.state.health_log = [*self.state.health_log, run.entry()][-LOG_ENTRIES:]
            self.process.write_state(self.state)
            if verdict != before:
                self._emit(EventKind.HEALTHY if verdict == "healthy" else EventKind.UNHEALTHY)

    def _copy_output(self) -> None:
        with contextlib.suppress(BlockingIOError):
            for _ in range(64):
                data = os.read(self._output, 65536)
                if not data:
                    return
                self.log.write(data)

    def _end_orphan(self, stop_timeout: float) -> None:
        state = self.state
        if not signal_process(state.pid, state.mark, self.spec.stop_number):
            return
        until = time.monotonic() + stop_timeout
        while is_alive(state.pid, state.mark) and time.monotonic() < until:
            time.sleep(0.01)
        signal_process(state.pid, state.mark, signal.SIGKILL)
        while is_alive(state.pid, state.mark):
            time.sleep(0.01)

    def _emit(self, kind: EventKind, signal_name: str = "", exit_code: int | None = None) -> datetime:
        folder = self.process.path.parent
        return append_event(folder, kind, self.process.id, self.spec, signal_name, exit_code)

    def _set_status(self, status: str) -> None:
        self.state.status = status
        self.process.write_state(self.state)

    def _answer(self, request: str, error: str) -> None:
        answers = {**self.state.answers, request: error}
        self.state.answers = dict(list(answers.items())[-KEPT_ANSWERS:])
        self.process.write_state(self.state)

    def _answer_all(self, asked: list[tuple[str, str]], error: str) -> None:
        for request, _ in asked:
            self._answer(request, error)


def _has_ended(child: subprocess.Popen[bytes]) -> bool:
    """Whether it has, without collecting it where that can be told: until then its group cannot be another's."""
    if hasattr(os, "waitid"):
        return os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    return child.poll() is not None
