"""The platform's availability, measured from outside: every second a container of a simulated engine falls ill.

The engine notes when, and when Selfheal had it started again. Each container is used once, so that no back-off is measured.
A second counts as available when the fault that came in it was found and acted on within its bound.
"""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from benchmarks.fleet.control import ControlError
from tests.faults.world import World
from tests.integration.many.parts import Fleet
from tests.testbed.paths import new_folder
from tests.testbed.wait import until

BOUND = 15.0
"""Seconds from a fault until the engine has been asked to restart and has started the container."""
INTERVAL = 5.0
EVERY = 1.0
_ADD_HOST = "from healing.models import Host; Host.objects.create(name='{name}', address='{address}')"
NAME = "prober"
_CALL = re.compile(r"/containers/([^/]+)/(?:re)?start\b")


@dataclass(frozen=True, slots=True)
class Sample:
    """A fault at `at` (seconds since 1970), acted on after `delay` seconds (infinite: never), for `seconds` of the run."""

    at: float
    delay: float
    seconds: float

    @property
    def in_time(self) -> bool:
        return self.delay <= BOUND


class Prober:
    """Breaks one container after another, from `start` to `stop`."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet
        self._engine = fleet.names[0]
        self._left = iter(sorted(row["name"] for row in fleet.do("containers", engine=self._engine)))
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="prober", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join(30)

    def _run(self) -> None:
        due = time.monotonic()
        for name in self._left:
            due += EVERY
            if self._ended.wait(max(0.0, due - time.monotonic())):
                return
            with contextlib.suppress(ControlError, OSError):
                self.fleet.do("unhealthy", engine=self._engine, container=name)

    def waiting(self) -> int:
        """Faults that nobody has acted on."""
        return sum(row["started_at"] is None for row in self._rows())

    def samples(self) -> list[Sample]:
        """All faults in their order."""
        rows = sorted(self._rows(), key=lambda row: row["at"])
        found = []
        for row, following in zip(rows, [*rows[1:], None], strict=True):
            delay = float("inf") if row["started_at"] is None else row["started_at"] - row["at"]
            found.append(
                Sample(row["at"], delay, EVERY if following is None else following["at"] - row["at"])
            )
        return found

    def not_once(self) -> str:
        """Where not each that was broken, and nothing else, was asked to be restarted once and was: what is wrong; else empty.

        No call is lost here, as this engine always answers: one whose asker has died is done, and found as done.
        """
        rows = self._rows()
        asked, done = self._asked(), sum(int(row["starts"]) for row in rows)
        if asked == done == len(rows):
            return ""
        twice = {name: number for name, number in self._kept_calls().items() if number > 1}
        return (
            f"{len(rows)} were broken, {asked} calls came, {done} starts were done; more than once: {twice}"
        )

    def _asked(self) -> int:
        """All starts and restarts that it was asked for, whatever it answered."""
        routes = self.fleet.do("requests", engine=self._engine)["routes"]
        return sum(routes.get(f"POST /containers/{{id}}/{verb}", 0) for verb in ("start", "restart"))

    def _kept_calls(self) -> Counter[str]:
        """The same by container, of the newest requests only: an engine does not keep all of them. After a `dump`."""
        rows = map(json.loads, (self.fleet.folder / "requests.jsonl").read_text().splitlines())
        posts = [row["path"] for row in rows if row["method"] == "POST" and row["engine"] == self._engine]
        return Counter(found[1] for path in posts if (found := _CALL.search(path)))

    def _rows(self) -> list[dict[str, float]]:
        self.fleet.do("dump", folder=str(self.fleet.folder))
        lines = (self.fleet.folder / "heals.jsonl").read_text().splitlines()
        return [row for row in map(json.loads, lines) if row["engine"] == self._engine]


@contextmanager
def prober_for(world: World, seconds: float) -> Iterator[Prober]:
    """A simulated engine as a further host of this world, with a container for each second; known before it returns."""
    folder, number = new_folder("prober"), int(seconds / EVERY) + 20
    fleet = Fleet(folder, 1, number, INTERVAL)
    prober = Prober(fleet)
    try:
        world.installation.manage(
            "shell", "-c", _ADD_HOST.format(name=NAME, address=fleet.address(fleet.names[0]))
        )
        until(lambda: _known(world) >= number, 180, f"{number} containers are known as healthy", interval=0.2)
        yield prober
    finally:
        prober.stop()
        fleet.child.stop()
        shutil.rmtree(folder, ignore_errors=True)


def _known(world: World) -> int:
    rows = world.stack.rows(
        "SELECT count(*) AS n FROM healing_healthstatus s JOIN healing_container c ON c.id = s.container_id"
        " JOIN healing_host h ON h.id = c.host_id WHERE h.name = ? AND s.status = 'healthy'",
        NAME,
    )
    return int(rows[0]["n"])
