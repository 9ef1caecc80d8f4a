"""One simulated engine: its containers, what they are asked, and the faults that are put into them."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

from benchmarks.fleet import commands, payloads
from benchmarks.fleet.commands import Plan
from benchmarks.fleet.container import Container, Relapse, now
from benchmarks.fleet.errors import Refusal, no_such_container
from benchmarks.fleet.events import EventLog
from benchmarks.fleet.execs import Execs
from benchmarks.fleet.heals import HealLog
from benchmarks.fleet.lifecycle import KILLED, Lifecycle
from benchmarks.fleet.settings import Pace

Wrap = Callable[[bytes], bytes]


class World:
    """Containers by id and name. Everything runs in one event loop."""

    def __init__(self, name: str, heals: HealLog, pace: Pace) -> None:
        self.name = name
        self.heals = heals
        self.events = EventLog(self._noise, self._changed)
        self.life = Lifecycle(name, self.events, heals, pace)
        self.containers: dict[str, Container] = {}
        self.execs = Execs()
        self._names: dict[str, str] = {}
        self._list = b""
        self._list_until = 0.0

    def add(self, container: Container) -> None:
        """Raise Refusal where the name is taken."""
        self._require_free(container.name)
        self.containers[container.id] = container
        self._names[container.name] = container.id
        self.forget_list()

    def _require_free(self, name: str) -> None:
        taken = self._names.get(name)
        if taken is not None:
            raise Refusal(
                409,
                f'Conflict. The container name "/{name}" is already in use by container "{taken}". '
                "You have to remove (or rename) that container to be able to reuse that name.",
            )

    def rename(self, container: Container, name: str) -> None:
        """Raise Refusal where the name is taken, or none."""
        if not name:
            raise Refusal(400, "Neither old nor new names may be empty")
        self._require_free(name)
        old, container.name = container.name, name
        del self._names[old]
        self._names[name] = container.id
        self.events.emit(container, "rename", now(), oldName=f"/{old}")

    def create(self, container: Container) -> None:
        """As POST /containers/create: added, and told."""
        self.add(container)
        self.events.emit(container, "create", container.created_ns)

    def find(self, name: str) -> Container:
        """By id, name, or the beginning of an id. Raise Refusal."""
        found = self.containers.get(name) or self.containers.get(self._names.get(name, ""))
        if found is None and name:
            matching = [container for key, container in self.containers.items() if key.startswith(name)]
            found = matching[0] if len(matching) == 1 else None
        if found is None:
            raise no_such_container(name)
        return found

    async def remove(self, container: Container, force: bool) -> None:
        await self.life.remove(container, force)
        self.containers.pop(container.id, None)
        if self._names.get(container.name) == container.id:
            del self._names[container.name]
        self.forget_list()

    def list_all(self, wrap: Wrap) -> bytes:
        """All containers as one answer, made by `wrap` from the body, and kept until something changes."""
        clock = asyncio.get_running_loop().time()
        if not self._list or clock >= self._list_until:
            self._list = wrap(self.rows(self.containers.values()))
            self._list_until = clock + payloads.AGE_BEHIND
        return self._list

    def rows(self, chosen: Iterable[Container]) -> bytes:
        """The body of GET /containers/json."""
        moment = now()
        newest_first = sorted(chosen, key=lambda one: -one.created_ns)
        return b"[" + b",".join(payloads.row(container, moment) for container in newest_first) + b"]\n"

    def forget_list(self) -> None:
        self._list = b""

    def _changed(self, container: Container) -> None:
        container.row = b""
        self.forget_list()

    def states(self) -> Mapping[str, int]:
        return Counter(container.status for container in self.containers.values())

    def unhealthy(self, container: Container, output: str = "no answer", heals: bool = True) -> None:
        """The HEALTHCHECK fails from now on, and its verdict comes at once; a restart cures it where it `heals`."""
        _require(
            container, container.status == "running" and container.health != "", "run with a HEALTHCHECK"
        )
        _require(container, container.health != "unhealthy", "be healthy or starting")
        container.sick, container.complaint = True, output
        container.relapse = None if heals else Relapse("unhealthy")
        container.expect_verdict(None)
        self._fault(container, "unhealthy", heals)
        self.life.turn(container, "unhealthy")

    def healthy(self, container: Container) -> None:
        """It works again by itself, and its HEALTHCHECK says so at once."""
        container.sick, container.relapse = False, None
        container.expect_verdict(None)
        self.life.turn(container, "healthy")
        if container.is_up:
            self.heals.works(container, now())

    def die(
        self,
        container: Container,
        exit_code: int = 1,
        heals: bool = True,
        oom: bool = False,
        output: str = "",
    ) -> None:
        """The main process ends by itself, with `output` as its last words; where a start does not heal, again soon."""
        _require(container, container.is_up, "run")
        kind = "oom" if oom else "die"
        container.relapse = None if heals else Relapse(kind, exit_code)
        if output:
            container.say(commands.STDERR, f"{output}\n")
        self._fault(container, kind, heals)
        self.life.end(container, exit_code, oom)

    def oom(self, container: Container, heals: bool = True) -> None:
        """The kernel kills the main process for want of memory."""
        self.die(container, KILLED, heals, oom=True)

    def answer(self, container: Container, argv: Sequence[str], exit_code: int, output: str = "") -> None:
        """What this command answers in this container from now on."""
        container.answers = container.answers or {}
        container.answers[tuple(argv)] = Plan(((commands.STDOUT, output),), 0.0, exit_code)

    def plan_of(self, container: Container, argv: Sequence[str]) -> Plan:
        """What an exec of `argv` would do: scripted, the container's own HEALTHCHECK, or one of the fixed programs."""
        scripted = (container.answers or {}).get(tuple(argv))
        if scripted is not None:
            return scripted
        check = container.spec.check
        if check is not None and tuple(argv) == check.argv:
            said = f"{container.complaint}\n" if container.sick else ""
            return Plan(((commands.STDOUT, said),), 0.0, int(container.sick))
        return commands.plan(argv)

    def _fault(self, container: Container, kind: str, heals: bool) -> None:
        self.heals.fault(self.name, container, kind, now(), heals)

    def _noise(self) -> float:
        """Events a second that a real engine would make for HEALTHCHECK runs: exec_create, exec_start, exec_die."""
        checks = [one.spec.check for one in self.containers.values() if one.status == "running"]
        return sum(3 / max(check.interval, 0.001) for check in checks if check is not None)


def _require(container: Container, holds: bool, what: str) -> None:
    if not holds:
        raise Refusal(
            409,
            f"{container.name} is {container.status} ({container.health or 'no health'}): it has to {what}",
        )
