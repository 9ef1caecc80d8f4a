"""One run: a simulated fleet, a whole Selfheal on it, a quiet stretch, and one in which containers fail."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from benchmarks.fleet.heals import percentile
from benchmarks.machine import machine
from benchmarks.scaling import asked
from benchmarks.scaling.asked import Span
from benchmarks.scaling.database import Ages, Statements, as_rows
from benchmarks.scaling.result import Heals, Phase, Result
from benchmarks.scaling.scene import Plan, Say, Scene, opened
from benchmarks.scaling.simulator import Dump
from tests.testbed.wait import until

SAMPLE_EVERY = 5.0
PATIENCE = 90.0
"""Seconds that the last faults get after the end: the engine's next HEALTHCHECK alone takes 30."""


@dataclass(slots=True)
class Stretch:
    """What was measured from outside while time passed."""

    span: Span
    processor: Mapping[str, float]
    around: Mapping[str, float]
    ages: Ages
    statements: Statements | None
    broker: int | None
    memory: list[dict[str, float]] = field(default_factory=list)


def measure(plan: Plan, say: Say = print) -> Result:
    """Run it. Raise NotInTimeError where the fleet is not known as healthy in time; OverflowError after too long."""
    load = os.getloadavg()[0]
    with opened(plan, say) as (scene, registered_in, begun):
        _wait_known(scene, plan)
        known_after = time.monotonic() - begun
        say(f"all known as healthy after {known_after:.0f} s; {plan.quiet_minutes:g} quiet minutes")
        time.sleep(plan.interval)
        quiet = _stretch(scene, plan.quiet_minutes * 60, plan.interval)
        say(f"{plan.minutes:g} minutes in which {plan.failing:.2%} fail each")
        if plan.failing:
            scene.fleet.begin_faults(plan.failing, plan.seed)
        failing = _stretch(scene, plan.minutes * 60, plan.interval)
        scene.fleet.end_faults(PATIENCE)
        names, dump, list_bytes = scene.fleet.names(), scene.fleet.dump(), scene.fleet.list_bytes()
    return Result(
        containers=plan.containers,
        hosts=plan.hosts,
        mode=plan.mode,
        interval=plan.interval,
        machine=machine(),
        load=load,
        registered_in=registered_in,
        known_after=known_after,
        list_bytes=list_bytes,
        quiet=_phase(quiet, plan, dump, names),
        failing=_phase(failing, plan, dump, names),
        heals=_heals(dump, plan.interval),
        memory=_memory([*quiet.memory, *failing.memory]),
    )


def _wait_known(scene: Scene, plan: Plan) -> None:
    query = "SELECT count(*) AS n FROM healing_healthstatus WHERE status = 'healthy'"
    until(
        lambda: scene.stack.rows(query)[0]["n"] == plan.containers,
        120 + plan.containers / 20,
        f"{plan.containers} containers are known as healthy",
        interval=0.5,
    )


def _stretch(scene: Scene, seconds: float, interval: float) -> Stretch:
    scene.judge.begin()
    commands = scene.broker_commands()
    begin, used, used_around = time.time(), scene.processor(), scene.processor_around()
    ages, memory, end = Ages(), [scene.memory()], begin + seconds
    while (left := end - time.time()) > 0:
        time.sleep(min(left, SAMPLE_EVERY))
        scene.judge.look(ages, interval)
        memory.append(scene.memory())
    span = Span(begin, time.time())
    return Stretch(
        span=span,
        processor=_percent(scene.processor(), used, span),
        around=_percent(scene.processor_around(), used_around, span),
        ages=ages,
        statements=scene.judge.statements(),
        broker=None if commands is None else (scene.broker_commands() or 0) - commands,
        memory=memory,
    )


def _percent(after: Mapping[str, float], before: Mapping[str, float], span: Span) -> dict[str, float]:
    return {name: (value - before.get(name, 0.0)) / span.seconds * 100 for name, value in after.items()}


def _phase(stretch: Stretch, plan: Plan, dump: Dump, names: Mapping[str, Mapping[str, str]]) -> Phase:
    changed = {fault[key] for fault in dump.faults for key in ("container", "name")}
    return Phase(
        seconds=stretch.span.seconds,
        processor=stretch.processor,
        around=stretch.around,
        calls=asked.calls(dump.requests, stretch.span, plan.interval, plan.hosts, changed),
        lateness=asked.lateness(dump.requests, stretch.span, plan.interval, names),
        verdict_age=stretch.ages.verdict,
        sweep_age=stretch.ages.sweep,
        late_in_database=len(stretch.ages.late or ()),
        statements=as_rows(stretch.statements),
        broker=stretch.broker,
    )


def _heals(dump: Dump, interval: float) -> Heals:
    delays = sorted(_delay(fault) for fault in dump.faults if fault["started_at"] is not None)
    return Heals(
        faults=len(dump.faults),
        started=len(delays),
        work_again=sum(fault["healthy_at"] is not None for fault in dump.faults),
        late=sum(delay > interval + 2 for delay in delays),
        p50=percentile(delays, 50),
        p99=percentile(delays, 99),
        longest=delays[-1] if delays else None,
    )


def _delay(fault: Mapping[str, Any]) -> float:
    return float(fault["started_at"]) - float(fault["at"])


def _memory(samples: list[dict[str, float]]) -> dict[str, list[float]]:
    chosen = [samples[0], samples[len(samples) // 2], samples[-1]]
    kinds = sorted({kind for sample in chosen for kind in sample})
    return {kind: [sample.get(kind, 0.0) for sample in chosen] for kind in kinds}
