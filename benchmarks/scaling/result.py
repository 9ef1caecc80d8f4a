"""What one run found, as JSON and as tables."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from benchmarks.results import rounded
from benchmarks.scaling.asked import Calls, Lateness
from tests.testbed.paths import PROJECT

FOLDER = PROJECT / "benchmarks" / "results"
PER_HOST = 500
SELFHEAL, POSTGRES, REDIS, SIMULATOR, MEASURING = "selfheal", "postgres", "redis", "simulator", "measuring"
SOME = 20
"""With fewer faults, what else differs between the two phases is more than the faults cost."""


@dataclass(frozen=True, slots=True)
class Phase:
    """One stretch of time. Processor in percent of one core: of Selfheal's processes by kind, and of what is not Selfheal.

    `verdict_age`, `sweep_age`, `late_in_database`: the oldest verdict and sweep that the database ever showed, in
    seconds, and how many containers it ever showed as unchecked for over two intervals. `broker` is Redis's commands.
    """

    seconds: float
    processor: Mapping[str, float]
    around: Mapping[str, float]
    calls: Calls
    lateness: Lateness
    verdict_age: float
    sweep_age: float
    late_in_database: int
    statements: Mapping[str, Any] | None
    broker: int | None

    @property
    def selfheal(self) -> float:
        return sum(self.processor.values())

    def per_second(self, key: str = "calls") -> float | None:
        return self.statements[key] / self.seconds if self.statements else None

    @property
    def per_sweep(self) -> float | None:
        """Statements for each list call; all that is done per second is in it."""
        return self.statements["calls"] / self.calls.lists if self.statements and self.calls.lists else None


@dataclass(frozen=True, slots=True)
class Heals:
    """Faults that were put in, and what became of them. Seconds from the fault to the engine's start.

    `late` took longer than one interval and two seconds.
    """

    faults: int
    started: int
    work_again: int
    late: int
    p50: float | None
    p99: float | None
    longest: float | None


@dataclass(frozen=True, slots=True)
class Result:
    """One run at one size. Memory in MiB: at the start, in the middle and at the end, by kind of process.

    `known_after` is the seconds from Selfheal's start until every container had been found healthy, `list_bytes` what an
    engine's list takes for each container, `load` the load average before the run.
    """

    containers: int
    hosts: int
    mode: str
    interval: float
    machine: str
    load: float
    registered_in: float
    known_after: float
    list_bytes: float
    quiet: Phase
    failing: Phase
    heals: Heals
    memory: Mapping[str, Sequence[float]]

    @property
    def is_usual(self) -> bool:
        """Whether it has as many engines as a fleet of this size has here."""
        return self.hosts == usual_hosts(self.containers)

    @property
    def memory_in_all(self) -> list[float]:
        return [sum(values) for values in zip(*self.memory.values(), strict=True)]

    @property
    def milliseconds_per_heal(self) -> float | None:
        """Processor time of Selfheal for one fault, by what it used more than in the quiet phase."""
        more = (self.failing.selfheal - self.quiet.selfheal) / 100 * self.failing.seconds
        return more / self.heals.faults * 1000 if self.heals.faults >= SOME else None

    @property
    def statements_per_heal(self) -> float | None:
        quiet, failing = self.quiet.per_second(), self.failing.per_second()
        if quiet is None or failing is None or self.heals.faults < SOME:
            return None
        return (failing - quiet) * self.failing.seconds / self.heals.faults


def usual_hosts(containers: int) -> int:
    """One engine for each PER_HOST containers."""
    return max(containers // PER_HOST, 1)


def save(result: Result, folder: Path = FOLDER) -> Path:
    """Write scale-<containers>.json; other numbers of engines and the embedded mode have that in its name. Its path."""
    folder.mkdir(parents=True, exist_ok=True)
    suffix = "" if result.is_usual else f"-on-{result.hosts}"
    suffix += "" if result.mode == "production" else f"-{result.mode}"
    path = folder / f"scale-{result.containers}{suffix}.json"
    path.write_text(json.dumps(rounded(asdict(result)), indent=1) + "\n")
    return path


def load(folder: Path = FOLDER) -> list[Result]:
    """All results of a folder, the production mode's first, by size."""
    found = [_result(json.loads(path.read_text())) for path in folder.glob("scale-*.json")]
    return sorted(found, key=lambda result: (result.mode != "production", result.containers, result.hosts))


def _result(body: dict[str, Any]) -> Result:
    for name in ("quiet", "failing"):
        phase = body[name]
        body[name] = Phase(
            **{**phase, "calls": Calls(**phase["calls"]), "lateness": Lateness(**phase["lateness"])}
        )
    body["heals"] = Heals(**body["heals"])
    return Result(**{field.name: body[field.name] for field in fields(Result)})


def series(results: Iterable[Result]) -> dict[str, list[tuple[float, float]]]:
    """Cost against size, for a picture: name of the line -> (containers, percent of one core), the production mode's."""
    chosen = [result for result in results if result.mode == "production" and result.is_usual]
    found = {
        "Selfheal, nothing fails": [(r.containers, r.quiet.selfheal) for r in chosen],
        "Selfheal, with faults": [(r.containers, r.failing.selfheal) for r in chosen],
        "PostgreSQL, nothing fails": [(r.containers, r.quiet.around.get(POSTGRES, 0.0)) for r in chosen],
        "PostgreSQL, with faults": [(r.containers, r.failing.around.get(POSTGRES, 0.0)) for r in chosen],
    }
    return {name: [(float(x), y) for x, y in points] for name, points in found.items()}
