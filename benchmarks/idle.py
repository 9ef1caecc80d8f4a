"""What watching costs when nothing happens: processor time and memory, of the healer and of the engine it asks."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass

from benchmarks.healers import LABELS, Peer, Selfheal, healer
from benchmarks.scaling.processes import parents_of_all, stat_fields
from tests.testbed.containers import Containers

CHECK_INTERVAL = 10
_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one healer: shares of one core in percent, memory in MiB."""

    healer: str
    containers: int
    seconds: float
    processor: float
    memory: float
    engine_processor: float


def measure(
    host: str,
    engine_pid: int,
    containers: int,
    seconds: float,
    peers: Sequence[Peer] = (),
    say: Callable[[str], None] = print,
) -> list[Cost]:
    """The engine alone, the embedded Selfheal, and the peers, over `seconds` each."""
    made = Containers(host)
    with closing(_Removing(made)):
        say(f"starting {containers} containers")
        labels = {**LABELS, "selfheal.check_interval": str(CHECK_INTERVAL)}
        for number in range(containers):
            made.run(f"idle-{number}", labels=labels, network_mode="none")
        costs = [_cost("nobody", 0, engine_pid, containers, seconds)]
        for name in ("embedded", *(peer.name for peer in peers)):
            with healer(name, host, peers=peers) as running:
                if isinstance(running, Selfheal):
                    running.wait_all_known(f"{made.prefix}-", containers)
                costs.append(_cost(name, running.pid, engine_pid, containers, seconds))
            say(f"{name}: {costs[-1].processor:.1f}% of a core, {costs[-1].memory:.0f} MiB")
    return costs


class _Removing:
    def __init__(self, containers: Containers) -> None:
        self.close = containers.remove_all


def _cost(name: str, pid: int, engine_pid: int, containers: int, seconds: float) -> Cost:
    begun = time.monotonic()
    before, engine_before = _used(pid), _used(engine_pid)
    time.sleep(seconds)
    passed = time.monotonic() - begun
    return Cost(
        healer=name,
        containers=containers,
        seconds=round(passed, 1),
        processor=round((_used(pid) - before) / passed * 100, 2),
        memory=round(sum(_resident(member) for member in _family(pid)) / 2**20, 1),
        engine_processor=round((_used(engine_pid) - engine_before) / passed * 100, 2),
    )


def _used(pid: int) -> float:
    """Seconds of processor time of a process and its children, those included that have ended; 0 for no process."""
    return sum(sum(int(value) for value in stat_fields(member)[11:15]) for member in _family(pid)) / _TICKS


def _resident(pid: int) -> int:
    fields = stat_fields(pid)
    return int(fields[21]) * _PAGE if fields else 0


def _family(pid: int) -> list[int]:
    """A process and its descendants."""
    parents = parents_of_all()
    found = [pid] if pid in parents else []
    for member in found:
        found += [child for child, parent in parents.items() if parent == member]
    return found


def table(costs: Sequence[Cost]) -> str:
    """The result in Markdown."""
    lines = [
        "| healer | containers | over | processor, share of a core | memory | the engine's processor |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    for cost in costs:
        lines.append(
            f"| {cost.healer} | {cost.containers} | {cost.seconds:.0f} s | {cost.processor:.1f}% "
            f"| {cost.memory:.0f} MiB | {cost.engine_processor:.1f}% |"
        )
    return "\n".join(lines)
