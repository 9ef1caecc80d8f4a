"""From the fault to the engine's start: Selfheal beside the floor, in one run on one engine."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass

from benchmarks.fault import KINDS, Healed, heal_one
from benchmarks.healers import FLOOR, PEER, healer
from tests.scenarios.stack import MODES
from tests.testbed.containers import Containers

Samples = Mapping[tuple[str, str], Sequence[Healed]]
"""What was measured, by kind of fault and healer."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the result; times in milliseconds."""

    kind: str
    healer: str
    faults: int
    reaction: float | None
    p50: float
    p90: float
    floor: float

    @property
    def ratio(self) -> float:
        return self.p50 / self.floor

    @property
    def added(self) -> float:
        return self.p50 - self.floor


@dataclass(frozen=True, slots=True)
class Plan:
    """What to measure: how many faults of each kind for each healer."""

    faults: int = 10
    healers: Sequence[str] = (FLOOR, *MODES)
    kinds: Sequence[str] = tuple(KINDS)
    peer: str = ""
    turn_back: bool = True

    def blocks(self) -> list[tuple[str, str, int]]:
        """(kind, healer, faults) in their order: there and back again, so that a drift of the machine meets all."""
        everybody = [*self.healers, *([PEER] if self.peer else [])]
        there = [(kind, name) for kind in self.kinds for name in everybody if (kind, name) != ("die", PEER)]
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
        found = _block(host, kind, name, number, plan.peer)
        say(f"{kind:<10} {name:<11} {' '.join(f'{one.milliseconds:.0f}' for one in found)} ms")
        samples[kind, name] += found
    return samples


def _block(host: str, kind: str, name: str, number: int, peer: str) -> list[Healed]:
    with closing(_Removing(host)) as made, healer(name, host, KINDS[kind], peer) as running:
        return [heal_one(made.containers, running, kind, f"{kind}-{i}") for i in range(number)]


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
    values = [one.milliseconds for one in found]
    return Row(
        kind=kind,
        healer=name,
        faults=len(values),
        reaction=statistics.median(reactions) if reactions else None,
        p50=statistics.median(values),
        p90=_p90(values),
        floor=statistics.median(one.milliseconds for one in floor),
    )


def _p90(values: Sequence[float]) -> float:
    if len(values) < 2:
        return values[0]
    return statistics.quantiles(values, n=10, method="inclusive")[8]


def table(found: Sequence[Row]) -> str:
    """The result in Markdown."""
    lines = [
        "| fault | healer | faults | → engine acts, p50 | → start, p50 | → start, p90 | added to the floor | p50 ÷ floor |",
        "|---|---|--:|--:|--:|--:|--:|--:|",
    ]
    for row in found:
        reaction = "" if row.reaction is None else f"{row.reaction:.0f} ms"
        lines.append(
            f"| {row.kind} | {row.healer} | {row.faults} | {reaction} | {row.p50:.0f} ms | {row.p90:.0f} ms "
            f"| {row.added:+.0f} ms | {row.ratio:.2f} |"
        )
    return "\n".join(lines)
