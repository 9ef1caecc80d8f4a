"""What happens to containers: processes that start and end, signals, health, the engine's own restart policy."""

from __future__ import annotations

import asyncio
import itertools
import signal as signals
from collections.abc import Callable, Coroutine
from typing import Any

from benchmarks.fleet.container import NANOSECONDS, Container, Relapse, now
from benchmarks.fleet.errors import NotModified, Refusal, not_running
from benchmarks.fleet.events import EventLog
from benchmarks.fleet.heals import HealLog
from benchmarks.fleet.settings import Pace

KILLED = 137
DEFAULT_STOP_TIMEOUT = 10
SICK_AGAIN = 1.0  # seconds from a start until a container that a restart does not cure fails again

_FIRST_BACK_OFF, _LONGEST_BACK_OFF, _UP_LONG_ENOUGH = 0.1, 60.0, 10.0
_pids = itertools.count(2000)


class Lifecycle:
    """The actions on the containers of one engine, with its events; all within one event loop."""

    def __init__(self, name: str, events: EventLog, heals: HealLog, pace: Pace) -> None:
        self.name = name
        self.events = events
        self.heals = heals
        self.pace = pace
        self._last_start_ends = 0.0
        self._tasks: set[asyncio.Task[Any]] = set()

    def spawn(self, work: Coroutine[Any, Any, Any]) -> None:
        """Run it to its end, whoever asked for it and has gone."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def close(self) -> None:
        for task in list(self._tasks):
            task.cancel()

    async def start(self, container: Container) -> None:
        async with self._locked(container):
            if container.status == "paused":
                raise Refusal(409, "cannot start a paused container, try unpause instead")
            if container.status == "dead":
                raise Refusal(409, "container is marked for removal and cannot be started")
            if container.is_up:
                raise NotModified
            container.restart_count = 0
            await self._begin(container)

    async def stop(self, container: Container, timeout: float | None) -> None:
        async with self._locked(container):
            if not container.is_up and container.status != "restarting":
                raise NotModified
            await self._halt(container, timeout)

    async def restart(self, container: Container, timeout: float | None) -> None:
        async with self._locked(container):
            if container.is_up or container.status == "restarting":
                await self._halt(container, timeout)
            container.restart_count = 0
            await self._begin(container)
            self.events.emit(container, "restart", now())

    async def kill(self, container: Container, signal: str) -> None:
        async with self._locked(container):
            if not container.is_up:
                raise Refusal(
                    409, f"Cannot kill container: {container.name}: Container {container.id} is not running"
                )
            self._resume(container)
            container.by_hand |= signal in ("SIGKILL", container.spec.stop_signal or "SIGTERM")
            await self._signal(container, signal)

    async def remove(self, container: Container, force: bool) -> None:
        async with self._locked(container):
            if container.is_up and not force:
                raise Refusal(
                    409,
                    f"You cannot remove a running container {container.id}. "
                    "Stop the container before attempting removal or force remove",
                )
            container.by_hand = container.removed = True
            if container.is_up:
                self._resume(container)
                await self._signal(container, "SIGKILL")
            container.forget_timers()
            self.events.emit(container, "destroy", now())
            self.heals.removed(container)

    def pause(self, container: Container) -> None:
        if container.status == "paused":
            raise Refusal(409, f"Container {container.id} is already paused")
        if container.status != "running":
            raise not_running(container.id)
        container.status = "paused"
        self._stop_checking(container)
        self.events.emit(container, "pause", now())

    def unpause(self, container: Container) -> None:
        if container.status != "paused":
            raise Refusal(500, f"Container {container.id} is not paused")
        self._resume(container)

    def end(self, container: Container, exit_code: int, oom: bool = False) -> None:
        """The main process has ended; the engine's policy may start it again."""
        if not container.is_up:
            return
        ran = (now() - container.started_ns) / NANOSECONDS
        container.forget_timers()
        self._stop_checking(container)
        again = self._policy_restarts(container, exit_code)
        container.status = "restarting" if again else "exited"
        container.pid, container.exit_code, container.oom = 0, exit_code, oom
        container.finished_ns = now()
        if oom:
            self.events.emit(container, "oom", container.finished_ns)
        self.events.emit(container, "die", container.finished_ns, exitCode=str(exit_code))
        if again:
            self.spawn(self._start_again(container, ran))

    def turn(self, container: Container, health: str) -> None:
        """The HEALTHCHECK's verdict, told where it is a new one."""
        if not container.is_up or container.health in ("", health):
            return
        at_ns = now()
        container.turn(health, at_ns)
        self.events.emit(container, f"health_status: {health}", at_ns)
        if health == "healthy" and container.relapse is None:
            self.heals.works(container, at_ns)

    async def _begin(self, container: Container) -> None:
        """Start the main process, at the engine's speed; the caller holds the lock."""
        await asyncio.sleep(self._time_for_a_start())
        if container.removed:
            raise Refusal(404, f"No such container: {container.id}")
        container.forget_timers()
        container.status, container.pid, container.by_hand = "running", next(_pids), False
        container.exit_code, container.oom, container.error = 0, False, ""
        container.started_ns = now()
        if container.relapse is None:
            container.sick, container.complaint = False, ""
        self._begin_checking(container)
        self.events.emit(container, "start", container.started_ns)
        self.heals.started(container, container.started_ns)
        self._run_main(container)

    def _time_for_a_start(self) -> float:
        clock = asyncio.get_running_loop().time()
        spaced = self._last_start_ends + 1 / self.pace.starts_per_second
        self._last_start_ends = max(clock + self.pace.start_seconds, spaced)
        return self._last_start_ends - clock

    def _run_main(self, container: Container) -> None:
        plan, relapse = container.spec.plan, container.relapse
        for stream, text in plan.output:
            container.say(stream, text)
        if relapse is not None and relapse.kind != "unhealthy":
            container.expect_end(_later(SICK_AGAIN, lambda: self._relapse(container, relapse)))
        elif plan.exit_code is not None:
            code = plan.exit_code
            container.expect_end(_later(plan.seconds, lambda: self.end(container, code)))

    def _relapse(self, container: Container, relapse: Relapse) -> None:
        self.end(container, relapse.exit_code, oom=relapse.kind == "oom")

    def _begin_checking(self, container: Container) -> None:
        check = container.spec.check
        if check is None:
            return
        container.turn("starting", container.started_ns)
        container.was_unhealthy = False
        runs = check.retries if container.sick else 1
        container.expect_verdict(_later(check.interval * runs, lambda: self._verdict(container)))

    def _verdict(self, container: Container) -> None:
        self.turn(container, "unhealthy" if container.sick else "healthy")

    def _stop_checking(self, container: Container) -> None:
        """A container that is not running shows as unhealthy, without an event, as on the engine."""
        if container.health and container.health != "unhealthy":
            container.turn("unhealthy", now())

    async def _halt(self, container: Container, timeout: float | None) -> None:
        """Stop signal, and SIGKILL after the stop timeout; also ends the engine's own restarting."""
        container.by_hand = True
        if container.status == "restarting":
            container.status = "exited"
            self.events.emit(container, "stop", now())
            return
        self._resume(container)
        if timeout is None:
            own = container.spec.stop_timeout
            timeout = DEFAULT_STOP_TIMEOUT if own is None else own
        await self._signal(container, container.spec.stop_signal or "SIGTERM")
        if container.is_up:
            await asyncio.sleep(timeout)
        if container.is_up:
            await self._signal(container, "SIGKILL")
        self.events.emit(container, "stop", now())

    async def _signal(self, container: Container, signal: str) -> None:
        number = signals.Signals[signal].value
        self.events.emit(container, "kill", now(), signal=str(number))
        code = KILLED if signal == "SIGKILL" else container.spec.plan.signals.get(signal)
        if code is not None:
            await asyncio.sleep(self.pace.stop_seconds)
            self.end(container, code)

    def _resume(self, container: Container) -> None:
        if container.status == "paused":
            container.status = "running"
            self.events.emit(container, "unpause", now())
            if container.spec.check is not None:
                interval = container.spec.check.interval
                container.expect_verdict(_later(interval, lambda: self._verdict(container)))

    def _policy_restarts(self, container: Container, exit_code: int) -> bool:
        policy, limit = container.spec.policy, container.spec.policy_retries
        if container.by_hand or policy in ("", "no"):
            return False
        if policy == "on-failure":
            return exit_code != 0 and (not limit or container.restart_count < limit)
        return True

    async def _start_again(self, container: Container, ran: float) -> None:
        fast = container.restart_count if ran < _UP_LONG_ENOUGH else 0
        await asyncio.sleep(min(_FIRST_BACK_OFF * 2 ** min(fast, 20), _LONGEST_BACK_OFF))
        async with self._locked(container):
            if container.status == "restarting" and not container.removed:
                container.restart_count += 1
                await self._begin(container)

    def _locked(self, container: Container) -> asyncio.Lock:
        if container.lock is None:
            container.lock = asyncio.Lock()
        return container.lock


def _later(seconds: float, action: Callable[[], None]) -> asyncio.TimerHandle:
    return asyncio.get_running_loop().call_later(seconds, action)
