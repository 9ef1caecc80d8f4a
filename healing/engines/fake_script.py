"""How a test, a demo or a person makes things happen in the fake engine's world."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from healing.core.errors import ConfigError
from healing.core.types import HealthCommand
from healing.engines.fake_container import ExecAnswer, FakeContainer, Outcome
from healing.engines.fake_world import KILLED, World

DEFAULT_HEALTH_COMMAND = HealthCommand(argv=("/health",))


class Script:
    """The scripting half of FakeEngine: every method names a container by id or name."""

    def __init__(self, world: World) -> None:
        self._world = world

    def add(
        self,
        name: str,
        image: str = "app:1",
        *,
        labels: Mapping[str, str] | None = None,
        healthcheck: HealthCommand | bool = False,
        running: bool = True,
        **fields: Any,
    ) -> str:
        """Create a container (and start it); returns its id. `fields` are those of FakeContainer."""
        with self._world.changed:
            if any(container.name == name for container in self._world.containers.values()):
                raise ConfigError(
                    "name", f"the fake engine has a container {name!r} already: choose another name"
                )
            if isinstance(healthcheck, bool):
                healthcheck = DEFAULT_HEALTH_COMMAND if healthcheck else HealthCommand()
            container = FakeContainer(
                self._world.new_id(),
                name,
                image,
                self._world.moment(),
                labels=dict(labels or {}),
                health_command=healthcheck,
                **fields,
            )
            self._world.containers[container.id] = container
            self._world.emit(container, "create", container.created_at)
            if running:
                self._world.start(container)
            return container.id

    def kill(self, container_id: str, exit_code: int = KILLED) -> None:
        """The main process is killed from outside the engine: a die without a kill."""
        self.exit(container_id, exit_code)

    def exit(self, container_id: str, exit_code: int) -> None:
        """The main process ends by itself."""
        with self._world.changed:
            self._world.end(self._world.find(container_id), exit_code)

    def oom(self, container_id: str) -> None:
        """The kernel kills the main process for want of memory."""
        with self._world.changed:
            self._world.end(self._world.find(container_id), KILLED, oom=True)

    def make_unhealthy(self, container_id: str, output: str = "no answer") -> None:
        self._set_health(container_id, "unhealthy", output)

    def make_healthy(self, container_id: str, output: str = "") -> None:
        self._set_health(container_id, "healthy", output)

    def after_starts(self, container_id: str, *outcomes: Outcome) -> None:
        """What the next starts lead to, one each; the last one stays."""
        with self._world.changed:
            self._world.find(container_id).outcomes = outcomes or (Outcome(),)

    def stop_by_hand(self, container_id: str, stop_timeout: float = 10.0) -> None:
        """As a person's `docker stop`: kill, die, stop."""
        with self._world.changed:
            self._world.stop(self._world.find(container_id), stop_timeout)

    def kill_by_hand(self, container_id: str, signal: str = "SIGKILL") -> None:
        """As a person's `docker kill`: kill, and die where the signal is one that ends the process."""
        with self._world.changed:
            container = self._world.find(container_id)
            self._world.require_running(container)
            self._world.emit(container, "kill", signal=signal)
            if signal in ("SIGKILL", "SIGTERM", container.stop_signal):
                container.by_hand = True
                self._world.end(container, KILLED if signal == "SIGKILL" else 143)

    def start_by_hand(self, container_id: str) -> None:
        with self._world.changed:
            self._world.start(self._world.find(container_id))

    def restart_by_hand(self, container_id: str, stop_timeout: float = 10.0) -> None:
        with self._world.changed:
            self.stop_by_hand(container_id, stop_timeout)
            self.start_by_hand(container_id)
            self._world.emit(self._world.find(container_id), "restart")

    def pause(self, container_id: str) -> None:
        """Freeze it: the engine goes on saying what its health was before, or unhealthy."""
        self._switch(container_id, "running", "paused", "pause")

    def unpause(self, container_id: str) -> None:
        self._switch(container_id, "paused", "running", "unpause")

    def remove(self, container_id: str) -> None:
        """Remove it, killing it where it runs (`docker rm -f`)."""
        with self._world.changed:
            container = self._world.find(container_id)
            if container.is_running:
                self.kill_by_hand(container.id)
            del self._world.containers[container.id]
            self._world.emit(container, "destroy")

    def recreate_by_hand(self, container_id: str, image: str = "") -> str:
        """Remove it and make it anew under its name, as Compose does; returns the new id."""
        with self._world.changed:
            old = self._world.find(container_id)
            self.remove(old.id)
            fresh = self._world.make_anew(old, image=image or old.image)
            self._world.start(fresh)
            return fresh.id

    def rename(self, container_id: str, name: str) -> None:
        with self._world.changed:
            self._world.rename(self._world.find(container_id), name)

    def mark_dead(self, container_id: str, error: str = "device or resource busy") -> None:
        """The engine could not tear it down: its state is `dead`, and a start answers 409."""
        with self._world.changed:
            container = self._world.find(container_id)
            if container.is_running:
                self._world.end(container, KILLED)
            container.status, container.error, container.due = "dead", error, None

    def unreachable(self, is_down: bool) -> None:
        """Nothing answers, and event streams break; or the engine is back."""
        with self._world.changed:
            self._world.is_down = is_down
            self._world.changed.notify_all()

    def shut_down(self) -> None:
        """SIGTERM to the engine: kill, die, stop for every running container, and then nothing answers."""
        with self._world.changed:
            for container in self._world.containers.values():
                if container.is_running:
                    self._world.stop(container, 10.0)
                    container.by_hand = False
            self.unreachable(True)

    def boot(self) -> None:
        """The engine is back, and starts what its restart policies say."""
        with self._world.changed:
            self.unreachable(False)
            for container in self._world.containers.values():
                if container.restart_policy.name in ("always", "unless-stopped") and not container.by_hand:
                    self._world.start(container)

    def set_logs(self, container_id: str, lines: Sequence[str]) -> None:
        with self._world.changed:
            self._world.find(container_id).lines = list(lines)

    def answer_exec(self, container_id: str, argv: Sequence[str], answer: ExecAnswer) -> None:
        """What `exec` of `argv` gives: a result, an error to raise, or a function of argv."""
        with self._world.changed:
            self._world.find(container_id).answers[tuple(argv)] = answer

    def _set_health(self, container_id: str, word: str, output: str) -> None:
        with self._world.changed:
            container = self._world.find(container_id)
            self._world.require_running(container)
            if not container.health_command.argv:
                raise ConfigError("healthcheck", f"{container.name} has none: add it with healthcheck=True")
            container.due = None
            self._world.set_health(container, word, output)

    def _switch(self, container_id: str, before: str, after: str, action: str) -> None:
        with self._world.changed:
            container = self._world.find(container_id)
            if container.status != before:
                raise ConfigError("state", f"{container.name} is {container.status}, not {before}")
            container.status = after
            self._world.emit(container, action)
