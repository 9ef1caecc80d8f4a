"""F24: a random nemesis, drawn from the seed, while containers break all along; and what it costs of our availability."""

from __future__ import annotations

import json
import os
import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.faults import inject
from tests.faults.availability import DOUBLED, RECOVERED, Strike, availability, wrong_of
from tests.faults.held import remove_what_is_held
from tests.faults.hosts import Target
from tests.faults.judge import RECORD, judged, record
from tests.faults.lengths import LONG, wait
from tests.faults.prober import Prober, prober_for
from tests.faults.sink import Sink
from tests.faults.told import ENDS_WITHIN
from tests.faults.world import World, running_world, seed

SECONDS = 1200.0 if LONG else 300.0
CALM = (4.0, 10.0)
"""Seconds between two faults."""
LOOP = ["sh", "-c", "test -e /tmp/broken && exit 1; trap 'exit 0' TERM; sleep 100000 & wait"]
HOPELESS = {"max_restarts": 4, "restart_window": 3600, "backoff_initial": 15, "backoff_max": 60}
"""Its back-off spreads a small budget over the first two minutes, so that several faults come upon it."""
GENEROUS = {"max_restarts": 1000, "restart_window": 60, "backoff_max": 2}
"""More than anything needs that a restart cures, and many in a row, as each breaks again."""
LONGER = 60.0
"""Seconds that back-off and verification may take beyond I4's bound."""
CALM_AFTER = 30.0
"""Seconds for which it is tried that after a while without faults all is acted on in time."""
WORKERS = ("worker-heal", "worker-checks", "worker-other")
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


@contextmanager
def _receiver_full(sink: Sink) -> Iterator[None]:
    """Whoever tells an alert is answered 429; what was refused so is not taken for received."""
    sink.status, sink.headers = 429, {"Retry-After": "5"}
    begun = time.time()
    try:
        yield
    finally:
        sink.status, sink.headers = 204, {}
        refused_until = time.time() - 1.0  # what came in the last moment may have been answered 204
        for told in sink.since(begun):
            if told.at < refused_until:
                sink.received.remove(told)


def _redis_hung_and_a_worker_killed(world: World) -> AbstractContextManager[None]:
    killed = inject.part_killed(world.installation, world.random.choice(WORKERS))
    return inject.together(inject.redis_hung(world.redis), killed)


EVILS = (
    Evil("Redis killed, data lost", lambda world: inject.redis_lost(world.redis), (3, 20)),
    Evil("Redis hangs", lambda world: inject.redis_hung(world.redis), (3, 20)),
    Evil("packets to Redis dropped", lambda world: inject.unreachable(world.redis), (3, 20)),
    Evil("Redis full", lambda world: inject.redis_full(world.redis), (3, 15)),
    Evil("PostgreSQL stopped", lambda world: inject.postgres_down(world.postgres), (2, 30)),
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
    Evil("the receiver of alerts is full", lambda world: _receiver_full(world.sink), (3, 15)),
    Evil("Redis hangs and a worker is killed", _redis_hung_and_a_worker_killed, (3, 20)),
)


class Nemesis:
    """Draws one fault after another: each kind once before any comes again."""

    def __init__(self, world: World, seconds: float) -> None:
        self.world, self._seconds, self._end = world, seconds, 0.0
        self.strikes: list[Strike] = []

    def run(self) -> None:
        self._end = time.monotonic() + self._seconds
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


@pytest.mark.timeout(int(SECONDS) + 1000)
def test_f24_a_random_nemesis(world: World) -> None:
    """Whatever comes in whatever order, every invariant holds, and what is late lies beside a fault (guard: all of them)."""
    world.begin("F24")
    # A kill whose events were lost in an outage looks like a person's stop: here it is known that it is none.
    limits = {**GENEROUS, "found_stopped": "heal"}
    targets = [world.web(f"web{number}", number % 2, **limits) for number in range(6)]
    loop = world.plain("loops", LOOP, quarantine_release=0, found_stopped="heal", **HOPELESS)
    breakage, nemesis = Breakage(targets, seed()), Nemesis(world, SECONDS)
    with prober_for(world, SECONDS + RECOVERED + 180) as prober:
        begun, ended = _rage(nemesis, breakage, prober, loop)
        wait(lambda: prober.waiting() == 0, 120, lambda: f"{prober.waiting()} faults wait\n{world.log()}")
        if remove_what_is_held(world, targets, ended + ENDS_WITHIN + LONGER):
            ended = time.time()
        samples, not_once = prober.samples(), prober.not_once()
    figures = availability(samples, nemesis.strikes)
    _write_down(figures)
    print(json.dumps(figures, indent=1), flush=True)
    wrong = {**wrong_of(samples, nemesis.strikes), "each is restarted once": not_once}
    record(world, **{name: not why for name, why in wrong.items()})
    judged(world, "I1", "I2", "I3", "I4", "I5", "I6", "I7", "I8", ended=ended, longer=LONGER)
    lifecycle, given_up = world.stack.lifecycle(loop.name), _given_up(world, targets)
    record(world, **{"the hopeless one ends in quarantine": lifecycle == "quarantined"})
    record(world, **{"no other is given up": not given_up})
    assert not any(wrong.values()), wrong
    assert not given_up
    assert lifecycle == "quarantined", f"{loop.name} is {lifecycle}: {world.stack.attempts(loop.name)}"
    assert samples[-1].at > nemesis.strikes[-1].ended + RECOVERED, "what comes after the last fault was tried"
    assert breakage.broken >= (ended - begun) / 20, "containers were broken all along"


def _given_up(world: World, targets: list[Target]) -> dict[str, str]:
    """Of those that a restart cures: what is in quarantine, and why."""
    given_up = [one.name for one in targets if world.stack.lifecycle(one.name) == "quarantined"]
    return {name: world.stack.found(name)["reason"] for name in given_up}


def _rage(nemesis: Nemesis, breakage: Breakage, prober: Prober, loop: Target) -> tuple[float, float]:
    """From when to when the nemesis strikes, while all else breaks; the prober goes on until the calm after it is over."""
    prober.start()
    loop.exec(["touch", "/tmp/broken"])
    loop.crash()
    breakage.start()
    begun = time.time()
    try:
        nemesis.run()
    finally:
        breakage.stop()
    ended = time.time()
    nemesis.world.sleep(RECOVERED + CALM_AFTER)
    prober.stop()
    return begun, ended


def _write_down(figures: Mapping[str, object]) -> None:
    """Beside the verdicts, a line a run: `…-availability.jsonl`."""
    path = os.environ.get(RECORD, "")
    if path:
        target = Path(path).with_name(f"{Path(path).stem}-availability.jsonl")
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("a") as file:
            file.write(json.dumps(figures) + "\n")
