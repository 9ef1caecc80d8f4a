"""`python -m benchmarks.scale --containers 10000`: what a whole Selfheal costs on a simulated fleet, and whether it keeps time."""

from __future__ import annotations

import argparse
import functools
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks import picture, report
from benchmarks.scaling.projection import projection
from benchmarks.scaling.result import FOLDER, PER_HOST, Result, load, save, series, usual_hosts
from benchmarks.scaling.run import measure
from benchmarks.scaling.scene import Plan
from benchmarks.scaling.tables import table
from tests.scenarios.stack import MODES
from tests.testbed.paths import PROJECT, ServiceMissingError

__all__ = ["Plan", "Result", "load", "main", "measure", "publish", "save", "section", "series", "table"]

DOCUMENT = PROJECT / "docs" / "scaling.md"
SECTION = "scale"
PROJECTION = "projection"
PICTURE = picture.FOLDER / "scale.svg"

say = functools.partial(print, file=sys.stderr, flush=True)


def main(arguments: list[str] | None = None) -> int:
    """Measure each size, write its JSON, print the tables of all results that are there."""
    options = _parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        for containers in options.containers:
            result = measure(_plan(options, containers), say)
            say(f"written: {save(result, options.results)}")
            print(table([result]), flush=True)
    except ServiceMissingError as error:
        raise SystemExit(str(error)) from error
    if options.write:
        publish(load(options.results))
    return 0


def publish(results: Sequence[Result]) -> None:
    """Picture and tables of what was measured, and what follows from it, into the documentation."""
    points = {name: [(x, y) for x, y in line if y > 0] for name, line in series(results).items()}
    if drawn := {name: line for name, line in points.items() if line}:
        title = "Processor time against the number of containers"
        picture.lines(PICTURE, title, "containers", "share of one core, %", drawn, log=True)
    report.write(SECTION, section(results), DOCUMENT)
    marks = report.section(PROJECTION, "", "").splitlines()
    report.write(PROJECTION, "\n".join([marks[0], projection(results), marks[-1]]), DOCUMENT)


def section(results: Sequence[Result]) -> str:
    """The tables with the machine that they were measured on, and the markers around them."""
    machines = "; ".join(dict.fromkeys(result.machine for result in results))
    loads = [result.load for result in results]
    words = (
        f"{machines}; load average before the runs {min(loads):.1f} to {max(loads):.1f}"
        if loads
        else "nothing yet"
    )
    shown = (
        f"![processor time against the number of containers](images/{PICTURE.name})\n\n"
        if PICTURE.exists()
        else ""
    )
    return report.section(SECTION, words, shown + table(results))


def _plan(options: argparse.Namespace, containers: int) -> Plan:
    return Plan(
        containers=containers,
        hosts=options.hosts or usual_hosts(containers),
        minutes=options.minutes,
        quiet_minutes=options.quiet_minutes,
        failing=options.failing_per_minute,
        mode=options.mode,
        interval=options.interval,
        seed=options.seed,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale", description=__doc__)
    add = parser.add_argument
    add(
        "--containers",
        type=_count,
        nargs="*",
        default=[],
        metavar="N",
        help="sizes to measure; none: only --write",
    )
    add("--hosts", type=_count, default=0, help=f"engines (one for each {PER_HOST} containers)")
    add("--minutes", type=_above, default=10.0, help="how long with faults (10)")
    add("--quiet-minutes", type=_above, default=2.0, help="how long without faults before (2)")
    add("--failing-per-minute", type=_share, default=0.01, metavar="SHARE", help="of all containers (0.01)")
    add("--mode", choices=MODES, default="production", help="how Selfheal runs (production)")
    add("--interval", type=_above, default=10.0, help="check_interval of every container, in seconds (10)")
    add("--seed", type=int, default=1, help="of the faults (1)")
    add(
        "--results",
        type=Path,
        default=FOLDER,
        metavar="FOLDER",
        help="where the JSON goes (benchmarks/results)",
    )
    add("--write", action="store_true", help=f"write the tables of all results into {DOCUMENT.name}")
    return parser


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a number from 1")
    return value


def _above(text: str) -> float:
    value = float(text)
    if not 0 < value < 1e6:
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return value


def _share(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not a share from 0 to 1")
    return value


if __name__ == "__main__":
    sys.exit(main())
