"""Where each millisecond of a heal goes: the engine's events, Selfheal's log records and its rows, on one line of time."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from benchmarks.fault import KINDS, Healed, heal_one
from benchmarks.healers import Selfheal, healer
from tests.scenarios.stack import Stack
from tests.testbed.containers import Containers

STEPS = (
    "event received by the watcher",
    "check begins",
    "failure opened",
    "failure is on record",
    "diagnosis begins",
    "evidence is gathered",
    "decided, intent written",
    "restart begins",
    "guard has passed",
    "committed, engine is called",
    "engine has started it",
    "engine has answered",
    "verification begins",
    "verified",
)
Trace = dict[str, float]
"""Step -> milliseconds after the engine's fault event."""


@dataclass(frozen=True, slots=True)
class _Record:
    at: float
    fields: dict[str, Any]

    def says(self, **fields: object) -> bool:
        return all(self.fields.get(name) == value for name, value in fields.items())


def measure(host: str, mode: str, kind: str, faults: int, say: Callable[[str], None] = print) -> list[Trace]:
    """Trace some heals in one mode of Selfheal, whose log is at level DEBUG meanwhile."""
    environ = {"SELFHEAL_LOG_FORMAT": "json", "SELFHEAL_LOG_LEVEL": "DEBUG"}
    traces = []
    containers = Containers(host)
    with closing(_Removing(containers)), healer(mode, host, **environ) as running:
        assert isinstance(running, Selfheal)
        for number in range(faults):
            healed = heal_one(containers, running, kind, f"{kind}-{number}")
            traces.append(trace_of(running.stack, healed, kind))
            say(f"{mode} {kind}: started after {healed.milliseconds:.0f} ms")
    return traces


class _Removing:
    def __init__(self, containers: Containers) -> None:
        self.close = containers.remove_all


def trace_of(stack: Stack, healed: Healed, kind: str) -> Trace:
    """The steps of one heal that is over."""
    failure = stack.found(healed.container)
    attempt = stack.attempts(healed.container)[0]
    records = list(_records(stack.log()))
    key = int(failure["id"])
    container = {"container": healed.container}
    times = {
        "event received by the watcher": _first(
            records, healed, action="engine_event", kind=KINDS[kind], **container
        ),
        "check begins": _first(records, healed, action="check_begins"),
        "failure opened": _epoch(failure["detected_at"]),
        "failure is on record": _first(records, healed, action="failure_found", failure=key),
        "diagnosis begins": _first(records, healed, action="claimed", failure=key, stage="diagnose"),
        "decided, intent written": _first(records, healed, action="decided", failure=key),
        "evidence is gathered": _epoch(attempt["intent_at"]),
        "restart begins": _first(records, healed, action="claimed", failure=key, stage="restart"),
        "guard has passed": _epoch(attempt["called_at"]),
        "committed, engine is called": _first(records, healed, action="restart", failure=key),
        "engine has started it": healed.start_at,
        "engine has answered": _epoch(attempt["answered_at"]),
        "verification begins": _first(records, healed, action="claimed", failure=key, stage="verify"),
        "verified": _epoch(failure["resolved_at"]),
    }
    return {step: (at - healed.fault_at) * 1000 for step, at in times.items() if at is not None}


def _records(log: str) -> Iterator[_Record]:
    for line in log.splitlines():
        if line.startswith("{"):
            fields = json.loads(line)
            yield _Record(_epoch(fields["at"]) or 0.0, fields)


def _first(records: Sequence[_Record], healed: Healed, **fields: object) -> float | None:
    """When the first such record after the fault was written."""
    return next((r.at for r in records if r.at >= healed.fault_at and r.says(**fields)), None)


def _epoch(value: Any) -> float | None:
    if value is None:
        return None
    moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    assert isinstance(moment, datetime)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def table(traces: Sequence[Trace]) -> str:
    """The median of each step after the fault, and what it took after the step before."""
    lines = ["| step | after the fault | took |", "|---|--:|--:|"]
    before = 0.0
    for step in STEPS:
        found = [trace[step] for trace in traces if step in trace]
        if found:
            at = statistics.median(found)
            lines.append(f"| {step} | {at:.1f} ms | {at - before:+.1f} ms |")
            before = at
    return "\n".join(lines)
