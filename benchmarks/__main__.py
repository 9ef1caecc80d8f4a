"""`python -m benchmarks latency|trace|storm|hopeless|idle|probes|alerts|backlog|scale|all`: measures, and prints tables in Markdown.

All but the last four measure on a private engine; `alerts` on none, the others on a simulated fleet. `python -m benchmarks.scale` has more options.
"""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence

from benchmarks import picture, report, results, scale
from benchmarks.catalogue import BENCHMARKS
from benchmarks.fault import KINDS
from benchmarks.healers import Peer, read_peer
from benchmarks.setting import setting
from tests.scenarios.stack import MODES
from tests.testbed.paths import ServiceMissingError

SCALE = "scale"
EVERYTHING = (*BENCHMARKS, SCALE)


def main(arguments: list[str] | None = None) -> int:
    """Run one benchmark, or all."""
    options = _parser().parse_args(arguments)
    options.peer = _peers(options.peer)
    chosen = EVERYTHING if options.benchmark == "all" else (options.benchmark,)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    on_engine = [name for name in chosen if name != SCALE]
    if options.again:
        for name in on_engine:
            if options.benchmark != "all" or results.path(name).exists():
                _publish(name)
    elif on_engine:
        _measure(on_engine, options)
    if SCALE in chosen:
        _scale(options)
    return 0


def _measure(chosen: Sequence[str], options: argparse.Namespace) -> None:
    """One after the other on one engine; each result is written as soon as it is there."""
    try:
        with setting() as (engine, machine):
            for name in chosen:
                rows = BENCHMARKS[name].measure(engine, options)
                print(report.section(name, machine, BENCHMARKS[name].table(rows)), flush=True)
                if options.write:
                    results.save(name, machine, rows)
                    _publish(name)
    except ServiceMissingError as error:
        raise SystemExit(str(error)) from error


def _publish(name: str) -> None:
    """Table and pictures of the newest result go into the documentation."""
    benchmark = BENCHMARKS[name]
    machine, rows = results.load(name, benchmark.row)
    drawn = benchmark.draw(rows, picture.FOLDER)
    links = [f"![{text}](images/{path.name})" for path, text in drawn.items()]
    report.write(name, report.section(name, machine, "\n\n".join([benchmark.table(rows), *links])))


def _scale(options: argparse.Namespace) -> None:
    """Every size in turn; its results are always kept, and `--write` or `--again` makes table and picture."""
    arguments = [] if options.again else ["--containers", *map(str, options.size or (100, 1_000, 10_000))]
    publish = options.write or options.again
    scale.main([*arguments, "--minutes", str(options.minutes), *(["--write"] if publish else [])])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    add = parser.add_argument
    add("benchmark", choices=[*EVERYTHING, "all"])
    _number(parser, "--faults", 10, "latency, trace: faults of each kind for each healer (10)")
    add("--kind", choices=list(KINDS), action="append", help="latency, trace: only this kind of fault")
    add("--mode", choices=MODES, action="append", help="only this mode of Selfheal")
    _add_storm(parser)
    _number(parser, "--containers", 100, "idle: how many containers (100)")
    _number(parser, "--probes", 2_000, "probes: how many (2000)")
    _number(parser, "--seconds", 60, "hopeless, idle, probes: how long to look (60)")
    _numbers(parser, "--size", "CONTAINERS", "scale: may be given several times (100, 1000, 10000)")
    add("--minutes", type=float, default=10.0, help="scale: how long with faults (10)")
    peer = "a script that heals, to be measured beside Selfheal; may be given several times"
    add("--peer", action="append", default=[], metavar="[NAME: ][VARIABLE=VALUE …] PROGRAM …", help=peer)
    add("--write", action="store_true", help="keep the results, and put tables and pictures into docs")
    again = "measure nothing: tables and pictures of the results that were kept"
    add("--again", action="store_true", help=again)
    return parser


def _add_storm(parser: argparse.ArgumentParser) -> None:
    _number(parser, "--sick", 40, "storm, hopeless: how many containers (40)")
    interval = "storm: of the HEALTHCHECK, may be given several times (2 and 30)"
    parser.add_argument("--interval", type=float, action="append", metavar="SECONDS", help=interval)
    _number(parser, "--repeat", 1, "storm: how many of each, there and back again (1)")
    pool = "storm: of the floor, may be given several times; the best is the engine's limit (8, 4, 16)"
    _numbers(parser, "--pool", "THREADS", pool)


def _number(parser: argparse.ArgumentParser, name: str, default: int, text: str) -> None:
    parser.add_argument(name, type=_positive, default=default, help=text)


def _numbers(parser: argparse.ArgumentParser, name: str, unit: str, text: str) -> None:
    parser.add_argument(name, type=_positive, action="append", metavar=unit, help=text)


def _peers(texts: Sequence[str]) -> list[Peer]:
    peers = [read_peer(text) for text in texts]
    names = [peer.name for peer in peers]
    if twice := {name for name in names if names.count(name) > 1}:
        raise SystemExit(
            f"--peer: {', '.join(sorted(twice))} is there twice; give each a name, as in 'NAME: PROGRAM'"
        )
    return peers


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a number from 1")
    return value


if __name__ == "__main__":
    sys.exit(main())
