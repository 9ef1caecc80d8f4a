"""From the fault to the engine's start: Selfheal beside the floor, in one run on one engine."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass

from benchmarks.fault import KINDS, Healed, heal_one
from benchmarks.healers import FLOOR, Peer, healer
from tests.scenarios.stack import MODES
from tests.testbed.containers import Containers

Samples = Mapping[tuple[str, str], Sequence[Healed]]
"""What was measured, by kind of fault and healer."""

GOLDEN = 0.6180339887
"""Its multiples modulo 1 are spread evenly, however many are taken."""
LONGEST_POLL = 5.0


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the result; times in milliseconds. `reaction` is the median until the engine acts, None after a `die`."""

    kind: str
    healer: str
    reaction: float | None
    milliseconds: Sequence[float]
    floor: Sequence[float]

    @property
    def p50(self) -> float:
        return statistics.median(self.milliseconds)

    @property
    def p90(self) -> float:
        return _p90(self.milliseconds)

    @property
    def ratio(self) -> float:
        return self.p50 / statistics.median(self.floor)

    @property
    def ratio_p90(self) -> float:
        return self.p90 / _p90(self.floor)

    @property
    def added(self) -> float:
        return self.p50 - statistics.median(self.floor)


@dataclass(frozen=True, slots=True)
class Plan:
    """What to measure: how many faults of each kind for each healer."""

    faults: int = 10
    healers: Sequence[str] = (FLOOR, *MODES)
    kinds: Sequence[str] = tuple(KINDS)
    peers: Sequence[Peer] = ()
    turn_back: bool = True

    def blocks(self) -> list[tuple[str, str, int]]:
        """(kind, healer, faults) in their order: there and back again, so that a drift of the machine meets all."""
        peers = [peer.name for peer in self.peers]
        there = [
            (kind, name)
            for kind in self.kinds
            for name in (*self.healers, *peers)
            if kind != "die" or name not in peers  # theirs is what is unhealthy
        ]
        first = self.faults // 2 if self.turn_back else self.faults
        back = there[::-1]
        return [
            *((kind, name, first) for kind, name in there if first),
            *((kind, name, self.faults - first) for kind, name in back if self.faults > first),
        ]


def measure(host: str, plan: Plan, say: Callable[[str], None] = print) -> Samples:
    """Run the plan on the engine at `host`."""
    samples: dict[tuple[str, str], list[Healed]] = defaultdict(list)
    for kind, name, number in plan.blocks():
        found = _block(host, kind, name, number, plan.peers)
        say(f"{kind:<10} {name:<20} {' '.join(f'{one.milliseconds:.0f}' for one in found)} ms")
        samples[kind, name] += found
    return samples


def _block(host: str, kind: str, name: str, number: int, peers: Sequence[Peer]) -> list[Healed]:
    with closing(_Removing(host)) as made, healer(name, host, KINDS[kind], peers) as running:
        delays = [_delay(i) if name in [peer.name for peer in peers] else 0.0 for i in range(number)]
        return [heal_one(made.containers, running, kind, f"{kind}-{i}", at) for i, at in enumerate(delays)]


def _delay(number: int) -> float:
    """Seconds that spread faults evenly over a poll: else each would come at the same moment after the heal before it."""
    return (number * GOLDEN % 1) * LONGEST_POLL


class _Removing:
    """Containers that are gone at the end; after the healer has, so that it mourns none of them."""

    def __init__(self, host: str) -> None:
        self.containers = Containers(host)

    def close(self) -> None:
        self.containers.remove_all()


def rows(samples: Samples) -> list[Row]:
    """The result, each kind of fault with its own floor."""
    return [_row(kind, name, found, samples[kind, FLOOR]) for (kind, name), found in samples.items()]


def _row(kind: str, name: str, found: Sequence[Healed], floor: Sequence[Healed]) -> Row:
    reactions = [one.reaction for one in found if one.reaction is not None]
    return Row(
        kind=kind,
        healer=name,
        reaction=round(statistics.median(reactions), 1) if reactions else None,
        milliseconds=[round(one.milliseconds, 1) for one in found],
        floor=[round(one.milliseconds, 1) for one in floor],
    )


def _p90(values: Sequence[float]) -> float:
    if len(values) < 2:
        return values[0]
    return statistics.quantiles(values, n=10, method="inclusive")[8]


def table(found: Sequence[Row]) -> str:
    """The result in Markdown."""
    lines = [
        (
            "| fault | healer | faults | → engine acts, p50 | → start, p50 | → start, p90 | added to the floor "
            "| p50 ÷ floor | p90 ÷ floor |"
        ),
        "|---|---|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for row in found:
        reaction = "" if row.reaction is None else f"{row.reaction:.0f} ms"
        lines.append(
            f"| {row.kind} | {row.healer} | {len(row.milliseconds)} | {reaction} | {row.p50:.0f} ms | {row.p90:.0f} ms "
            f"| {row.added:+.0f} ms | {row.ratio:.2f} | {row.ratio_p90:.2f} |"
        )
    return "\n".join(lines)


def bars(found: Sequence[Row]) -> tuple[list[str], dict[str, list[float | None]]]:
    """For a picture: the groups, and for each healer its milliseconds in each group."""
    kinds = list(dict.fromkeys(row.kind for row in found))
    by_name = {(row.kind, row.healer): row for row in found}
    groups = [f"{kind}, {part}" for kind in kinds for part in ("p50", "p90")]
    series: dict[str, list[float | None]] = {}
    for name in dict.fromkeys(row.healer for row in found):
        series[name] = []
        for kind in kinds:
            row = by_name.get((kind, name))
            series[name] += [row.p50, row.p90] if row else [None, None]
    return groups, series
