"""The shipped fake engine: in memory, deterministic, one world a name (`fake://name`) within a process.

Its answers go through the same payload parser as a real engine's. Faults are scripted by its methods; what was
asked of it is in `calls`, what happened in `happened`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from healing.core.errors import (
    ActionFailed,
    ActionTimedOut,
    EngineConflict,
    EngineUnreachable,
    PermanentError,
    PluginError,
)
from healing.core.events import IN_FLIGHT, EventStream
from healing.core.ports import EngineConfig
from healing.core.recreation import NEW, OLD, lasting_name
from healing.core.types import EngineInfo, Event, ExecResult, Snapshot, Summary
from healing.engines.address import parse_address
from healing.engines.docker_payloads import parse_snapshot, parse_summary
from healing.engines.fake_container import ExecAnswer, FakeContainer, Outcome, inspect_body, list_row
from healing.engines.fake_script import Script
from healing.engines.fake_world import Clock, ManualClock, World, wall_clock

__all__ = ["Call", "FakeEngine", "ManualClock", "Outcome", "fake_engine", "reset_fakes"]

REPLAYED_EVENTS = 256
OUTPUT_LIMIT = 4096
LINE_LIMIT = 1000


@dataclass(frozen=True, slots=True)
class Call:
    """One call that was made of the engine, by the world's clock."""

    method: str
    container_id: str
    at: datetime
    arguments: tuple[Any, ...] = ()


@dataclass(slots=True)
class _Shared:
    """What all engine objects of one name have in common."""

    world: World = field(default_factory=World)
    calls: list[Call] = field(default_factory=list)
    next_actions: list[tuple[PluginError, bool]] = field(default_factory=list)


_shared: dict[str, _Shared] = {}
_shared_lock = threading.Lock()


def fake_engine(name: str, clock: Clock = wall_clock) -> FakeEngine:
    """A fresh fake of this name (what was there is forgotten), with its clock."""
    with _shared_lock:
        _shared[name] = _Shared(World(clock))
    return FakeEngine(EngineConfig(kind="fake", address=f"fake://{name}"))


def reset_fakes() -> None:
    """Forget all fakes."""
    with _shared_lock:
        _shared.clear()


class FakeEngine(Script):
    """An object on a shared world: `close` ends this object's event iterators, and the world stays."""

    def __init__(self, config: EngineConfig) -> None:
        name = parse_address(config.address).host
        with _shared_lock:
            self._shared = _shared.setdefault(name, _Shared())
        super().__init__(self._shared.world)
        self._name = name
        self._streams: set[threading.Event] = set()

    @property
    def calls(self) -> list[Call]:
        """All calls made of any engine object of this name."""
        return self._shared.calls

    @property
    def happened(self) -> list[Event]:
        """All events so far, oldest first."""
        with self._world.changed:
            self._world.settle()
            return list(self._world.events)

    def refuse_next_action(self, error: PluginError) -> None:
        """The next start or restart does nothing and raises `error`; several are used up in order."""
        self._shared.next_actions.append((error, False))

    def hang_next_action(self, succeeds: bool = True) -> None:
        """The next start or restart gets no answer in time (ActionTimedOut), and has been done if `succeeds`."""
        self._shared.next_actions.append((ActionTimedOut("no answer from the fake engine in time"), succeeds))

    def info(self) -> EngineInfo:
        with self._looking("info", ""):
            return EngineInfo("fake", "1", "1.41", self._name, len(self._world.containers))

    def list(self) -> Sequence[Summary]:
        with self._looking("list", ""):
            return [parse_summary(list_row(container)) for container in self._world.containers.values()]

    def inspect(self, container_id: str) -> Snapshot:
        with self._looking("inspect", container_id):
            return parse_snapshot(inspect_body(self._world.find(container_id)))

    def restart(self, container_id: str, stop_timeout: float, deadline: float) -> None:
        def act(container: FakeContainer) -> None:
            if container.is_running:
                self._world.stop(container, stop_timeout)
            self._started(container)
            self._world.emit(container, "restart")

        self._act("restart", container_id, act, (stop_timeout, deadline))

    def start(self, container_id: str, deadline: float) -> None:
        def act(container: FakeContainer) -> None:
            if not container.is_running:
                self._started(container)

        self._act("start", container_id, act, (deadline,))

    def recreate(
        self, container_id: str, network_mode: str | None, stop_timeout: float, deadline: float
    ) -> str:
        made: list[str] = []

        def act(container: FakeContainer) -> None:
            made.append(self._made_anew(container, network_mode, stop_timeout))

        self._act("recreate", container_id, act, (network_mode, stop_timeout, deadline))
        return made[0]

    def _made_anew(self, old: FakeContainer, network_mode: str | None, stop_timeout: float) -> str:
        """As the engine does it, step by step; what cannot be started leaves the old one as it was."""
        world, name = self._world, lasting_name(old.name)
        mode = network_mode or old.network_mode
        fresh = world.make_anew(old, name=name + NEW, network_mode=mode)
        try:
            world.network_parent(fresh)
        except PluginError as error:
            del world.containers[fresh.id]
            world.emit(fresh, "destroy")
            raise ActionFailed(str(error)) from error
        if old.is_running:
            world.stop(old, stop_timeout)
        world.rename(old, name + OLD)
        world.rename(fresh, name)
        world.start(fresh)
        del world.containers[old.id]
        world.emit(old, "destroy")
        return fresh.id

    def logs(self, container_id: str, tail: int) -> Sequence[str]:
        with self._looking("logs", container_id, tail):
            lines = self._world.find(container_id).lines
            return [line[:LINE_LIMIT] for line in lines[-tail:]] if tail > 0 else []

    def exec(self, container_id: str, argv: Sequence[str], timeout: float) -> ExecResult:
        """What was scripted for `argv`; the health command answers by the container's health."""
        with self._looking("exec", container_id, tuple(argv), timeout):
            container = self._world.find(container_id)
            self._world.require_running(container)
            answer = container.answers.get(tuple(argv), _health_answer(container, tuple(argv)))
        if isinstance(answer, Exception):
            raise answer
        result = answer(tuple(argv)) if callable(answer) else answer
        return ExecResult(result.exit_code, result.output[:OUTPUT_LIMIT])

    def events(self, since: datetime | None, idle_timeout: float) -> Iterator[Event]:
        with self._looking("events", "", since):
            position = len(self._world.events)
            if since is not None:
                first = max(0, position - REPLAYED_EVENTS)
                position = next(
                    (n for n in range(first, position) if self._world.events[n].at >= since), position
                )
            closed = threading.Event()
            self._streams.add(closed)
        return EventStream(lambda stream: self._follow(position, closed, stream))

    def close(self) -> None:
        with self._world.changed:
            for closed in self._streams:
                closed.set()
            self._world.changed.notify_all()

    def _follow(self, position: int, closed: threading.Event, stream: EventStream) -> Iterator[Event]:
        world = self._world
        while True:
            with world.changed:
                world.settle()
                while position >= len(world.events) and not closed.is_set() and not world.is_down:
                    stream.told_until = world.clock() - IN_FLIGHT
                    world.changed.wait(0.05)
                    world.settle()
                if closed.is_set() or position >= len(world.events):
                    self._streams.discard(closed)
                    break
                event = world.events[position]
                position += 1
            yield event
        if not closed.is_set():
            raise EngineUnreachable(f"the event stream of fake://{self._name} ended")

    def _started(self, container: FakeContainer) -> None:
        if container.status == "dead":
            raise EngineConflict(f"Container {container.id} is marked for removal and cannot be started")
        self._world.network_parent(container)
        container.restart_count = 0
        self._world.start(container)

    def _act(
        self, method: str, container_id: str, act: Callable[[FakeContainer], None], arguments: tuple[Any, ...]
    ) -> None:
        with self._looking(method, container_id, *arguments):
            container = self._world.find(container_id)
            if not self._shared.next_actions:
                return act(container)
            error, done = self._shared.next_actions.pop(0)
            if done:
                act(container)
            raise error

    def _looking(self, method: str, container_id: str, *arguments: Any) -> threading.Condition:
        """Note the call, let what is due happen; the world is held by the `with` that this stands in."""
        world = self._world
        with world.changed:
            self._shared.calls.append(Call(method, container_id, world.clock(), arguments))
            if world.is_down:
                raise EngineUnreachable(f"no answer from fake://{self._name}")
            world.settle()
        return world.changed


def _health_answer(container: FakeContainer, argv: tuple[str, ...]) -> ExecAnswer:
    if argv and argv == container.health_command.argv:
        return ExecResult(1, "unhealthy") if container.health == "unhealthy" else ExecResult(0, "")
    return PermanentError(f'exec in {container.name}: "{argv[0] if argv else ""}": executable file not found')
