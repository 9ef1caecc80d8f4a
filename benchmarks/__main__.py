"""`python -m benchmarks latency|trace|idle|all`: measures on a private engine and prints tables in Markdown."""

from __future__ import annotations

import argparse
import functools
import signal
import sys
from collections.abc import Callable

from benchmarks import idle, latency, report, trace
from benchmarks.fault import KINDS
from benchmarks.healers import FLOOR, peer_command
from benchmarks.setting import setting
from tests.scenarios.stack import MODES
from tests.testbed.engine import Engine
from tests.testbed.paths import ServiceMissingError

say = functools.partial(print, file=sys.stderr, flush=True)


def main(arguments: list[str] | None = None) -> int:
    """Run one benchmark, or all."""
    options = _parser().parse_args(arguments)
    if options.peer:
        peer_command(options.peer)
    chosen = (
        _BENCHMARKS if options.benchmark == "all" else {options.benchmark: _BENCHMARKS[options.benchmark]}
    )
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        with setting() as (engine, machine):
            for name, benchmark in chosen.items():
                text = report.section(name, machine, benchmark(engine, options))
                print(text, flush=True)
                if options.write:
                    report.write(name, text)
    except ServiceMissingError as error:
        raise SystemExit(str(error)) from error
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("benchmark", choices=[*_BENCHMARKS, "all"])
    parser.add_argument(
        "--faults", type=_positive, default=10, help="faults of each kind for each healer (10)"
    )
    parser.add_argument("--kind", choices=list(KINDS), action="append", help="only this kind of fault")
    parser.add_argument("--mode", choices=MODES, action="append", help="only this mode of Selfheal")
    parser.add_argument("--containers", type=_positive, default=100, help="idle: how many containers (100)")
    parser.add_argument("--seconds", type=_positive, default=60, help="idle: how long to look (60)")
    parser.add_argument(
        "--peer", default="", metavar="PATH", help="a script that heals, to be measured beside Selfheal"
    )
    parser.add_argument(
        "--write", action="store_true", help=f"write the tables into {report.DOCUMENT.name} too"
    )
    return parser


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a number from 1")
    return value


def _latency(engine: Engine, options: argparse.Namespace) -> str:
    plan = latency.Plan(
        faults=options.faults,
        healers=(FLOOR, *(options.mode or MODES)),
        kinds=tuple(options.kind or KINDS),
        peer=options.peer,
    )
    return latency.table(latency.rows(latency.measure(engine.host, plan, say)))


def _trace(engine: Engine, options: argparse.Namespace) -> str:
    parts = []
    for kind in options.kind or KINDS:
        for mode in options.mode or MODES:
            traces = trace.measure(engine.host, mode, kind, min(options.faults, 5), say)
            parts.append(f"{mode}, {kind} (medians of {len(traces)}):\n\n{trace.table(traces)}")
    return "\n\n".join(parts)


def _idle(engine: Engine, options: argparse.Namespace) -> str:
    assert engine.child is not None
    costs = idle.measure(
        engine.host, engine.child.pid, options.containers, options.seconds, options.peer, say
    )
    return idle.table(costs)


_BENCHMARKS: dict[str, Callable[[Engine, argparse.Namespace], str]] = {
    "latency": _latency,
    "trace": _trace,
    "idle": _idle,
}

if __name__ == "__main__":
    sys.exit(main())
