"""What the fake engine's world is made of: containers, a clock, and the events of everything that happens.

Nothing happens by itself: time passes only as the clock says, and what is due by then happens when next looked at.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from healing.core.errors import ContainerNotFound, EngineConflict
from healing.core.types import SHARED_NETWORK, Event, RestartPolicy
from healing.engines.docker_payloads import parse_event
from healing.engines.fake_container import FakeContainer, Outcome, event_body

Clock = Callable[[], datetime]

KILLED = 128 + 9
TERMINATED = 128 + 15
RESTART_DELAY = 0.1
LONGEST_RESTART_DELAY = 60.0
LONG_RUN = 10.0
_NEVER_RUN: Mapping[str, Any] = {
    "status": "created",
    "started_at": None,
    "finished_at": None,
    "pid": 0,
    "health": "",
    "health_log": [],
    "due": None,
}


class ManualClock:
    """A clock that stands still until it is moved."""

    def __init__(self, start: datetime = datetime(2030, 1, 1, tzinfo=UTC)) -> None:
        self._now = start

    def __call__(self) -> datetime:
        return self._now

    def advance(self, seconds: float) -> None:
        self._now += timedelta(seconds=seconds)


def wall_clock() -> datetime:
    return datetime.now(UTC)


class World:
    """The state behind all fake engines of one name. Hold `changed` around every use."""

    def __init__(self, clock: Clock = wall_clock) -> None:
        self.clock = clock
        self.changed = threading.Condition(threading.RLock())
        self.containers: dict[str, FakeContainer] = {}
        self.events: list[Event] = []
        self.is_down = False
        self._last = datetime.min.replace(tzinfo=UTC)
        self._made = 0

    def moment(self, at: datetime | None = None) -> datetime:
        """The time of the next happening: never the same twice, so that a StartedAt always changes."""
        self._last = max(at or self.clock(), self._last + timedelta(microseconds=1))
        return self._last

    def new_id(self) -> str:
        self._made += 1
        return hashlib.sha256(f"fake-{self._made}".encode()).hexdigest()

    def find(self, container_id: str) -> FakeContainer:
        """By id, name or the beginning of an id (12 characters and more), as an engine does."""
        if container_id in self.containers:
            return self.containers[container_id]
        for container in self.containers.values():
            if container.name == container_id or (
                len(container_id) >= 12 and container.id.startswith(container_id)
            ):
                return container
        raise ContainerNotFound(f"No such container: {container_id}")

    def emit(
        self, container: FakeContainer, action: str, at: datetime | None = None, **attributes: Any
    ) -> None:
        shown = {key: str(value) for key, value in attributes.items()}
        event = parse_event(event_body(container, action, at or self.moment(), shown))
        if event is not None:
            self.events.append(event)
            self.changed.notify_all()

    def make_anew(self, old: FakeContainer, **changes: Any) -> FakeContainer:
        """Another container that is made as `old` was, but for the changes; not started."""
        now = self.moment()
        fresh = replace(old, id=self.new_id(), created_at=now, restart_count=0, **_NEVER_RUN, **changes)
        self.containers[fresh.id] = fresh
        self.emit(fresh, "create", now)
        return fresh

    def rename(self, container: FakeContainer, name: str) -> None:
        old, container.name = container.name, name
        self.emit(container, "rename", oldName=f"/{old}")

    def network_parent(self, container: FakeContainer) -> FakeContainer | None:
        """The container whose network it shares; None where it shares none. Raise ContainerNotFound, EngineConflict.

        The engine does so for every start.
        """
        shared = container.network_mode.removeprefix(SHARED_NETWORK)
        if shared == container.network_mode:
            return None
        parent = self.find(shared)
        if not parent.is_running:
            raise EngineConflict(f"cannot join network of a non running container: {parent.id}")
        return parent

    def start(self, container: FakeContainer, at: datetime | None = None) -> None:
        """Start a process that does not run; what then becomes of it is its next outcome."""
        moment = self.moment(at)
        container.status, container.started_at, container.pid = "running", moment, 1000 + self._made
        container.oom_killed, container.error, container.exit_code, container.by_hand = False, "", 0, False
        container.health, container.health_log = ("starting" if container.health_command.argv else ""), []
        self.emit(container, "start", moment)
        outcome = container.next_outcome()
        container.due = (moment + timedelta(seconds=outcome.after), outcome)
        if outcome.after <= 0:
            self._come_due(container)

    def end(
        self, container: FakeContainer, exit_code: int, at: datetime | None = None, oom: bool = False
    ) -> None:
        """The main process is over: the engine says so, and follows its restart policy."""
        self.require_running(container)
        moment = self.moment(at)
        if oom:
            self.emit(container, "oom", moment)
            moment = self.moment(moment)
        ran = moment - (container.started_at or moment)
        container.status, container.exit_code, container.oom_killed = "exited", exit_code, oom
        container.finished_at, container.pid, container.due = moment, 0, None
        if container.health:
            container.health = "unhealthy"
        self.emit(container, "die", moment, exitCode=exit_code)
        if self._is_restarted(container):
            self._restart_later(container, moment, ran)

    def stop(self, container: FakeContainer, stop_timeout: float) -> None:
        """As the engine stops: signal, and SIGKILL when `stop_timeout` is over."""
        self.require_running(container)
        container.by_hand = True
        self.emit(container, "kill", signal=container.stop_signal)
        ended, exit_code = self.clock(), 0 if container.stop_signal == "SIGQUIT" else TERMINATED
        if container.ignores_term:
            ended, exit_code = ended + timedelta(seconds=stop_timeout), KILLED
            self.emit(container, "kill", self.moment(ended), signal="SIGKILL")
        self.end(container, exit_code, ended)
        self.emit(container, "stop")

    def set_health(
        self, container: FakeContainer, word: str, output: str, at: datetime | None = None
    ) -> None:
        moment = self.moment(at)
        container.add_health_entry(moment, 0 if word == "healthy" else 1, output)
        if container.health != word:
            container.health = word
            self.emit(container, f"health_status: {word}", moment)

    def settle(self) -> None:
        """Let everything happen that is due by the clock."""
        now = self.clock()
        while due := [(c.due[0], c.id) for c in self.containers.values() if c.due and c.due[0] <= now]:
            self._come_due(self.containers[min(due)[1]])

    def require_running(self, container: FakeContainer) -> None:
        if not container.is_running:
            raise EngineConflict(f"Container {container.id} is not running")

    def _come_due(self, container: FakeContainer) -> None:
        assert container.due is not None
        (at, outcome), container.due = container.due, None
        if outcome.word == "restart":
            self.start(container, at)
        elif outcome.word == "exit":
            self.end(container, outcome.exit_code, at)
        elif container.health_command.argv and outcome.word in ("healthy", "unhealthy"):
            self.set_health(container, outcome.word, outcome.output, at)

    def _is_restarted(self, container: FakeContainer) -> bool:
        policy: RestartPolicy = container.restart_policy
        if container.by_hand or policy.name in ("no", ""):
            return False
        if policy.name != "on-failure":
            return True
        limit = policy.maximum_retry_count
        return container.exit_code != 0 and (not limit or container.restart_count < limit)

    def _restart_later(self, container: FakeContainer, died: datetime, ran: timedelta) -> None:
        if ran > timedelta(seconds=LONG_RUN):
            delay = RESTART_DELAY
        else:
            delay = min(RESTART_DELAY * 2 ** min(container.restart_count, 20), LONGEST_RESTART_DELAY)
        container.status = "restarting"
        container.restart_count += 1
        container.due = (died + timedelta(seconds=delay), Outcome("restart"))
