"""Containers that turn unhealthy at one moment, and that a restart cures, or does not.

At its start each takes a copy of a shared file, as a program reads its password once; its HEALTHCHECK compares the
copy with the password that is in force. To change the one that is in force is to make all of them unhealthy.
"""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from benchmarks.healers import LABELS
from tests.testbed.containers import Containers, healthcheck
from tests.testbed.paths import new_folder
from tests.testbed.wait import until

R = TypeVar("R")

_COMMAND = ["sh", "-c", "trap 'exit 0' TERM; cp /shared/given /tmp/given; sleep 100000 & wait"]
_CHECK = ["CMD", "cmp", "/shared/in-force", "/tmp/given"]
_CHECK_TIMEOUT = 30
"""Seconds, the engine's default: on a busy machine, too, only the fault makes a container unhealthy."""
_AT_ONCE = 8


class SharedFault:
    """`number` running containers on one engine, each looked at by the engine every `interval` seconds."""

    def __init__(self, host: str, number: int, interval: float) -> None:
        self.containers = Containers(host)
        self.interval = interval
        self._folder = new_folder("field")
        self._write("given", "in-force")
        names = [f"{n:03}" for n in range(number)]
        self.ids: list[str] = self._all(self._run, names)

    @property
    def prefix(self) -> str:
        """What the names of all of them begin with."""
        return f"{self.containers.prefix}-"

    def _run(self, name: str) -> str:
        return self.containers.run(
            name,
            _COMMAND,
            labels=LABELS,
            healthcheck=healthcheck(_CHECK, interval=self.interval, timeout=_CHECK_TIMEOUT),
            binds={str(self._folder): {"bind": "/shared", "mode": "ro"}},
        )

    def rest(self) -> None:
        """Mend all of them, whatever has been done to them; they are healthy, and the engine's next looks are at one moment.

        Its clock for a HEALTHCHECK begins anew after a pause.
        """
        client = self.containers.client
        shutil.copyfile(self._folder / "given", self._folder / "in-force.new")
        os.replace(self._folder / "in-force.new", self._folder / "in-force")
        until(self._all_run, 60, f"{len(self.ids)} containers run", interval=0.5)
        self._all(lambda one: client.restart(one, timeout=1), self._listed(health="unhealthy"))
        self.wait_healthy()
        self._all(client.pause, self.ids)
        self._all(client.unpause, self.ids)

    def _all_run(self) -> bool:
        """Whether all run; those that do not are started, for a healer may have been ended in its work."""
        if len(self._listed(status="running")) == len(self.ids):
            return True
        self._all(self.containers.client.start, self._listed(status="exited"))
        return False

    def _listed(self, **filters: str) -> list[str]:
        found = self.containers.client.containers(all=True, filters={"name": f"^/{self.prefix}", **filters})
        return [entry["Id"] for entry in found]

    def wait_healthy(self) -> None:
        """Until the engine calls all of them healthy."""
        what = f"{len(self.ids)} containers are healthy"
        timeout = 2 * self.interval + 60
        until(lambda: len(self._listed(health="healthy")) == len(self.ids), timeout, what, interval=0.2)

    def break_curably(self) -> None:
        """From now on each is unhealthy until it is started again."""
        self._write("given", "in-force")

    def break_hopelessly(self) -> None:
        """From now on each is unhealthy, and a start changes nothing, until `rest`."""
        self._write("in-force")

    def _write(self, *names: str) -> None:
        """One new value, put into its files whole: a check never sees half of it."""
        value = uuid.uuid4().hex
        for name in names:
            new = self._folder / f"{name}.new"
            new.write_text(value)
            new.chmod(0o644)
            os.replace(new, self._folder / name)

    def close(self) -> None:
        """Remove them and what they shared."""
        self.containers.remove_all()
        shutil.rmtree(self._folder, ignore_errors=True)

    @staticmethod
    def _all(do: Callable[[str], R], what: Iterable[str]) -> list[R]:
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            return list(pool.map(do, what))
