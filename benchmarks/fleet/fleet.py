"""The fleet: many endpoints in one event loop, and everything that can be done to them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.fleet.container import Container, now
from benchmarks.fleet.creating import fleet_containers
from benchmarks.fleet.endpoint import Endpoint
from benchmarks.fleet.heals import HealLog
from benchmarks.fleet.random_faults import RandomFaults
from benchmarks.fleet.settings import FleetSettings
from benchmarks.fleet.world import World


class Fleet:
    """To be used from within its event loop; from another thread through `FleetThread`, from a process by `control`.

    Engines are named engine-01 and so on; containers by id or name. What does not exist or does not fit raises
    LookupError or Refusal.
    """

    def __init__(self, settings: FleetSettings) -> None:
        self.settings = settings
        self.heals = HealLog()
        self.endpoints: dict[str, Endpoint] = {}
        self._random: RandomFaults | None = None
        width = max(len(str(settings.engines)), 2)
        for number in range(1, settings.engines + 1):
            self._add(f"engine-{number:0{width}d}")

    def _add(self, name: str) -> None:
        world = World(name, self.heals, self.settings.pace)
        for container in fleet_containers(name, self.settings):
            world.add(container)
        self.endpoints[name] = Endpoint(self.settings.folder / f"{name}.sock", world)

    async def open(self) -> None:
        """Listen at every socket."""
        self.settings.folder.mkdir(parents=True, exist_ok=True)
        for endpoint in self.endpoints.values():
            await endpoint.open()

    async def close(self) -> None:
        self.stop_random_faults()
        for endpoint in self.endpoints.values():
            await endpoint.close()
            endpoint.world.life.close()

    def endpoint(self, engine: str) -> Endpoint:
        try:
            return self.endpoints[engine]
        except KeyError:
            names = (
                f"{next(iter(self.endpoints))} to {list(self.endpoints)[-1]}" if self.endpoints else "none"
            )
            raise LookupError(f"there is no engine {engine!r}: there are {names}") from None

    def addresses(self) -> dict[str, str]:
        """Engine name to unix:// address."""
        return {name: endpoint.address for name, endpoint in self.endpoints.items()}

    def containers(self, engine: str) -> list[dict[str, str]]:
        """Id, name, state and health of each."""
        return [
            {"id": one.id, "name": one.name, "state": one.status, "health": one.health}
            for one in self.endpoint(engine).world.containers.values()
        ]

    def find(self, engine: str, container: str) -> tuple[World, Container]:
        world = self.endpoint(engine).world
        return world, world.find(container)

    # What befalls containers.

    def unhealthy(self, engine: str, container: str, output: str = "no answer", heals: bool = True) -> None:
        """Its HEALTHCHECK fails, and the engine says so at once. `heals`: whether a restart cures it."""
        world, found = self.find(engine, container)
        world.unhealthy(found, output, heals)

    def healthy(self, engine: str, container: str) -> None:
        """It works again without a restart."""
        world, found = self.find(engine, container)
        world.healthy(found)

    def die(
        self, engine: str, container: str, exit_code: int = 1, heals: bool = True, output: str = ""
    ) -> None:
        """Its main process ends; where a start does not heal, again a second after each."""
        world, found = self.find(engine, container)
        world.die(found, exit_code, heals, output=output)

    def oom(self, engine: str, container: str, heals: bool = True) -> None:
        """The kernel kills its main process for want of memory."""
        world, found = self.find(engine, container)
        world.oom(found, heals)

    def answer_exec(
        self, engine: str, container: str, argv: Sequence[str], exit_code: int, output: str = ""
    ) -> None:
        """What this command answers in this container from now on."""
        world, found = self.find(engine, container)
        world.answer(found, argv, exit_code, output)

    def start_random_faults(
        self,
        share_per_minute: float = 0.01,
        kinds: Sequence[str] = ("unhealthy", "die", "oom"),
        hopeless: float = 0.0,
        seed: int = 0,
    ) -> None:
        """This share of all containers fails each minute, at random; `hopeless` of them are not cured by a restart."""
        self.stop_random_faults()
        worlds = [endpoint.world for endpoint in self.endpoints.values()]
        self._random = RandomFaults(worlds, share_per_minute, kinds, hopeless, seed)
        self._random.start()

    def stop_random_faults(self) -> None:
        if self._random is not None:
            self._random.stop()
            self._random = None

    # What befalls endpoints.

    def hang(self, engine: str) -> None:
        """Accept, and neither answer nor tell anything, until `resume`; the containers go on."""
        self.endpoint(engine).hang()

    def resume(self, engine: str) -> None:
        self.endpoint(engine).resume()

    def fail(
        self, engine: str, pattern: str, times: int | None = 1, status: int = 500, message: str = "scripted"
    ) -> None:
        """Answer the next `times` (None: all) requests whose "METHOD /path" the pattern matches with `status`."""
        self.endpoint(engine).faults.fail(pattern, times, status, message)

    def delay(self, engine: str, pattern: str, seconds: float, times: int | None = None) -> None:
        """Answer the requests that match only after `seconds`."""
        self.endpoint(engine).faults.delay(pattern, seconds, times)

    def clear_rules(self, engine: str) -> None:
        """Forget what `fail` and `delay` have set."""
        self.endpoint(engine).faults.clear()

    def break_streams(self, engine: str) -> None:
        """Break the event streams off; everything else goes on."""
        self.endpoint(engine).break_streams()

    async def take_down(self, engine: str) -> None:
        """No socket any more, every connection broken."""
        await self.endpoint(engine).close()

    async def bring_up(self, engine: str) -> None:
        await self.endpoint(engine).open()

    # What was seen.

    def requests(self, engine: str = "") -> dict[str, Any]:
        """Counters of the requests to one engine, or to each."""
        if engine:
            return self.endpoint(engine).log.report()
        return {name: endpoint.log.report() for name, endpoint in self.endpoints.items()}

    def forget_requests(self) -> None:
        for endpoint in self.endpoints.values():
            endpoint.log.clear()

    def heal_report(self) -> dict[str, Any]:
        """Faults, and how long until the engine's start (`HealLog.report`)."""
        return self.heals.report(now())

    def dump(self, folder: str) -> None:
        """Write requests.jsonl and heals.jsonl into `folder`: the kept requests, and all faults."""
        place = Path(folder)
        place.mkdir(parents=True, exist_ok=True)
        _write(place / "heals.jsonl", self.heals.rows())
        _write(place / "requests.jsonl", self._request_rows())

    def _request_rows(self) -> Iterator[dict[str, Any]]:
        for name, endpoint in self.endpoints.items():
            for row in endpoint.log.rows():
                yield {"engine": name, **row}


def _write(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    with path.open("w") as file:
        for row in rows:
            file.write(json.dumps(row) + "\n")


async def opened(settings: FleetSettings) -> Fleet:
    """A fleet that listens."""
    fleet = Fleet(settings)
    await fleet.open()
    await asyncio.sleep(0)
    return fleet
