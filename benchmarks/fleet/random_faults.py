"""Faults at random: in the same order and of the same kinds for the same seed."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence

from benchmarks.fleet.container import Container
from benchmarks.fleet.errors import Refusal
from benchmarks.fleet.world import World

KINDS = ("unhealthy", "die", "oom")

_TRIES = 50


class RandomFaults:
    """`share` of all containers fails each minute; never one that has a fault already, or does not run.

    Raise ValueError for a share, a kind or a proportion of hopeless ones that cannot be.
    """

    def __init__(
        self, worlds: Sequence[World], share: float, kinds: Sequence[str], hopeless: float, seed: int
    ) -> None:
        if share <= 0 or not 0 <= hopeless <= 1:
            raise ValueError(f"share {share} has to be above 0, and hopeless {hopeless} from 0 to 1")
        if not kinds or set(kinds) - set(KINDS):
            raise ValueError(f"kinds {list(kinds)} have to be some of {', '.join(KINDS)}")
        self._worlds = [world for world in worlds if world.containers]
        self._share, self._kinds, self._hopeless = share, list(kinds), hopeless
        self._random = random.Random(seed)
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0

    def start(self) -> None:
        self._due = asyncio.get_running_loop().time()
        self._wait()

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _wait(self) -> None:
        count = sum(len(world.containers) for world in self._worlds)
        if count:
            self._due += self._random.expovariate(count * self._share / 60)
            self._timer = asyncio.get_running_loop().call_at(self._due, self._strike)

    def _strike(self) -> None:
        self._wait()
        kind, hopeless = self._random.choice(self._kinds), self._random.random() < self._hopeless
        for _ in range(_TRIES):
            world = self._random.choice(self._worlds)
            container = self._random.choice(list(world.containers.values()))
            if container.status == "running" and not world.heals.is_faulty(container):
                _break(world, container, kind, not hopeless)
                return


def _break(world: World, container: Container, kind: str, heals: bool) -> None:
    try:
        if kind == "unhealthy" and container.health:
            world.unhealthy(container, heals=heals)
        elif kind == "oom":
            world.oom(container, heals)
        else:
            world.die(container, heals=heals)
    except Refusal:
        return  # it has turned unhealthy by itself meanwhile
