"""From what was measured to what a larger fleet would take: nothing but multiplication."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from benchmarks.scaling.fit import Cost, fit
from benchmarks.scaling.result import POSTGRES, REDIS, Result
from benchmarks.scaling.tables import markdown

SIZES = ((10_000, 20), (100_000, 1_000), (1_000_000, 10_000))
"""(containers, engines)"""
FAILING = 0.01 / 60
"""Share of all containers that fails in a minute: one in a hundred an hour."""
BUSY = 0.5
"""Of a core, that a worker process should be busy at most: what is above that queues."""
NEEDED = (
    "Nothing is projected yet: it takes three sizes at least, one of them with fewer containers an engine, such as "
    "`python -m benchmarks.scale --containers 10000 --hosts 100`."
)


@dataclass(frozen=True, slots=True)
class Quantity:
    """Something that grows with the fleet. `unit` of `of`; `each` names and scales it for one engine or container.

    What is `timed` is used per second, and told for one sweep of an engine, or one look at a container.
    """

    name: str
    of: Callable[[Result], float | None]
    unit: str
    each: str
    scale: float
    timed: bool = True


def _database(key: str) -> Callable[[Result], float | None]:
    return lambda result: result.quiet.per_second(key)


QUANTITIES = (
    Quantity("Selfheal's processor", lambda r: r.quiet.selfheal / 100, "cores", "ms", 1000),
    Quantity("PostgreSQL's processor", lambda r: r.quiet.around.get(POSTGRES, 0) / 100, "cores", "ms", 1000),
    Quantity("Redis's processor", lambda r: r.quiet.around.get(REDIS, 0) / 100, "cores", "ms", 1000),
    Quantity("statements", _database("calls"), "a second", "", 1),
    Quantity("rows written", _database("rows"), "a second", "", 1),
    Quantity(
        "write-ahead log", lambda r: (r.quiet.per_second("wal") or 0) / 2**20, "MiB a second", "KiB", 1024
    ),
    Quantity("Redis's commands", lambda r: (r.quiet.broker or 0) / r.quiet.seconds, "a second", "", 1),
    Quantity("Selfheal's memory", lambda r: r.memory_in_all[0], "MiB", "KiB", 1024, timed=False),
    Quantity("database", lambda r: _size(r) / 2**20, "MiB", "KiB", 1024, timed=False),
)


def _size(result: Result) -> float:
    return float(result.quiet.statements["size"]) if result.quiet.statements else 0.0


def projection(results: Sequence[Result]) -> str:
    """Two tables in Markdown: what an engine and a container cost, and what fleets would take."""
    chosen = [result for result in results if result.mode == "production"]
    costs = {
        quantity: fit((r.hosts, r.containers, quantity.of(r) or 0.0) for r in chosen)
        for quantity in QUANTITIES
    }
    known = {quantity: cost for quantity, cost in costs.items() if cost is not None}
    if QUANTITIES[0] not in known:
        return NEEDED
    return f"{_units(known, chosen[0].interval)}\n\n{_fleets(known, chosen)}"


def _units(costs: dict[Quantity, Cost], interval: float) -> str:
    head = ("what", "at all", "each sweep of an engine", "each container in it")
    rows = []
    for quantity, cost in costs.items():
        scale = quantity.scale * (interval if quantity.timed else 1)
        each = (f"{value * scale:,.4g} {quantity.each}".strip() for value in (cost.engine, cost.container))
        rows.append((quantity.name, f"{cost.fixed:,.3g} {quantity.unit}", *each))
    return markdown(head, rows, left=1)


def _fleets(costs: dict[Quantity, Cost], results: Sequence[Result]) -> str:
    head = ("what", *(f"{containers:,} on {engines:,}" for containers, engines in SIZES))
    interval = results[0].interval
    rows = [("sweeps a second", *(f"{engines / interval:,.0f}" for _, engines in SIZES))]
    rows += [
        (f"{q.name}, {q.unit}", *(_amount(cost.at(e, c)) for c, e in SIZES)) for q, cost in costs.items()
    ]
    traffic = max(result.list_bytes for result in results) / interval / 2**20
    rows.append(("list calls, MiB a second", *(_amount(containers * traffic) for containers, _ in SIZES)))
    rows.append((f"worker processes, {BUSY:.0%} busy", *(f"{_workers(costs, *size):,.0f}" for size in SIZES)))
    rows.append(
        ("faults a second, one container in a hundred an hour", *(_amount(_faults(c)) for c, _ in SIZES))
    )
    for name, each in _per_fault(results):
        rows.append((name, *(_amount(_faults(containers) * each) for containers, _ in SIZES)))
    return markdown(head, rows, left=1)


def _workers(costs: dict[Quantity, Cost], containers: int, engines: int) -> float:
    return max(costs[QUANTITIES[0]].at(engines, containers) / BUSY, 1.0)


def _faults(containers: int) -> float:
    return containers * FAILING / 60


def _per_fault(results: Sequence[Result]) -> list[tuple[str, float]]:
    """What one fault costs, by the run with most of them."""
    most = max(results, key=lambda result: result.heals.faults)
    milliseconds, statements = most.milliseconds_per_heal, most.statements_per_heal
    found = [] if milliseconds is None else [("their heals, cores of Selfheal", milliseconds / 1000)]
    return found if statements is None else [*found, ("their heals, statements a second", statements)]


def _amount(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
