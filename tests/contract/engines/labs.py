"""One way to make things happen on each of the three engines, so that one suite runs over all of them."""

from __future__ import annotations

import os
import signal
import threading
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from healing.core.ports import Engine, EngineConfig
from healing.core.types import Event, ExecResult, HealthCommand, RestartPolicy
from healing.engines import open_engine
from healing.engines.docker import DockerEngine
from healing.engines.fake import FakeEngine, Outcome, fake_engine
from healing.engines.process import ProcessEngine, ProcessSpec
from tests.testbed import faults
from tests.testbed.containers import Containers, healthcheck
from tests.testbed.wait import until

INTERVAL = 0.3
SICK = "/tmp/sick"
NO_POLICY = RestartPolicy()


class Lab(Protocol):
    """An engine, and the outside of it: what people, kernels and applications do."""

    kind: str
    address: str
    engine: Engine

    def run(
        self,
        name: str,
        argv: Sequence[str] = tuple(faults.IDLE),
        *,
        health: bool = False,
        labels: Mapping[str, str] | None = None,
        policy: RestartPolicy = NO_POLICY,
        stop_signal: str = "SIGTERM",
        stop_timeout: int | None = None,
        start: bool = True,
    ) -> str: ...

    def full_name(self, name: str) -> str: ...

    def sicken(self, container: str) -> None: ...

    def cure(self, container: str) -> None: ...

    def kill_from_outside(self, container: str) -> None: ...

    def stop_by_hand(self, container: str, timeout: int = 5) -> None: ...

    def kill_by_hand(self, container: str, name: str) -> None: ...

    def remove(self, container: str) -> None: ...

    def answers(self, container: str, argv: Sequence[str], answer: ExecResult | Exception) -> None:
        """Only the fake has to be told what a command answers."""

    def close(self) -> None: ...


class DockerLab:
    """A real Docker engine; containers are the test's own."""

    kind = "docker"

    def __init__(self, containers: Containers) -> None:
        self.containers = containers
        self.address = containers.host
        self.engine: Engine = DockerEngine(EngineConfig("docker", containers.host))

    def run(self, name: str, argv: Sequence[str] = tuple(faults.IDLE), **options: Any) -> str:
        policy = options.get("policy", NO_POLICY)
        check = (
            healthcheck(["CMD", "test", "!", "-e", SICK], interval=INTERVAL)
            if options.get("health")
            else None
        )
        create = {"stop_signal": options.get("stop_signal", "SIGTERM")}
        if options.get("stop_timeout") is not None:
            create["stop_timeout"] = options["stop_timeout"]
        make = self.containers.run if options.get("start", True) else self.containers.create
        return make(
            name,
            argv,
            labels=options.get("labels"),
            healthcheck=check,
            restart_policy=policy.name,
            max_retries=policy.maximum_retry_count,
            create=create,
            network_mode="none",
        )

    def full_name(self, name: str) -> str:
        return self.containers.name(name)

    def sicken(self, container: str) -> None:
        self.containers.exec(container, ["touch", SICK])

    def cure(self, container: str) -> None:
        self.containers.exec(container, ["rm", SICK])

    def kill_from_outside(self, container: str) -> None:
        self.containers.kill_from_outside(container)

    def stop_by_hand(self, container: str, timeout: int = 5) -> None:
        self.containers.client.stop(container, timeout=timeout)

    def kill_by_hand(self, container: str, name: str) -> None:
        self.containers.client.kill(container, name)

    def remove(self, container: str) -> None:
        self.containers.client.remove_container(container, force=True)

    def answers(self, container: str, argv: Sequence[str], answer: ExecResult | Exception) -> None:
        pass

    def close(self) -> None:
        self.engine.close()
        self.containers.client.close()


class ProcessLab:
    """Real processes, in a folder of the test's own."""

    kind = "process"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.address = f"process://{folder}/engine"
        self.processes = ProcessEngine(EngineConfig("process", self.address))
        self.engine: Engine = self.processes

    def run(self, name: str, argv: Sequence[str] = tuple(faults.IDLE), **options: Any) -> str:
        sick = str(self.folder / f"{name}.sick")
        check = (
            HealthCommand(("test", "!", "-e", sick), INTERVAL, 2, 0, 1)
            if options.get("health")
            else HealthCommand()
        )
        spec = ProcessSpec(
            name,
            tuple(argv),
            labels=options.get("labels") or {},
            restart_policy=options.get("policy", NO_POLICY),
            healthcheck=check,
            stop_signal=options.get("stop_signal", "SIGTERM"),
            stop_timeout=options.get("stop_timeout"),
        )
        process = self.processes.create(spec)
        if options.get("start", True):
            self.processes.start(process, 10)
        return process

    def full_name(self, name: str) -> str:
        return name

    def sicken(self, container: str) -> None:
        self._sick_file(container).touch()

    def cure(self, container: str) -> None:
        self._sick_file(container).unlink()

    def kill_from_outside(self, container: str) -> None:
        os.kill(self.processes.inspect(container).pid, signal.SIGKILL)

    def stop_by_hand(self, container: str, timeout: int = 5) -> None:
        self.processes.stop(container, timeout)

    def kill_by_hand(self, container: str, name: str) -> None:
        self.processes.kill(container, signal.Signals[name])

    def remove(self, container: str) -> None:
        self.processes.stop(container, 0)
        self.processes.remove(container)

    def answers(self, container: str, argv: Sequence[str], answer: ExecResult | Exception) -> None:
        pass

    def close(self) -> None:
        for row in self.processes.list():
            self.remove(row.id)
        self.engine.close()

    def _sick_file(self, container: str) -> Path:
        return self.folder / f"{self.processes.inspect(container).name}.sick"


class FakeLab:
    """The fake, told to behave as the commands of `faults` do."""

    kind = "fake"

    def __init__(self) -> None:
        name = f"lab-{uuid.uuid4().hex[:8]}"
        self.address = f"fake://{name}"
        self.fake: FakeEngine = fake_engine(name)
        self.engine: Engine = open_engine(EngineConfig("fake", self.address))

    def run(self, name: str, argv: Sequence[str] = tuple(faults.IDLE), **options: Any) -> str:
        crashes = list(argv) == faults.CRASH
        container = self.fake.add(
            name,
            labels=options.get("labels"),
            command=tuple(argv),
            healthcheck=bool(options.get("health")),
            restart_policy=options.get("policy", NO_POLICY),
            stop_signal=options.get("stop_signal", "SIGTERM"),
            stop_timeout=options.get("stop_timeout"),
            ignores_term=list(argv) == faults.IGNORES_TERM,
            outcomes=(Outcome("exit", exit_code=1) if crashes else Outcome(),),
            running=options.get("start", True),
        )
        if crashes:
            self.fake.set_logs(container, ["fatal: cannot open the ledger"])
        return container

    def full_name(self, name: str) -> str:
        return name

    def sicken(self, container: str) -> None:
        self.fake.make_unhealthy(container)

    def cure(self, container: str) -> None:
        self.fake.make_healthy(container)

    def kill_from_outside(self, container: str) -> None:
        self.fake.kill(container)

    def stop_by_hand(self, container: str, timeout: int = 5) -> None:
        self.fake.stop_by_hand(container, timeout)

    def kill_by_hand(self, container: str, name: str) -> None:
        self.fake.kill_by_hand(container, name)

    def remove(self, container: str) -> None:
        self.fake.remove(container)

    def answers(self, container: str, argv: Sequence[str], answer: ExecResult | Exception) -> None:
        self.fake.answer_exec(container, argv, answer)

    def close(self) -> None:
        self.engine.close()


class Listener:
    """Collects the events of some containers from an engine's stream, in a thread."""

    def __init__(self, engine: Engine, since: Any = None, idle_timeout: float = 10) -> None:
        self.events: list[Event] = []
        self.error: Exception | None = None
        self._stream = engine.events(since, idle_timeout)
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def of(self, container: str) -> list[str]:
        """The kinds of a container's events so far."""
        return [event.kind.value for event in self.events if event.container_id == container]

    def wait_for(self, container: str, *kinds: str, timeout: float = 15) -> list[Event]:
        """Until these kinds have come for this container, in this order and with nothing after; its events."""
        wanted = list(kinds)
        until(lambda: _Ends(self.of(container), wanted), timeout, f"events end with {wanted}")
        return [event for event in self.events if event.container_id == container]

    def ended(self, timeout: float) -> bool:
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _listen(self) -> None:
        try:
            for event in self._stream:
                self.events.append(event)
        except Exception as error:
            self.error = error


class _Ends:
    def __init__(self, seen: list[str], wanted: list[str]) -> None:
        self.seen, self.wanted = seen, wanted

    def __bool__(self) -> bool:
        return self.seen[-len(self.wanted) :] == self.wanted

    def __repr__(self) -> str:
        return repr(self.seen)
