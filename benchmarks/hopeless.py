"""A storm that restarting does not cure: how many restarts it costs, and how the host's window closes."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass

from benchmarks import picture
from benchmarks.healers import Healer, Peer, Selfheal
from benchmarks.record import Record, recording
from benchmarks.shared_fault import SharedFault
from benchmarks.storm import Entrant, floor, others, ready, wait_sick
from tests.scenarios.stack import MODES

Say = Callable[[str], None]
_PAUSE = 0.25
"""Seconds between two looks at the window."""


@dataclass(frozen=True, slots=True)
class Hopeless:
    """`restarts`: when the engine started one of the containers, in seconds after the first turned unhealthy.

    `most`: restarts of the one that had most. `window`: (second, size) of the host's window of heals, each time it
    changed; empty for who has none.
    """

    healer: str
    containers: int
    seconds: float
    restarts: Sequence[float]
    most: int
    window: Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Plan:
    """What to measure: everybody's first `seconds` in such a storm."""

    containers: int = 40
    interval: float = 2.0
    seconds: float = 60.0
    modes: Sequence[str] = MODES
    threads: int = 8
    peers: Sequence[Peer] = ()


def measure(host: str, plan: Plan, say: Say = print) -> list[Hopeless]:
    """Run the plan on the engine at `host`."""
    found = []
    say(f"starting {plan.containers} containers, HEALTHCHECK every {plan.interval:g} s")
    with closing(SharedFault(host, plan.containers, plan.interval)) as field:
        for entrant in (floor(plan.threads), *others(plan.modes, plan.peers)):
            found.append(_storm(field, entrant, plan.seconds))
            say(f"hopeless  {entrant.name:<20} {len(found[-1].restarts)} restarts in {plan.seconds:g} s")
    return found


def _storm(field: SharedFault, entrant: Entrant, seconds: float) -> Hopeless:
    with ready(field, entrant) as running, recording(field.containers, field.ids) as record:
        field.break_hopelessly()
        wait_sick(field, record)
        window = _watch_window(running, record, seconds)
        restarts = [round(at, 3) for at in record.starts() if at <= seconds]
        return Hopeless(entrant.name, len(field.ids), seconds, restarts, record.most_starts(), window)


def _watch_window(running: Healer, record: Record, seconds: float) -> list[tuple[float, float]]:
    """Look on until the time is over; the window's sizes."""
    sizes: list[tuple[float, float]] = []
    while (passed := time.time() - (record.first_sick or 0.0)) < seconds:
        if isinstance(running, Selfheal):
            size = running.window()
            if not sizes or sizes[-1][1] != size:
                sizes.append((round(passed, 1), size))
        time.sleep(_PAUSE)
    return sizes


def table(found: Sequence[Hopeless]) -> str:
    """The result in Markdown."""
    lines = [
        "| healer | containers | over | restarts | restarts of the one that had most | the host's window of heals |",
        "|---|--:|--:|--:|--:|---|",
    ]
    for one in found:
        lines.append(
            f"| {one.healer} | {one.containers} | {one.seconds:g} s | {len(one.restarts)} | {one.most} | {_window(one)} |"
        )
    return "\n".join(lines)


def _window(one: Hopeless) -> str:
    if not one.window:
        return "none"
    return ", ".join(f"{size:g} at {at:.0f} s" for at, size in one.window)


def progress(found: Sequence[Hopeless]) -> dict[str, list[tuple[float, float]]]:
    """For a picture: restarts of each healer over time."""
    return {
        one.healer: [*picture.steps(one.restarts), (one.seconds, float(len(one.restarts)))] for one in found
    }
