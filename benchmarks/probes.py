"""What HTTP probes cost: alone, and as a part of a whole Selfheal on a simulated fleet, each probe every 10 s."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.answering import answered, answering
from benchmarks.scaling.result import POSTGRES, REDIS
from benchmarks.scaling.scene import Plan, Scene, opened
from tests.testbed.paths import PROJECT
from tests.testbed.wait import until

INTERVAL = 10.0
A_HOST = 100
"""Containers on one engine; each sweep of it asks as many probes at once."""
ALONE, WITHOUT, WITH, COST = "the probes alone", "without probes", "with probes", "the difference"

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Cost:
    """Shares of one core in percent. `answered` is the number of requests a second that arrived."""

    what: str
    probes: int
    seconds: float
    processor: float
    database: float = 0.0
    broker: float = 0.0
    answered: float = 0.0


@dataclass(frozen=True, slots=True)
class _Probed(Plan):
    """The fleet of `scale`, whose containers may have a probe each that asks `port`; 0 for none."""

    port: int = 0

    @property
    def labels(self) -> dict[str, str]:
        common = {"selfheal.enable": "true", "selfheal.check_interval": f"{self.interval:g}"}
        return common | ({"selfheal.probe.web": f"http://127.0.0.1:{self.port}/health"} if self.port else {})


def measure(probes: int, seconds: int, say: Say = print) -> list[Cost]:
    """The probes alone, then the production mode with as many containers without a probe, and with one each."""
    with answering() as port:
        costs = [alone(probes, seconds, port)]
        say(f"{ALONE}: {costs[0].processor:.1f}% of a core")
        for what, asked in ((WITHOUT, 0), (WITH, port)):
            costs.append(_whole(what, probes, seconds, asked))
            say(f"{what}: {costs[-1].processor:.1f}% of a core")
    without, with_probes = costs[-2:]
    difference = Cost(
        what=COST,
        probes=probes,
        seconds=with_probes.seconds,
        processor=with_probes.processor - without.processor,
        database=with_probes.database - without.database,
        broker=with_probes.broker - without.broker,
        answered=with_probes.answered,
    )
    return [*costs, difference]


def alone(probes: int, seconds: int, port: int) -> Cost:
    """The product's own function for the probes of a sweep, in a process that does nothing else."""
    command = [sys.executable, "-m", "benchmarks.probes", str(probes), str(seconds), str(port)]
    environ = {**os.environ, "DJANGO_SETTINGS_MODULE": "selfheal_project.settings"}
    done = subprocess.run(command, cwd=PROJECT, env=environ, check=True, stdout=subprocess.PIPE, text=True)
    return Cost(**json.loads(done.stdout.splitlines()[-1]))


def _whole(what: str, probes: int, seconds: int, port: int) -> Cost:
    hosts = max(1, probes // A_HOST)
    with opened(_Probed(containers=probes, hosts=hosts, interval=INTERVAL, port=port), lambda _: None) as (
        scene,
        *_,
    ):
        query = "SELECT count(*) AS n FROM healing_healthstatus WHERE status = 'healthy'"
        until(
            lambda: scene.stack.rows(query)[0]["n"] == probes,
            120 + probes / 20,
            f"{probes} containers are known as healthy",
            interval=0.5,
        )
        time.sleep(INTERVAL)
        return _look(scene, what, probes, seconds, port)


def _look(scene: Scene, what: str, probes: int, seconds: int, port: int) -> Cost:
    begun, count = time.monotonic(), answered(port) if port else 0
    before, around = scene.processor(), scene.processor_around()
    time.sleep(seconds)
    after, around_after = scene.processor(), scene.processor_around()
    passed = time.monotonic() - begun

    def share(later: Mapping[str, float], earlier: Mapping[str, float], *names: str) -> float:
        return sum(later[name] - earlier.get(name, 0.0) for name in names) / passed * 100

    return Cost(
        what=what,
        probes=probes,
        seconds=passed,
        processor=share(after, before, *after),
        database=share(around_after, around, POSTGRES),
        broker=share(around_after, around, REDIS),
        answered=(answered(port) - count) / passed if port else 0.0,
    )


def table(costs: Sequence[Cost]) -> str:
    """The result in Markdown; the last column is what one probe costs Selfheal."""
    lines = [
        "| | containers | over | answered | Selfheal, share of a core | PostgreSQL | Redis | a probe |",
        "|---|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for cost in costs:
        each = cost.processor * 10 / cost.answered if cost.answered and cost.what != WITH else None
        lines.append(
            f"| {cost.what} | {cost.probes} | {cost.seconds:.0f} s | {cost.answered:.0f}/s | {cost.processor:.1f}% "
            f"| {cost.database:.1f}% | {cost.broker:.1f}% | {'' if each is None else f'{each:.2f} ms'} |"
        )
    return "\n".join(lines)


def _ask_alone(probes: int, seconds: int, port: int) -> Cost:
    """Every INTERVAL each probe once, an engine's at a time, at an address of 127.0.0.0/8 of its own."""
    import django

    django.setup()
    from healing.core.config import Config
    from healing.core.types import ProbeTarget, ProbeVerdict
    from healing.engines.fake import fake_engine
    from healing.pipeline.look import probe_all
    from healing.probes import parse

    engine = fake_engine("benchmark")  # http probes do not ask it
    spec, config = parse("web", f"http://:{port}/health"), Config()
    targets = [ProbeTarget(str(n), (f"127.0.{1 + n // 250}.{1 + n % 250}",)) for n in range(probes)]
    batches = [range(first, min(first + A_HOST, probes)) for first in range(0, probes, A_HOST)]
    pause, passed = INTERVAL / len(batches), 0
    begun, used = time.monotonic(), time.process_time()
    for turn in range(max(1, round(seconds / pause))):
        batch = batches[turn % len(batches)]
        found = probe_all({n: [(spec, targets[n], config)] for n in batch}, engine)
        passed += sum(
            result.verdict is ProbeVerdict.PASSED for results in found.values() for result in results
        )
        time.sleep(max(0.0, begun + (turn + 1) * pause - time.monotonic()))
    lasted = time.monotonic() - begun
    return Cost(ALONE, probes, lasted, (time.process_time() - used) / lasted * 100, answered=passed / lasted)


if __name__ == "__main__":
    from dataclasses import asdict

    print(json.dumps(asdict(_ask_alone(*map(int, sys.argv[1:4])))))
