"""The invariants, judged from outside: by engines, proxies, the receiver of alerts, and PostgreSQL's own triggers.

I1 no heal is lost. I2 at most one engine call an attempt. I3 never over budget or concurrency. I4 every failure ends in time.
I5 each alert comes, and repeats carry its id. I6 healthy containers are never touched. I7 no stale check runs. I8 a stale fence
never writes.
"""

from __future__ import annotations

import itertools
import json
import os
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path

from tests.faults import audit, told
from tests.faults.hosts import CHECK_EVERY, Host, Target
from tests.faults.limits import CLOCKS, Later, most_at_once, too_many_at_once
from tests.faults.told import ENDS_WITHIN
from tests.faults.world import World, seed
from tests.testbed.wait import NotInTimeError, until

RECORD = "FAULT_RECORD"
"""The file that verdicts are appended to, a JSON object a line; nothing is written where the variable is not set."""
BACKLOG_GONE = 60.0
BACKLOG = 20
"""Messages that are no backlog: what a busy second brings."""
CEILING = 64
HEALED_ONCE = {"F4", "F5", "F6", "F7", "F8", "F10", "F14", "F15", "F20", "F21", "F22"}
"""Faults whose containers break once each and need one restart, whatever happens to us meanwhile."""

ALWAYS = ("I1", "I2", "I3", "I4", "I5", "I6", "I8")


def judged(world: World, *invariants: str, ended: float | None = None, longer: float = 0.0) -> dict[str, str]:
    """Wait for the end, judge, write the verdict down, and fail where an invariant does not hold.

    `ended` is when the fault was over (now); `longer` is what back-off and verification may take beyond I4's bound.
    Without `invariants` all but I7 are judged.
    """
    verdict = _verdict(world, invariants or ALWAYS, ended or time.time(), longer)
    write_down(world.fault, verdict)
    broken = {name: why for name, why in verdict.items() if why}
    assert not broken, f"{world.fault}, FAULT_SEED={seed()}: {broken}\n{state(world)}\n{world.log()}"
    return verdict


def verdict(
    world: World, *invariants: str, ended: float | None = None, longer: float = 0.0
) -> dict[str, str]:
    """As `judged`, without writing or failing: for each invariant what is wrong, or an empty text."""
    return _verdict(world, invariants or ALWAYS, ended or time.time(), longer)


def record(world: World, **results: bool) -> None:
    """Write down results that a test has judged by itself, such as what must hold beyond the invariants."""
    write_down(world.fault, {name: "" if held else "does not hold" for name, held in results.items()})


def _verdict(world: World, invariants: Iterable[str], ended: float, longer: float) -> dict[str, str]:
    waiting = _wait_for_backlog(world) if "I7" in invariants else ""
    late = _wait_for_end(world, ended + ENDS_WITHIN + longer)
    found = {}
    for name in invariants:
        found[name] = late if name == "I4" else _JUDGES[name](world)
    if waiting:
        found["I7"] = waiting
    if world.fault.partition(" ")[0] in HEALED_ONCE:
        found["healed once"] = _healed_once(world)
    return found


def _wait_for_backlog(world: World) -> str:
    """Until what has gathered in the broker is worked off; how much is left where it was not in time, or empty."""
    try:
        until(lambda: world.backlog() <= BACKLOG, BACKLOG_GONE, "the backlog is gone", interval=0.5)
    except NotInTimeError:
        return f"{world.backlog()} messages still wait"
    return ""


def _wait_for_end(world: World, latest: float) -> str:
    """Until nothing is broken and no record open; why it did not come to that in time, or empty."""
    try:
        until(
            lambda: not _not_ended(world) and not world.open_failures(),
            max(1.0, latest - time.time()),
            "every failure ends",
            interval=0.5,
        )
    except NotInTimeError:
        records = [
            f"{row['container_name']} {row['stage']}: {row['reason']}" for row in world.open_failures()
        ]
        return f"not ended in time: {[t.name for t in _not_ended(world)]}; open: {records}"
    return ""


def _not_ended(world: World) -> list[Target]:
    """Broken, not cured, and nobody was told that it is given up or gone."""
    broken = [target for target in world.targets if target.broken_at]
    return [target for target in broken if not target.is_cured() and not _given_up(world, target)]


def _given_up(world: World, target: Target) -> bool:
    if not target.is_there():
        return True
    messages = world.sink.about(target.name, target.broken_at)
    return any(message.level == "critical" for message in messages)


def _no_heal_lost(world: World) -> str:
    lost = [target.name for target in _not_ended(world)]
    return f"neither cured nor given up with an alert: {lost}" if lost else ""


def _one_call_an_attempt(world: World) -> str:
    """Each call belongs to the attempt that was on record as called when it came, and to none that had one already."""
    for target in world.targets:
        calls = sorted(asked.at for asked in target.calls(world.begun))
        attempts = world.stack.attempts(target.name)
        begun = sorted(row["called_at"].timestamp() for row in attempts if row["called_at"] is not None)
        edges = [*begun, float("inf")]
        if any(at < edges[0] - CLOCKS for at in calls):
            return f"{target.name}: a call at {calls[0]:.3f} without an attempt on record ({begun})"
        for low, high in itertools.pairwise(edges):
            number = sum(low - CLOCKS <= at < high - CLOCKS for at in calls)
            if number > 1:
                return f"{target.name}: {number} calls for one attempt (calls {calls}, attempts {begun})"
    return ""


def _within_limits(world: World) -> str:
    for target in world.targets:
        calls = sorted(asked.at for asked in target.calls(world.begun))
        for first, over in zip(calls, calls[target.max_restarts :], strict=False):
            if over - first < target.restart_window:
                return f"{target.name}: more than {target.max_restarts} calls in {over - first:.0f} s"
    for host in world.hosts:
        calls = host.calls(world.begun)
        if wrong := too_many_at_once(calls, _later_attempts(world, host), _cured_at(world, host)):
            return f"{host.name}: {wrong}"
    total = sum(most_at_once(host.calls(world.begun)) for host in world.hosts)
    return f"{total} calls at once" if total > CEILING else ""


def _later_attempts(world: World, host: Host) -> list[Later]:
    return _attempts(world, host, "called_at", "a.row_number > 1")


def _cured_at(world: World, host: Host) -> list[float]:
    """When heals of first attempts were verified, whosever: an engine that died takes all its containers along."""
    verified = _attempts(world, host, "ended_at", "a.state = 'succeeded' AND a.row_number <= 1")
    return [at for _, at in verified]


def _attempts(world: World, host: Host, time_of: str, which: str) -> list[tuple[str, float]]:
    """The engine's id of the container, and the time in that column, of a host's attempts that have one, in its order."""
    rows = world.stack.rows(
        f"SELECT a.guard_engine_id AS id, extract(epoch FROM a.{time_of}) AS at FROM healing_attempt a"
        " JOIN healing_container c ON c.id = a.container_id JOIN healing_host h ON h.id = c.host_id"
        f" WHERE h.name = ? AND a.{time_of} IS NOT NULL AND {which} ORDER BY a.{time_of}",
        host.name,
    )
    return [(str(row["id"]), float(row["at"])) for row in rows]


def _healthy_untouched(world: World) -> str:
    """The bystanders have been left alone since they were made, by the engine's word and by what it was asked."""
    for target in world.bystanders:
        state = target.state()
        deeds = [deed for deed in target.deeds("die", "kill", "stop", "restart") if deed.at >= world.begun]
        calls = target.calls()
        if calls or deeds or not state["Running"]:
            return f"{target.name}: {deeds}, {[asked.line for asked in calls]}, {state['Status']}"
    return ""


def _no_stale_check(world: World) -> str:
    """Hosts are listed as often as they should be and not as often as was missed."""
    for host in world.hosts:
        for who, lists in _lists(world, host).items():
            for first, over in zip(lists, lists[4:], strict=False):
                if over - first < CHECK_EVERY / 2:
                    return f"{host.name}: {who} listed 5 times within {over - first:.2f} s"
    return ""


def _lists(world: World, host: Host) -> dict[str, list[float]]:
    """Those of checks, whoever makes them, and those of each watcher: as it connects it looks for itself."""
    found: dict[str, list[float]] = defaultdict(list)
    for asked in host.asked(r"^GET \S*/containers/json", world.begun):
        part = world.installation.part_of(asked.by)
        found[f"{part} {asked.by}" if part.startswith("watch") else "checks"].append(asked.at)
    return found


def _no_stale_write(world: World) -> str:
    found = audit.stale_writes(world.database, world.begun)
    if any(target.calls(world.begun) for target in world.targets) and not audit.claims(
        world.database, world.begun
    ):
        return "the triggers have seen no claim, though there were calls"
    return f"written under a fence that was over: {found}" if found else ""


_JUDGES: dict[str, Callable[[World], str]] = {
    "I1": _no_heal_lost,
    "I2": _one_call_an_attempt,
    "I3": _within_limits,
    "I5": told.alerts_come,
    "I6": _healthy_untouched,
    "I7": _no_stale_check,
    "I8": _no_stale_write,
}


def _healed_once(world: World) -> str:
    """Where what breaks is not in the middle of the call, what was broken once is restarted once."""
    calls = {target.name: len(target.calls(world.begun)) for target in world.targets if target.broken_at}
    twice = {name: number for name, number in calls.items() if number > 1}
    return f"restarted more than once: {twice}" if twice else ""


def write_down(fault: str, verdict: dict[str, str]) -> None:
    """Add what was judged of a fault to the verdicts: for each name what is wrong, or an empty text."""
    path = os.environ.get(RECORD, "")
    if not path:
        return
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a") as file:
        for name, why in verdict.items():
            line = {"fault": fault, "seed": seed(), "invariant": name, "held": not why, "why": why}
            file.write(json.dumps(line) + "\n")


def state(world: World) -> str:
    """What is known of the fault's targets, for people."""
    lines = []
    for target in world.targets:
        calls = [f"{asked.at:.3f} {asked.line.split('?')[0][-40:]}" for asked in target.calls(world.begun)]
        attempts = [
            (row["number"], row["state"], str(row["called_at"]), row["answer"], row["outcome"])
            for row in world.stack.attempts(target.name)
        ]
        alerts = [f"{m.level} {m.kind} {m.title}" for m in world.sink.about(target.name, world.begun)]
        found = {k: str(v) for k, v in world.stack.found(target.name).items() if k != "details"}
        lines.append(
            f"{target.name} broken {target.broken_at:.3f}\n  calls {calls}\n  attempts {attempts}\n"
            f"  alerts {alerts}\n  record {found}"
        )
    return "\n".join(lines)
