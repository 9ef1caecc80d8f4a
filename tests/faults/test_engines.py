"""Engines that die and engines that hang, beside one that does not."""

from __future__ import annotations

import itertools
import json
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from tests.faults import inject
from tests.faults.held import HELD, is_held
from tests.faults.hosts import CHECK_EVERY, Target, new_target
from tests.faults.judge import judged, record, state
from tests.faults.lengths import wait
from tests.faults.orders import CRASH_POINTS
from tests.faults.world import World, running_world
from tests.testbed import faults

LATE = 2 * CHECK_EVERY
"""A look comes too late when the one before is longer ago than this: one interval late."""
ON_TIME = 0.99
ACTED_WITHIN = 10.0
KNOWN_WITHIN = 60.0
NEVER_LATER = 4 * CHECK_EVERY
"""Seconds between two looks: who asks an engine that hangs waits for 5 s, and behind it waits the next."""
SILENT_HOSTS = 40
SETTLED = 200.0
"""Seconds until a call without an answer has been verified, and the next one answered."""
MID_START, TRIES = 0.1, 5
"""Seconds from the request until the engine has begun and not ended; how often that moment is tried to be hit."""
_ADD_HOSTS = """
import json, sys
from healing.models import Host
for number, address in enumerate(json.loads(sys.stdin.read())):
    Host.objects.create(name=f"silent-{number}", address=address)
"""


BEFORE_THE_GUARD = CRASH_POINTS[4]
_INSPECTION = r"^GET \S*/containers/[0-9a-f]{12,}/json"

pytestmark = pytest.mark.timeout(600)


@pytest.fixture
def world() -> Iterator[World]:
    """Two engines; the second is the one that something happens to, so only the first one's bystanders are sacred."""
    with running_world(2) as world:
        world.stack.rows("UPDATE healing_host SET start_grace = 5")
        world.bystanders = [target for target in world.bystanders if target.host is world.host]
        yield world


def _state(world: World, host: int) -> str:
    name = world.hosts[host].name
    return str(world.stack.rows("SELECT state FROM healing_host WHERE name = ?", name)[0]["state"])


def _host_alerts(world: World, host: int) -> list[str]:
    """What was told of a host's own silence and return, as "level kind"."""
    told = [one for one in world.sink.since(world.begun) if one.fields.get("host") == world.hosts[host].name]
    about = [one for one in told if str(one.fields.get("alert_key", "")).startswith("host:")]
    return [f"{one.level} {one.kind}" for one in about]


def _acted_on(world: World, target: Target) -> float:
    """Break it; after how many seconds Selfheal called its engine."""
    target.break_health()
    wait(lambda: target.calls(target.broken_at), 60, world.log)
    return target.calls(target.broken_at)[0].at - target.broken_at


def test_f9_an_engine_is_killed(world: World) -> None:
    """Its containers are unknown, nothing is asked to be restarted, one alert tells of the host; then what died with it is healed (guard: unknown is not a failure)."""
    world.begin("F9")
    gone, other = world.web("gone", host=1), world.web("other")
    world.moment(2)
    gone.started_at = gone.state()["StartedAt"]
    with inject.engine_dead(world.hosts[1].engine):
        killed = time.time()
        wait(lambda: _state(world, 1) == "down", 15, world.log)
        delay = _acted_on(world, other)
        world.sleep(max(0.0, 20 - (time.time() - killed)))
        found = world.stack.status(gone.name)["status"], gone.calls(), world.stack.failures(gone.name)
        told = _host_alerts(world, 1)
        gone.broken_at = time.time()
    is_left, one_alert = found == ("unknown", [], []), told == ["error firing"]
    record(world, **{"unknown, no heal": is_left, "one alert for the host": one_alert})
    assert is_left, found
    assert one_alert, told
    wait(lambda: _state(world, 1) == "up", 60, world.log)
    judged(world, "I1", "I2", "I3", "I4", "I5", "I6", "I8", longer=20)
    assert delay < ACTED_WITHIN, f"the other engine's container was restarted after {delay:.1f} s"
    assert _host_alerts(world, 1) == ["error firing", "info resolved"]


@pytest.mark.timeout(1200)
def test_f9_an_engine_is_killed_in_mid_start(world: World) -> None:
    """A container whose start its engine then holds for ever is given up within its budget, and people are told that only a new one helps (guard: the budget; the engine's words)."""
    world.begin("F9")
    held = next((one for number in range(TRIES) if (one := _cut_short(world, number))), None)
    assert held, f"no start was held in {TRIES} tries\n{world.log()}"
    wait(lambda: world.stack.lifecycle(held.name) == "quarantined", 60, world.log)
    judged(world, "I1", "I2", "I3", "I4", "I5", "I6", "I8", longer=20)
    told = world.sink.about(held.name, held.broken_at)
    is_said = any(one.level == "critical" and HELD in str(one.fields) for one in told)
    record(world, **{"the cause is told": is_said})
    assert is_said, state(world)
    assert world.stack.found(held.name)["cause"] == HELD
    _make_anew(world, held)
    wait(lambda: world.stack.lifecycle(held.name) == "running", 40, world.log)
    assert held.is_cured()


def _cut_short(world: World, number: int) -> Target | None:
    """Kill the engine while it starts a container for Selfheal; the container, where it cannot be started any more."""
    target = world.web(f"held{number}", host=1, max_restarts=3, found_stopped="heal")
    target.crash()
    wait(lambda: target.calls(target.broken_at), 30, world.log)
    time.sleep(MID_START)
    with inject.engine_dead(world.hosts[1].engine):
        wait(lambda: _state(world, 1) == "down", 15, world.log)
    wait(lambda: target.is_cured() or is_held(world, target), SETTLED, world.log)
    return target if is_held(world, target) else None


def _make_anew(world: World, held: Target) -> None:
    """What the documentation says, done by a person."""
    held.host.made.client.remove_container(held.id, force=True)
    name = held.name.removeprefix(held.host.made.name(""))
    held.ids += new_target(held.host, name, faults.WEB, faults.HEALTH_FILE, max_restarts=3).ids


def test_f10_an_engine_hangs(world: World) -> None:
    """99% and more of the looks at the other engine are on time, and its containers are healed as ever; heals of the one that hangs do not ask it (guard: one known to be down is asked by its sweep and its watcher only)."""
    world.begin("F10")
    seconds = 120.0
    held = world.web("held", host=1)
    others = [world.web(f"other{number}") for number in range(3)]
    order = world.orders.at(BEFORE_THE_GUARD, "wait", seconds=2.0)
    world.moment(2)
    held.break_health()
    order.wait(40)
    with inject.engine_hung(world.hosts[1].engine):
        begun = time.time()
        wait(lambda: _state(world, 1) == "down", KNOWN_WITHIN, world.log)
        known, delays = time.time(), []
        for number, target in enumerate(others, 1):
            world.sleep(max(0.0, begun + seconds * number / 4 - time.time()))
            delays.append(_acted_on(world, target))
        world.sleep(max(0.0, begun + seconds - time.time()))
        assert _state(world, 1) == "down"
        assert held.calls() == []
        ended = time.time()
    asked = [one.line for one in world.hosts[1].asked(_INSPECTION, known + 1) if one.at < ended]
    on_time = _share_on_time(world, begun, ended)
    record(world, **{"the other host is on time": on_time >= ON_TIME, "no heal asks": not asked})
    judged(world, "I1", "I2", "I3", "I4", "I5", "I6", "I8", longer=20)
    assert on_time >= ON_TIME, f"{on_time:.1%} of the looks were on time"
    assert max(delays) < ACTED_WITHIN, delays
    assert not asked, f"heals have waited for an engine that was known to be down: {asked}"


def test_f10_many_engines_hang(world: World) -> None:
    """However many engines are known to hang, one that answers is looked at all along, and its containers are healed as ever (guard: few threads at once ask those that are down)."""
    world.begin("F10")
    target = world.web("beside")
    with _silent_hosts(world):
        wait(lambda: _down(world) == SILENT_HOSTS, KNOWN_WITHIN, world.log)
        world.sleep(5)
        begun = time.time()
        delay = _acted_on(world, target)
        world.sleep(max(0.0, begun + 40 - time.time()))
        longest = max(_gaps(world, begun, time.time()))
        record(world, **{"the other host goes on": longest <= NEVER_LATER})
        judged(world, "I1", "I2", "I3", "I4", "I6", "I8")
    assert longest <= NEVER_LATER, f"nobody looked for {longest:.1f} s"
    assert delay < ACTED_WITHIN, delay


@contextmanager
def _silent_hosts(world: World) -> Iterator[None]:
    """Further hosts, whose engines take connections and say nothing."""
    with ExitStack() as stack:
        paths = [world.hosts[0].engine.folder / f"silent-{number}.sock" for number in range(SILENT_HOSTS)]
        for path in paths:
            listener = stack.enter_context(socket.socket(socket.AF_UNIX))
            listener.bind(str(path))
            listener.listen(1024)
        given = json.dumps([f"unix://{path}" for path in paths])
        world.installation.manage("shell", "--verbosity", "0", "-c", _ADD_HOSTS, given=given)
        yield


def _down(world: World) -> int:
    rows = world.stack.rows(
        "SELECT count(*) AS n FROM healing_host WHERE name LIKE ? AND state = 'down'", "silent-%"
    )
    return int(rows[0]["n"])


def _share_on_time(world: World, begun: float, ended: float) -> float:
    """Of the looks at the first engine between these times."""
    gaps = _gaps(world, begun, ended)
    assert len(gaps) >= (ended - begun) / LATE, "there were looks at all"
    return sum(gap <= LATE for gap in gaps) / len(gaps)


def _gaps(world: World, begun: float, ended: float) -> list[float]:
    """The seconds between two looks at the first engine."""
    lists = [asked.at for asked in world.host.asked(r"^GET \S*/containers/json", begun) if asked.at < ended]
    return [later - earlier for earlier, later in itertools.pairwise([begun, *lists, ended])]
