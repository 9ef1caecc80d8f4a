"""The processes of one installation in production mode, each started, killed, stopped and restarted by itself."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from selfheal_project.processes import Program, programs
from tests.testbed.paths import PROJECT
from tests.testbed.process import Child, free_port
from tests.testbed.wait import until

NOT_NEEDED = ("flower",)
_FOREIGN = ("SELFHEAL_", "DJANGO_", "CELERY_", "DATABASE_URL", "DOCKER_HOST", "PORT", "PYTHONPATH", "FAULT_")
_PREPARE = """
import json, sys
from django.core.management import call_command
from datetime import timedelta
from healing.models import Host
from notifications.models import Channel
from notifications.routes import root
given = json.loads(sys.stdin.read())
call_command("setup")
for name, address in given["hosts"]:
    host = Host(name=name, address=address)
    host.full_clean()
    host.save()
Channel.objects.create(name="sink", kind="webhook", config={"url": given["sink"]}, allow_private=True)
route = root()
route.group_by, route.group_wait, route.group_interval = ["..."], timedelta(0), timedelta(0)
route.save()
"""


@dataclass
class _Kept:
    program: Program
    environ: dict[str, str] = field(default_factory=dict)
    child: Child | None = None
    is_kept: bool = True


class Installation:
    """Parts by name: worker-heal, worker-checks, worker-other, beat, watch, web …; a second one is "beat-2".

    A part that ends is started again at once, as a supervisor would, unless it is `let_go`.
    """

    def __init__(self, home: Path, environ: Mapping[str, str], web: bool = False) -> None:
        self.home, self.port = home, free_port()
        kept = {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN)}
        self.environ = {**kept, "SELFHEAL_HOME": str(home), **environ}
        skipped = NOT_NEEDED if web else (*NOT_NEEDED, "web")
        wanted = programs("127.0.0.1", self.port, 0, "none")
        self._programs = {program.name: program for program in wanted if program.name not in skipped}
        self._kept: dict[str, _Kept] = {}
        self._begun: dict[int, str] = {}
        self._lock = threading.RLock()
        self._stopping = threading.Event()
        self._keeper = threading.Thread(target=self._keep, name="keeper", daemon=True)

    @property
    def parts(self) -> list[str]:
        """The names of all parts that one installation consists of."""
        return list(self._programs)

    def prepare(self, hosts: Sequence[tuple[str, str]], sink: str) -> None:
        """Make tables, periodic tasks, further hosts (name, address), and the channel to the sink."""
        self.manage(
            "shell", "--verbosity", "0", "-c", _PREPARE, given=json.dumps({"hosts": hosts, "sink": sink})
        )

    def manage(self, *arguments: str, given: str = "", timeout: float = 180) -> str:
        """Run a command of manage.py to its end; what it printed."""
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=PROJECT,
            env=self.environ,
            input=given,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def start(self, name: str, **environ: str) -> Child:
        """Start a part, also one that was let go, with further variables of its own."""
        with self._lock:
            kept = self._kept.setdefault(name, _Kept(self._program(name)))
            kept.environ, kept.is_kept = environ, True
            if kept.child is None or not kept.child.running():
                kept.child = self._run(kept)
            return kept.child

    def _program(self, name: str) -> Program:
        if name in self._programs:
            return self._programs[name]
        first, _, number = name.rpartition("-")
        program = self._programs[first]
        argv = [word.replace("@%h", f"-{number}@%h") for word in program.argv]
        return Program(name, argv, program.environ)

    def _run(self, kept: _Kept) -> Child:
        environ = {**self.environ, **kept.program.environ, **kept.environ}
        log = self.home / f"{kept.program.name}.log"
        child = Child(list(kept.program.argv), log, env=environ, cwd=PROJECT, start_new_session=True)
        self._begun[child.pid] = kept.program.name
        return child

    def start_all(self) -> None:
        for name in self.parts:
            self.start(name)
        if not self._keeper.is_alive():
            self._keeper.start()

    def _keep(self) -> None:
        while not self._stopping.wait(0.1):
            with self._lock:
                for kept in self._kept.values():
                    if kept.is_kept and kept.child is not None and not kept.child.running():
                        kept.child = self._run(kept)

    def running(self) -> list[str]:
        with self._lock:
            return [name for name, kept in self._kept.items() if kept.child and kept.child.running()]

    def pids(self, *parts: str) -> list[int]:
        """Of these parts, or of all that run."""
        with self._lock:
            chosen = [kept for name, kept in self._kept.items() if not parts or name in parts]
            return [kept.child.pid for kept in chosen if kept.child and kept.child.running()]

    def pid(self, part: str) -> int:
        return self.pids(part)[0]

    def part_of(self, pid: int) -> str:
        """The name of the part that has, or had, this process id; empty where none had."""
        with self._lock:
            return self._begun.get(pid, "")

    def signal(self, number: int, *parts: str) -> None:
        """Send a signal to these parts, or to all."""
        for pid in self.pids(*parts):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def kill(self, *parts: str) -> None:
        """SIGKILL; they come back at once."""
        before = self.pids(*parts)
        self.signal(signal.SIGKILL, *parts)
        until(lambda: not set(before) & set(self.pids()), 10, f"{parts} are gone")

    def pause(self, *parts: str) -> None:
        self.signal(signal.SIGSTOP, *parts)

    def resume(self, *parts: str) -> None:
        self.signal(signal.SIGCONT, *parts)

    def let_go(self, *parts: str) -> None:
        """SIGKILL, and not started again until `start`."""
        with self._lock:
            for name in parts:
                self._kept[name].is_kept = False
                if (child := self._kept[name].child) is not None:
                    child.kill()

    def restart(self, *parts: str, **environ: str) -> None:
        """Stop gently and start again, with these variables of their own."""
        with self._lock:
            for name in parts:
                kept = self._kept[name]
                kept.is_kept = False
                if kept.child is not None:
                    kept.child.send(signal.SIGCONT)
                    kept.child.send(signal.SIGTERM)
            for name in parts:
                if (child := self._kept[name].child) is not None:
                    child.stop(timeout=15)
                self.start(name, **environ)

    def own_variables(self, part: str) -> dict[str, str]:
        with self._lock:
            return dict(self._kept[part].environ)

    def stop(self) -> None:
        """End everything."""
        self._stopping.set()
        if self._keeper.is_alive():
            self._keeper.join(5)
        with self._lock:
            for kept in self._kept.values():
                kept.is_kept = False
                if kept.child is not None:
                    kept.child.send(signal.SIGCONT)
                    kept.child.send(signal.SIGTERM)
            for kept in self._kept.values():
                if kept.child is not None:
                    kept.child.stop(timeout=10)

    def log(self) -> str:
        """The ends of all logs."""
        paths = sorted(self.home.glob("*.log"))
        return "\n".join(f"--- {path.stem}\n{path.read_text(errors='replace')[-2500:]}" for path in paths)
