"""F24: a random nemesis, drawn from the seed, while containers break all along; and what it costs of our availability."""

from __future__ import annotations

import json
import os
import random
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.faults import inject
from tests.faults.hosts import Target
from tests.faults.judge import RECORD, judged, record
from tests.faults.lengths import LONG, wait
from tests.faults.prober import BOUND, Sample, prober_for
from tests.faults.world import World, running_world, seed

SECONDS = 1200.0 if LONG else 300.0
CALM = (4.0, 10.0)
"""Seconds between two faults."""
RECOVERED = 60.0
"""A fault that came so long after the nemesis' last one is acted on in time."""
WORKERS = ("worker-heal", "worker-checks", "worker-other")
DOUBLED = os.environ.get("FAULT_DOUBLED", "") == "1"
"""Two of every part of ours from the beginning: what does a second one take away?"""
PARTS = (*WORKERS, "beat", "watch", "sweep")


@dataclass(frozen=True)
class Evil:
    """One kind of fault; it lasts for a random time of these seconds."""

    name: str
    strike: Callable[[World], AbstractContextManager[None]]
    seconds: tuple[float, float]


def _part(*names: str) -> Callable[[World], AbstractContextManager[None]]:
    """kill -9 of one of these, which then comes back as its supervisor has it."""
    return lambda world: inject.part_killed(world.installation, world.random.choice(names))


EVILS = (
    Evil("Redis killed, data lost", lambda world: inject.redis_lost(world.redis), (3, 20)),
    Evil("Redis hangs", lambda world: inject.redis_hung(world.redis), (3, 20)),
    Evil("packets to Redis dropped", lambda world: inject.unreachable(world.redis), (3, 20)),
    Evil("Redis full", lambda world: inject.redis_full(world.redis), (3, 15)),
    Evil("PostgreSQL stopped", lambda world: inject.postgres_down(world.postgres), (2, 15)),
    Evil("PostgreSQL hangs", lambda world: inject.postgres_hung(world.postgres), (2, 10)),
    Evil("an engine killed", lambda world: inject.engine_dead(world.hosts[1].engine), (3, 10)),
    Evil("an engine hangs", lambda world: inject.engine_hung(world.hosts[1].engine), (5, 30)),
    Evil("a worker killed", _part(*WORKERS), (1, 3)),
    Evil("the sweeper killed", _part("sweep"), (1, 3)),
    Evil("beat killed", _part("beat"), (1, 3)),
    Evil("the watcher killed", _part("watch"), (1, 3)),
    Evil(
        "a worker hangs",
        lambda world: inject.parts_hung(world.installation, world.random.choice(WORKERS)),
        (3, 20),
    ),
    Evil("beat hangs", lambda world: inject.parts_hung(world.installation, "beat"), (3, 20)),
    Evil("the watcher hangs", lambda world: inject.parts_hung(world.installation, "watch"), (3, 20)),
    Evil("messages that nobody sent", lambda world: inject.messages_pushed(world.redis), (1, 2)),
    Evil(
        "two of every part",
        lambda world: inject.one_more_of(world.installation, *PARTS),
        (5, 15),
    ),
)


@dataclass(frozen=True, slots=True)
class Strike:
    """One fault that was done, from `begun` to `ended` (seconds since 1970)."""

    name: str
    begun: float
    ended: float


class Nemesis:
    """Draws one fault after another: each kind once before any comes again."""

    def __init__(self, world: World, seconds: float) -> None:
        self.world, self._end = world, time.monotonic() + seconds
        self.strikes: list[Strike] = []

    def run(self) -> None:
        while time.monotonic() < self._end:
            order = list(EVILS)
            self.world.random.shuffle(order)
            for evil in order:
                if time.monotonic() >= self._end:
                    return
                self._strike(evil)

    def _strike(self, evil: Evil) -> None:
        begun, lasts = time.time(), self.world.random.uniform(*evil.seconds)
        print(f"{time.strftime('%H:%M:%S')} {evil.name}, {lasts:.0f} s", flush=True)
        with evil.strike(self.world):
            self.world.sleep(lasts)
        self.strikes.append(Strike(evil.name, begun, time.time()))
        self.world.sleep(self.world.random.uniform(*CALM))


class Breakage:
    """Real containers that break all along, each again when it has been well for a while."""

    def __init__(self, targets: list[Target], number: int) -> None:
        self._targets, self._random = targets, random.Random(number)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="breakage", daemon=True)
        self.broken = 0

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._ended.set()
        self._thread.join(60)

    def _run(self) -> None:
        while not self._ended.wait(self._random.uniform(2, 6)):
            target = self._random.choice(self._targets)
            how = self._random.choice((target.break_health, target.crash))
            try:
                if not target.broken_at or target.is_cured():
                    how()
                    self.broken += 1
            except Exception as error:  # its engine is away, or it has just ended
                print(f"{target.name} was not broken: {error}", flush=True)


@pytest.fixture
def world() -> Iterator[World]:
    """Two engines; the second is the one that something happens to, so only the first one's bystanders are sacred."""
    with running_world(2, bystanders=3, second=PARTS if DOUBLED else ()) as world:
        world.stack.rows("UPDATE healing_host SET start_grace = 5")
        world.bystanders = [target for target in world.bystanders if target.host is world.host]
        yield world


@pytest.mark.timeout(int(SECONDS) + 900)
def test_f24_a_random_nemesis(world: World) -> None:
    """Whatever comes in whatever order, every invariant holds, and what is late lies beside a fault (guard: all of them)."""
    world.begin("F24")
    # A kill whose events were lost in an outage looks like a person's stop: here it is known that it is none.
    limits = {"max_restarts": 1000, "restart_window": 60, "backoff_max": 2, "found_stopped": "heal"}
    targets = [world.web(f"web{number}", number % 2, **limits) for number in range(6)]
    breakage = Breakage(targets, seed())
    with prober_for(world, SECONDS + 180) as prober:
        begun = time.time()
        prober.start()
        breakage.start()
        nemesis = Nemesis(world, SECONDS)
        try:
            nemesis.run()
        finally:
            breakage.stop()
            ended = time.time()
            world.sleep(RECOVERED / 2)
            prober.stop()
        wait(lambda: prober.waiting() == 0, 120, lambda: f"{prober.waiting()} faults wait\n{world.log()}")
        samples = prober.samples()
    figures = availability(samples, nemesis.strikes)
    _write_down(figures)
    print(json.dumps(figures, indent=1), flush=True)
    outside = [sample for sample in samples if not sample.in_time and not _beside(sample, nemesis.strikes)]
    record(world, **{"late only beside a fault": not outside})
    judged(world, "I1", "I2", "I3", "I4", "I5", "I6", "I7", "I8", ended=ended, longer=60)
    assert not outside, f"late without a fault: {outside}"
    assert breakage.broken >= (ended - begun) / 20, "containers were broken all along"


def _beside(sample: Sample, strikes: list[Strike]) -> bool:
    return any(strike.begun - BOUND <= sample.at <= strike.ended + RECOVERED for strike in strikes)


def availability(samples: list[Sample], strikes: list[Strike]) -> dict[str, object]:
    """The share of seconds in which a new fault was acted on in time; and what each kind of fault has cost of it.

    A late second is the cost of the last fault that had begun when its fault came, or of the first one after it.
    """
    total = sum(sample.seconds for sample in samples)
    late = [sample for sample in samples if not sample.in_time]
    times, cost = defaultdict(int), defaultdict(float)
    for strike in strikes:
        times[strike.name] += 1
    for sample in late:
        before = [strike for strike in strikes if strike.begun <= sample.at + BOUND]
        cost[(before or strikes)[-1].name if strikes else ""] += sample.seconds
    delays = sorted(sample.delay for sample in samples)
    return {
        "seed": seed(),
        "doubled": DOUBLED,
        "seconds": round(total),
        "late": round(sum(sample.seconds for sample in late), 1),
        "availability": round(1 - sum(sample.seconds for sample in late) / total, 5),
        "p50": round(delays[len(delays) // 2], 2),
        "p99": round(delays[len(delays) * 99 // 100], 2),
        "cost": {name: {"times": times[name], "late": round(cost[name], 1)} for name in sorted(times)},
    }


def _write_down(figures: Mapping[str, object]) -> None:
    """Beside the verdicts, a line a run: `…-availability.jsonl`."""
    path = os.environ.get(RECORD, "")
    if path:
        target = Path(path).with_name(f"{Path(path).stem}-availability.jsonl")
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("a") as file:
            file.write(json.dumps(figures) + "\n")


def test_availability_is_counted_by_seconds() -> None:
    """Late seconds are those of faults beyond the bound, and each is the cost of the fault that it came with."""
    samples = [Sample(at, BOUND + 1 if 10 <= at < 15 else 1.0, 1.0) for at in range(100)]
    strikes = [Strike("a", 10, 14), Strike("b", 50, 60)]
    figures = availability([Sample(s.at, s.delay, s.seconds) for s in samples], strikes)
    assert (figures["availability"], figures["late"]) == (0.95, 5)
    assert figures["cost"] == {"a": {"times": 1, "late": 5}, "b": {"times": 1, "late": 0}}
