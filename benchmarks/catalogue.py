"""The benchmarks: how each is measured, and what its table and its pictures are."""

from __future__ import annotations

import argparse
import functools
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import alerts, backlog, hopeless, idle, latency, picture, probes, storm, trace
from benchmarks.fault import KINDS
from benchmarks.healers import FLOOR
from benchmarks.hopeless import Hopeless
from benchmarks.latency import Row
from benchmarks.storm import Storm
from tests.scenarios.stack import MODES
from tests.testbed.engine import Engine

say = functools.partial(print, file=sys.stderr, flush=True)
Pictures = dict[Path, str]
"""File -> what it shows, for who cannot see it."""
_SECONDS = "seconds after the first turned unhealthy"


@dataclass(frozen=True)
class Benchmark:
    """`measure` gives rows of the class `row`; `draw` writes their pictures into a folder, and says what each shows."""

    measure: Callable[[Engine, argparse.Namespace], Sequence[Any]]
    row: type[Any]
    table: Callable[[Sequence[Any]], str]
    draw: Callable[[Sequence[Any], Path], Pictures] = lambda rows, folder: {}


@dataclass(frozen=True, slots=True)
class Traced:
    """The traces of one kind of fault in one mode."""

    mode: str
    kind: str
    traces: Sequence[Mapping[str, float]]


def _latency(engine: Engine, options: argparse.Namespace) -> list[Row]:
    plan = latency.Plan(
        faults=options.faults,
        healers=(FLOOR, *(options.mode or MODES)),
        kinds=tuple(options.kind or KINDS),
        peers=options.peer,
    )
    return latency.rows(latency.measure(engine.host, plan, say))


def _draw_latency(rows: Sequence[Row], folder: Path) -> Pictures:
    path, title = folder / "latency.svg", "From the fault to the start"
    groups, series = latency.bars(rows)
    picture.bars(path, title, "milliseconds", groups, series)
    return {path: f"{title}, milliseconds of each healer"}


def _trace(engine: Engine, options: argparse.Namespace) -> list[Traced]:
    number = min(options.faults, 5)
    return [
        Traced(mode, kind, trace.measure(engine.host, mode, kind, number, say))
        for kind in options.kind or KINDS
        for mode in options.mode or MODES
    ]


def _trace_table(rows: Sequence[Traced]) -> str:
    parts = [f"{one.mode}, {one.kind} (medians of {len(one.traces)}):\n\n{_steps(one)}" for one in rows]
    return "\n\n".join(parts)


def _steps(one: Traced) -> str:
    return trace.table([dict(found) for found in one.traces])


def _storm(engine: Engine, options: argparse.Namespace) -> list[Storm]:
    plan = storm.Plan(
        containers=options.sick,
        intervals=options.interval or (2.0, 30.0),
        modes=options.mode or MODES,
        pools=options.pool or (8, 4, 16),
        peers=options.peer,
        repeat=options.repeat,
    )
    return storm.measure(engine.host, plan, say)


def _draw_storm(rows: Sequence[Storm], folder: Path) -> Pictures:
    drawn = {}
    for interval, storms in storm.by_interval(rows).items():
        path = folder / f"storm-{interval:g}s.svg"
        title = f"{storms[0].containers} containers unhealthy at once, HEALTHCHECK every {interval:g} s"
        picture.lines(path, title, _SECONDS, "containers started", storm.progress(storms))
        drawn[path] = f"{title}: how many each healer had started by when"
    return drawn


def _hopeless(engine: Engine, options: argparse.Namespace) -> list[Hopeless]:
    plan = hopeless.Plan(
        containers=options.sick, seconds=options.seconds, modes=options.mode or MODES, peers=options.peer
    )
    return hopeless.measure(engine.host, plan, say)


def _draw_hopeless(rows: Sequence[Hopeless], folder: Path) -> Pictures:
    path, title = folder / "hopeless.svg", f"{rows[0].containers} containers that a restart does not cure"
    picture.lines(path, title, _SECONDS, "restarts", hopeless.progress(rows))
    return {path: f"{title}: how many restarts each healer had made by when"}


def _idle(engine: Engine, options: argparse.Namespace) -> list[idle.Cost]:
    assert engine.child is not None
    return idle.measure(engine.host, engine.child.pid, options.containers, options.seconds, options.peer, say)


def _probes(_: Engine, options: argparse.Namespace) -> list[probes.Cost]:
    return probes.measure(options.probes, options.seconds, say)


def _backlog(_: Engine, options: argparse.Namespace) -> list[backlog.Backlog]:
    return [backlog.measure(50_000, options.faults, say)]


def _alerts(_: Engine, options: argparse.Namespace) -> list[alerts.Alerts]:
    return [alerts.measure(max(options.faults, 100), 2_000, say)]


BENCHMARKS: dict[str, Benchmark] = {
    "latency": Benchmark(_latency, Row, latency.table, _draw_latency),
    "trace": Benchmark(_trace, Traced, _trace_table),
    "storm": Benchmark(_storm, Storm, storm.table, _draw_storm),
    "hopeless": Benchmark(_hopeless, Hopeless, hopeless.table, _draw_hopeless),
    "idle": Benchmark(_idle, idle.Cost, idle.table),
    "probes": Benchmark(_probes, probes.Cost, probes.table),
    "alerts": Benchmark(_alerts, alerts.Alerts, alerts.table),
    "backlog": Benchmark(_backlog, backlog.Backlog, backlog.table),
}
