"""The simulated fleet in a process of its own."""

from __future__ import annotations

import json
import os
import shutil
import socket
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.fleet.control import SOCKET, Control
from benchmarks.scaling import asked
from tests.testbed.paths import PROJECT, new_folder
from tests.testbed.process import Child
from tests.testbed.wait import NotInTimeError, until

DUMPING = 300.0


@dataclass(frozen=True, slots=True)
class Dump:
    """What the simulator wrote down: requests, and faults as `fleet.heals.Fault` has them."""

    requests: list[asked.Request]
    faults: list[dict[str, Any]]


class Simulator:
    """A fleet that answers at `folder`/engine-01.sock and so on."""

    def __init__(self, folder: Path, child: Child, control: Control) -> None:
        self.folder = folder
        self.pid = child.pid
        self._control = control
        self.addresses: dict[str, str] = control.do("addresses")

    def names(self) -> dict[str, dict[str, str]]:
        """Engine -> id -> name of each container."""
        return {
            engine: {one["id"]: one["name"] for one in self._control.do("containers", engine=engine)}
            for engine in self.addresses
        }

    def list_bytes(self) -> float:
        """Bytes for each container in the list of the first engine, on the wire."""
        engine, address = next(iter(self.addresses.items()))
        with closing(socket.socket(socket.AF_UNIX)) as client, closing(client.makefile("rb")) as answer:
            client.connect(address.removeprefix("unix://"))
            client.sendall(
                b"GET /containers/json?all=1 HTTP/1.1\r\nHost: engine\r\nConnection: close\r\n\r\n"
            )
            return len(answer.read()) / len(self._control.do("containers", engine=engine))

    def begin_faults(self, share: float, seed: int) -> None:
        """`share` of all containers fails each minute: half of them die, half turn unhealthy."""
        kinds = ("unhealthy", "die")
        self._control.do("start_random_faults", share_per_minute=share, kinds=kinds, seed=seed)

    def end_faults(self, patience: float) -> None:
        """No new faults; returns when all containers work again, at the latest after `patience` seconds."""
        self._control.do("stop_random_faults")
        with suppress(NotInTimeError):
            until(self._all_work, patience, "all containers work again", 0.5)

    def _all_work(self) -> bool:
        report = self._control.do("heal_report")
        return bool(report["faults"] == report["works_again"])

    def dump(self) -> Dump:
        """All that was asked and all that befell since the start. Raise OverflowError where too much was to be kept."""
        place = self.folder / "dump"
        self._control.do("dump", folder=str(place))
        if lost := self._forgotten():
            raise OverflowError(
                f"the simulator has forgotten the oldest requests of {', '.join(lost)}: measure for less minutes"
            )
        faults = [json.loads(line) for line in (place / "heals.jsonl").read_text().splitlines()]
        return Dump(asked.read(place / "requests.jsonl"), faults)

    def _forgotten(self) -> list[str]:
        reports: Mapping[str, Any] = self._control.do("requests")
        return [engine for engine, report in reports.items() if report["requests"] > report["kept"]]


@contextmanager
def simulator(
    engines: int, containers: int, labels: Mapping[str, str], health_interval: float = 30.0
) -> Iterator[Simulator]:
    """`containers` in all, spread evenly over `engines`, which has to divide them. Raise ValueError."""
    if containers % engines:
        raise ValueError(f"{containers} containers cannot be spread evenly over {engines} engines")
    folder = new_folder("fleet")
    command = [sys.executable, "-m", "benchmarks.fleet", "--dir", str(folder), "--engines", str(engines)]
    command += ["--containers", str(containers // engines)]
    command += ["--health-interval", str(health_interval)]
    command += [part for name, value in labels.items() for part in ("--label", f"{name}={value}")]
    child = Child(command, folder / "log", cwd=PROJECT, env=dict(os.environ))
    try:
        child.wait_ready(lambda: "ready" in child.tail(), timeout=120)
        with Control(folder / SOCKET, timeout=DUMPING) as control:
            yield Simulator(folder, child, control)
    finally:
        child.stop()
        shutil.rmtree(folder, ignore_errors=True)
