"""The contract suite's way to make things happen on the fleet simulator, which claims to be a Docker engine."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import docker

from benchmarks.fleet import commands
from benchmarks.fleet.settings import FleetSettings, Pace
from benchmarks.fleet.thread import running
from healing.core.ports import Engine, EngineConfig
from healing.core.types import ExecResult
from healing.engines.docker import DockerEngine
from tests.contract.engines.labs import INTERVAL, NO_POLICY, SICK
from tests.testbed import faults
from tests.testbed.containers import healthcheck

ENGINE = "engine-01"
QUICK = Pace(restart_seconds=0.1, starts_per_second=50, exec_seconds=0.01)

# Scripts whose pipes the simulator does not know, and others that say the same.
SAME: Mapping[str, str] = {
    "echo one; echo two; head -c 5000 /dev/zero | tr '\\0' x; echo; sleep 1000": (
        f"echo one; echo two; echo {'x' * 5000}; sleep 1000"
    )
}


class SimulatedLab:
    """Containers are made, stopped and removed through the API, with the docker package; faults are scripted."""

    kind = "docker"

    def __init__(self) -> None:
        self._stack = contextlib.ExitStack()
        folder = self._stack.enter_context(tempfile.TemporaryDirectory(prefix="fleet"))
        self.fleet = self._stack.enter_context(running(FleetSettings(Path(folder), pace=QUICK)))
        self.address = self.fleet.do(lambda fleet: fleet.addresses()[ENGINE])
        self.engine: Engine = DockerEngine(EngineConfig("docker", self.address))
        self.client = docker.APIClient(base_url=self.address, version="auto", timeout=20)

    def run(self, name: str, argv: Sequence[str] = tuple(faults.IDLE), **options: Any) -> str:
        policy = options.get("policy", NO_POLICY)
        check = healthcheck(["CMD", "test", "!", "-e", SICK], interval=INTERVAL)
        container = self.client.create_container(
            "any/image",
            [SAME.get(word, word) for word in argv],
            name=name,
            labels=dict(options.get("labels") or {}),
            healthcheck=check if options.get("health") else None,
            host_config=self.client.create_host_config(
                restart_policy={"Name": policy.name, "MaximumRetryCount": policy.maximum_retry_count},
                network_mode="none",
            ),
            stop_signal=options.get("stop_signal", "SIGTERM"),
            **({"stop_timeout": options["stop_timeout"]} if options.get("stop_timeout") is not None else {}),
        )["Id"]
        if options.get("start", True):
            self.client.start(container)
        return str(container)

    def full_name(self, name: str) -> str:
        return name

    def sicken(self, container: str) -> None:
        self.fleet.do(lambda fleet: fleet.unhealthy(ENGINE, container))

    def cure(self, container: str) -> None:
        self.fleet.do(lambda fleet: fleet.healthy(ENGINE, container))

    def kill_from_outside(self, container: str) -> None:
        self.fleet.do(lambda fleet: fleet.die(ENGINE, container, 137))

    def stop_by_hand(self, container: str, timeout: int = 5) -> None:
        self.client.stop(container, timeout=timeout)

    def kill_by_hand(self, container: str, name: str) -> None:
        self.client.kill(container, name)

    def remove(self, container: str) -> None:
        self.client.remove_container(container, force=True)

    def answers(self, container: str, argv: Sequence[str], answer: ExecResult | Exception) -> None:
        """Told only what the simulator does not imitate by itself."""
        try:
            commands.plan(argv)
        except commands.NotSimulated:
            assert isinstance(answer, ExecResult)
            code, output = answer.exit_code, answer.output
            self.fleet.do(lambda fleet: fleet.answer_exec(ENGINE, container, argv, code, output))

    def close(self) -> None:
        self.engine.close()
        self.client.close()
        self._stack.close()
