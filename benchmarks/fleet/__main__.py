"""`python -m benchmarks.fleet --engines 20 --containers 500 --dir FOLDER`: a fleet until it is told to end."""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
from pathlib import Path

from benchmarks.fleet.control import SOCKET, open_control
from benchmarks.fleet.fleet import Fleet, opened
from benchmarks.fleet.random_faults import KINDS
from benchmarks.fleet.settings import FleetSettings, Pace


def main(arguments: list[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT, then print what was asked and healed as JSON."""
    options = _parser().parse_args(arguments)
    asyncio.run(_serve(options))
    return 0


async def _serve(options: argparse.Namespace) -> None:
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    fleet = await opened(_settings(options))
    control = await open_control(fleet, options.dir / SOCKET)
    if options.fault_rate:
        kinds = options.fault or KINDS
        fleet.start_random_faults(options.fault_rate, kinds, options.hopeless, options.seed)
    count = options.engines * options.containers
    print(f"ready: {options.engines} engines, {count} containers in {options.dir}", flush=True)
    await ended.wait()
    control.close()
    print(json.dumps(_summary(fleet), indent=1), flush=True)
    if options.dump:
        fleet.dump(options.dump)
    await fleet.close()
    (options.dir / SOCKET).unlink(missing_ok=True)


def _settings(options: argparse.Namespace) -> FleetSettings:
    return FleetSettings(
        folder=options.dir,
        engines=options.engines,
        containers=options.containers,
        labels=dict(options.label or ()),
        health_interval=options.health_interval,
        health_retries=options.health_retries,
        address=options.address,
        pace=Pace(options.restart_seconds, options.starts_per_second, options.exec_seconds),
        seed=options.seed,
    )


def _summary(fleet: Fleet) -> dict[str, object]:
    return {"requests": fleet.requests(), "heals": fleet.heal_report()}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fleet", description=__doc__)
    add, pace = parser.add_argument, Pace()
    add("--engines", type=_count, default=1, help="how many endpoints (1)")
    add("--containers", type=_count, default=100, help="how many containers on each (100)")
    add("--dir", type=Path, required=True, help="where the sockets go: engine-01.sock …, control.sock")
    add("--label", type=_label, action="append", metavar="NAME=VALUE", help="on every container")
    add("--address", default="", help="the IP address that every container shows")
    add("--health-interval", type=_seconds, default=30.0, help="of every HEALTHCHECK (30 s)")
    add("--health-retries", type=_count, default=3, help="of every HEALTHCHECK (3)")
    add("--restart-seconds", type=_seconds, default=pace.restart_seconds, help="one restart (0.3 s)")
    add("--starts-per-second", type=_seconds, default=pace.starts_per_second, help="of one engine (3)")
    add(
        "--exec-seconds",
        type=_seconds,
        default=pace.exec_seconds,
        help="the least that an exec takes (0.05 s)",
    )
    add("--fault-rate", type=float, default=0.0, help="share of all containers that fails each minute (0)")
    add("--fault", choices=KINDS, action="append", help="only faults of this kind")
    add("--hopeless", type=float, default=0.0, help="share of the faults that a restart does not cure (0)")
    add("--seed", type=int, default=0, help="of ids and faults (0)")
    add("--dump", default="", metavar="FOLDER", help="write requests.jsonl and heals.jsonl at the end")
    return parser


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a number from 1")
    return value


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 < value < 1e6:
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return value


def _label(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise argparse.ArgumentTypeError(f"{text} is not NAME=VALUE")
    return name, value


if __name__ == "__main__":
    sys.exit(main())
