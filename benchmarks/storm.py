"""Many containers unhealthy at once: from the first sick to the last started, Selfheal beside the engine's own limit."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass

from benchmarks import picture
from benchmarks.healers import FLOOR, Healer, Peer, Selfheal, healer
from benchmarks.record import Record, recording
from benchmarks.shared_fault import SharedFault
from tests.scenarios.stack import MODES
from tests.testbed.wait import NotInTimeError, until

Say = Callable[[str], None]
SECONDS_EACH = 5.0
"""So long, for each container, a healer may take before the storm counts as not ended."""


@dataclass(frozen=True, slots=True)
class Storm:
    """One storm. Times in seconds after the first container turned unhealthy, in their order.

    `sick`: when each turned unhealthy. `started`: when each was started after that; shorter where some never were.
    `restarts`: all starts of the engine, so more than containers where one was restarted twice.
    """

    interval: float
    healer: str
    containers: int
    sick: Sequence[float]
    started: Sequence[float]
    restarts: int

    @property
    def ended(self) -> bool:
        return len(self.started) == self.containers

    @property
    def seconds(self) -> float:
        """First sick → last started."""
        return self.started[-1] if self.started else float("inf")


@dataclass(frozen=True, slots=True)
class Entrant:
    """One that is measured; `start` starts it for the engine at an address."""

    name: str
    start: Callable[[str], AbstractContextManager[Healer]]


@dataclass(frozen=True, slots=True)
class Plan:
    """What to measure. `intervals` are the HEALTHCHECK's, in seconds; `pools` the floor's numbers of threads.

    The first round tries every pool, the later ones only the best, and go there and back again, so that a drift of
    the machine meets all.
    """

    containers: int = 40
    intervals: Sequence[float] = (2.0, 30.0)
    modes: Sequence[str] = MODES
    pools: Sequence[int] = (8, 4, 16)
    peers: Sequence[Peer] = ()
    repeat: int = 1


def floor(threads: int) -> Entrant:
    """The bare pool of threads."""
    return Entrant(f"{FLOOR}, {threads} threads", lambda host: healer(FLOOR, host, threads=threads))


def others(modes: Sequence[str], peers: Sequence[Peer]) -> list[Entrant]:
    """Selfheal in these modes, and the peers."""

    def entrant(name: str) -> Entrant:
        return Entrant(name, lambda host: healer(name, host, peers=peers))

    return [entrant(name) for name in (*modes, *(peer.name for peer in peers))]


def measure(host: str, plan: Plan, say: Say = print) -> list[Storm]:
    """Run the plan on the engine at `host`."""
    storms: list[Storm] = []
    for interval in plan.intervals:
        say(f"starting {plan.containers} containers, HEALTHCHECK every {interval:g} s")
        with closing(SharedFault(host, plan.containers, interval)) as field:
            for entrant in _order(plan, interval, storms):
                storms.append(storm(field, entrant))
                say(_line(storms[-1]))
    return storms


def _order(plan: Plan, interval: float, storms: Sequence[Storm]) -> Iterator[Entrant]:
    """Whose turn it is; asked for one by one, because the first round's floors decide on the later ones."""
    everybody = others(plan.modes, plan.peers)
    yield from (floor(threads) for threads in plan.pools)
    yield from everybody
    pools = {floor(threads).name: floor(threads) for threads in plan.pools}
    for round_number in range(1, plan.repeat):
        met = [one for one in storms if one.interval == interval and one.healer in pools]
        best = pools[min(met, key=_seconds).healer]
        row = [best, *everybody]
        yield from reversed(row) if round_number % 2 else row


def _seconds(one: Storm) -> float:
    return one.seconds if one.ended else float("inf")


def storm(field: SharedFault, entrant: Entrant) -> Storm:
    """One healer meets one storm that restarting cures."""
    with ready(field, entrant), recording(field.containers, field.ids) as record:
        field.break_curably()
        wait_sick(field, record)
        number = len(field.ids)
        with_patience(lambda: len(record.started()) == number, SECONDS_EACH * number + field.interval)
        return Storm(
            interval=field.interval,
            healer=entrant.name,
            containers=number,
            sick=_rounded(record.sick()),
            started=_rounded(record.started()),
            restarts=len(record.starts()),
        )


@contextmanager
def ready(field: SharedFault, entrant: Entrant) -> Iterator[Healer]:
    """A healer that watches healthy containers, for as long as the block lasts."""
    field.rest()
    with entrant.start(field.containers.host) as running:
        field.wait_healthy()
        if isinstance(running, Selfheal):
            running.wait_all_known(field.prefix, len(field.ids))
        yield running


def wait_sick(field: SharedFault, record: Record) -> None:
    """Until the first has turned unhealthy."""
    until(lambda: record.first_sick, 2 * field.interval + 60, "a container turns unhealthy", interval=0.05)


def with_patience(condition: Callable[[], object], timeout: float) -> None:
    """Until it is so, or until the time is over: what has not happened then is a result too."""
    try:
        until(condition, timeout, "the end of the storm", interval=0.1)
    except NotInTimeError:
        return


def _rounded(times: Sequence[float]) -> list[float]:
    return [round(at, 3) for at in times]


def _line(one: Storm) -> str:
    started = f"{len(one.started)} of {one.containers} started after {one.seconds:.1f} s"
    return f"HEALTHCHECK {one.interval:g} s  {one.healer:<20} {started}, last sick after {one.sick[-1]:.1f} s"


def limit(storms: Sequence[Storm]) -> float:
    """The engine's own limit in these storms of one interval: the best pool's median, in seconds."""
    floors = [found for name, found in _by_healer(storms).items() if name.startswith(FLOOR)]
    return min(statistics.median(map(_seconds, found)) for found in floors)


def _by_healer(storms: Sequence[Storm]) -> dict[str, list[Storm]]:
    found: dict[str, list[Storm]] = {}
    for one in storms:
        found.setdefault(one.healer, []).append(one)
    return found


def by_interval(storms: Sequence[Storm]) -> dict[float, list[Storm]]:
    """The storms of each interval."""
    return {
        interval: [one for one in storms if one.interval == interval]
        for interval in dict.fromkeys(one.interval for one in storms)
    }


def table(storms: Sequence[Storm]) -> str:
    """The result in Markdown, medians where there were several storms."""
    lines = [
        (
            "| HEALTHCHECK every | healer | storms | first sick → last sick | first sick → half started | → last started "
            "| ÷ the engine's limit | restarts |"
        ),
        "|--:|---|--:|--:|--:|--:|--:|--:|",
    ]
    for interval, found in by_interval(storms).items():
        for name, ones in _by_healer(found).items():
            lines.append(f"| {interval:g} s | {name} | {len(ones)} | {_cells(ones, limit(found))} |")
    return "\n".join(lines)


def _cells(ones: Sequence[Storm], best: float) -> str:
    last = statistics.median(one.seconds for one in ones)
    missed = sum(one.containers - len(one.started) for one in ones)
    return " | ".join(
        [
            f"{statistics.median(one.sick[-1] for one in ones):.1f} s",
            f"{statistics.median(_half(one) for one in ones):.1f} s",
            f"{last:.1f} s" if not missed else f"{missed} never started",
            f"{last / best:.2f}" if not missed else "",
            f"{statistics.median(one.restarts for one in ones):g}",
        ]
    )


def _half(one: Storm) -> float:
    middle = one.containers // 2
    return one.started[middle - 1] if len(one.started) >= middle else float("inf")


def progress(storms: Sequence[Storm]) -> dict[str, list[tuple[float, float]]]:
    """For a picture of one interval: by when each healer had started how many in its last storm; of the floors the best."""
    by_healer = _by_healer(storms)
    floors = [name for name in by_healer if name.startswith(FLOOR)]
    best = min(floors, key=lambda name: statistics.median(map(_seconds, by_healer[name])))
    shown = [name for name in by_healer if name not in floors or name == best]
    return {
        "unhealthy": picture.steps(storms[0].sick),
        **{name: picture.steps(by_healer[name][-1].started) for name in shown},
    }
