"""The same parts as processes of their own, started, watched and stopped together: for a broker outside."""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from django.conf import settings

from healing.core.queues import CHECKS, HEAL, near
from selfheal_project import env
from selfheal_project.up.errors import StartRefused
from selfheal_project.up.signals import stop_on_signals

logger = logging.getLogger(__name__)

STOP_SECONDS = 10.0
FIRST_PAUSE, LONGEST_PAUSE, STEADY_SECONDS = 1.0, 30.0, 60.0
FLOWER_USER = "selfheal"
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None)


@dataclass(frozen=True, slots=True)
class Program:
    """One process; what is secret goes by `environ`, because everybody sees command lines."""

    name: str
    argv: Sequence[str]
    environ: Mapping[str, str] = field(default_factory=dict)


def programs(address: str, port: int, flower_port: int, flower_password: str) -> list[Program]:
    """Everything that Selfheal consists of."""
    celery = [sys.executable, "-m", "celery", "-A", "selfheal_project", "-q"]
    uvicorn = [sys.executable, "-m", "uvicorn", "selfheal_project.asgi:application", "--lifespan", "off"]
    flower = [
        "flower",
        "--address=127.0.0.1",
        f"--port={flower_port}",
        "--logging=warning",
        "--max_tasks=10000",
    ]
    return [
        Program(
            "web",
            [*uvicorn, "--no-access-log", "--log-level", "warning", "--host", address, "--port", str(port)],
        ),
        # Threads: the tasks wait for engines, and prefork would pay a process for each one that waits.
        Program("worker-heal", [*celery, *_worker("heal", "heal", 16)]),
        Program("worker-checks", [*celery, *_worker("checks", "checks", 8)]),
        Program("worker-other", [*celery, *_worker("other", "alerts,default", 4)]),
        Program("beat", [*celery, "beat", "--pidfile="]),
        Program("watch", [sys.executable, "manage.py", "watch"]),
        Program("sweep", [sys.executable, "manage.py", "sweep"]),
        Program("flower", [*celery, *flower], {"FLOWER_BASIC_AUTH": f"{FLOWER_USER}:{flower_password}"}),
    ]


def near_programs(queues: Sequence[str]) -> list[Program]:
    """What runs near the engines of these host queues: their workers, their watcher and their sweeper."""
    celery = [sys.executable, "-m", "celery", "-A", "selfheal_project", "-q"]
    watch, sweep = ([sys.executable, "manage.py", name] for name in ("watch", "sweep"))
    for queue in queues:
        watch += ["--queue", queue]
        sweep += ["--queue", queue]

    def of(common: str) -> str:
        return ",".join(near(common, queue) for queue in queues)

    return [
        Program("worker-heal", [*celery, *_worker(f"heal-{queues[0]}", of(HEAL), 16)]),
        Program("worker-checks", [*celery, *_worker(f"checks-{queues[0]}", of(CHECKS), 8)]),
        Program("watch", watch),
        Program("sweep", sweep),
    ]


def _worker(name: str, queues: str, threads: int) -> list[str]:
    return [
        "worker",
        "-n",
        f"{name}@%h",
        "-Q",
        queues,
        "--pool=threads",
        f"--concurrency={threads}",
        "--without-mingle",
    ]


def flower_password(home: Path, environ: Mapping[str, str] = os.environ) -> tuple[str, str]:
    """Flower's password, and what to tell about it."""
    given = environ.get("SELFHEAL_FLOWER_PASSWORD", "")
    if "," in given:
        raise StartRefused(
            "SELFHEAL_FLOWER_PASSWORD has a comma, which Flower takes for a second user; leave it out."
        )
    if given:
        return given, "the password in SELFHEAL_FLOWER_PASSWORD"
    password = env.stored_secret(home, "flower_password", 20)
    return password, f"password {password}  (kept in {home / 'flower_password'})"


def run(wanted: Sequence[Program]) -> int:
    """Keep all programs running until SIGTERM or Ctrl-C; return the exit status."""
    stopping = threading.Event()
    with stop_on_signals(stopping):
        keeper = Keeper(wanted)
        try:
            while not stopping.wait(0.2):
                keeper.look(time.monotonic())
        finally:
            keeper.stop()
    logger.info("stopped", extra={"action": "stopped"})
    return 0


@dataclass(slots=True)
class _Kept:
    program: Program
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    start_at: float = 0.0
    pause: float = FIRST_PAUSE


class Keeper:
    """Starts programs; those that ended, or could not be started, again after a pause that doubles while they do not hold."""

    def __init__(
        self, wanted: Sequence[Program], start: Callable[[Program], subprocess.Popen[bytes]] | None = None
    ):
        self._kept = [_Kept(program) for program in wanted]
        self._start = start or _start

    def look(self, now: float) -> None:
        """One round: note who ended, start who is due. `now` in seconds of a monotonic clock."""
        for kept in self._kept:
            if kept.process is not None and kept.process.poll() is not None:
                self._note_end(kept, now)
            if kept.process is None and now >= kept.start_at:
                self._try_to_start(kept, now)

    def stop(self) -> None:
        """SIGTERM to all, SIGKILL to those that are still there after STOP_SECONDS."""
        running = [
            kept.process for kept in self._kept if kept.process is not None and kept.process.poll() is None
        ]
        for process in running:
            process.terminate()
        deadline = time.monotonic() + STOP_SECONDS
        for process in running:
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _try_to_start(self, kept: _Kept, now: float) -> None:
        try:
            kept.process, kept.started = self._start(kept.program), now
        except (OSError, subprocess.SubprocessError) as error:
            self._start_later(kept, now, f"cannot be started ({error})")

    def _note_end(self, kept: _Kept, now: float) -> None:
        assert kept.process is not None
        if now - kept.started >= STEADY_SECONDS:
            kept.pause = FIRST_PAUSE
        self._start_later(kept, now, f"ended with status {kept.process.returncode}")

    def _start_later(self, kept: _Kept, now: float, reason: str) -> None:
        message = "The process %s %s; it is started again in %.0f s."
        extra = {"action": "process_died", "program": kept.program.name}
        logger.error(message, kept.program.name, reason, kept.pause, extra=extra)
        kept.process, kept.start_at = None, now + kept.pause
        kept.pause = min(kept.pause * 2, LONGEST_PAUSE)


def _start(program: Program) -> subprocess.Popen[bytes]:
    # A session of its own: Ctrl-C reaches the keeper alone, which then stops everybody once and in order.
    return subprocess.Popen(
        program.argv,
        cwd=settings.BASE_DIR,
        env={**os.environ, **program.environ},
        start_new_session=True,
        preexec_fn=_die_with_parent if sys.platform == "linux" else None,
    )


def _die_with_parent() -> None:
    """Linux: have the kernel stop this process when the keeper is gone, however it went."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
