"""Parts of ours: two of each, none of some, and a disk that is full beneath their database."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from tests.faults import inject
from tests.faults.alarms import WITHIN, about_ourselves, wait_alarm, wait_armed
from tests.faults.hosts import Target
from tests.faults.judge import BACKLOG, BACKLOG_GONE, judged, record
from tests.faults.lengths import LONG, wait
from tests.faults.messages import sent
from tests.faults.world import World, running_world

STARTED_WITHIN = 20.0
WORKERS = ("worker-heal", "worker-checks", "worker-other")
PACED, MORE = 15.0, 1.3
"""Seconds over which the pace is taken, and by how much the busier it may be with two of every part."""
MEGABYTES = 256
"""The database's small disk: the cluster takes a third of it."""
OLD_CHECKS = 150
"""Checks of each kind that are sent while nobody takes them: of a whole host, and of one container as an event asks."""
EXPIRED = 15.0
"""Seconds after which none of them is worth anything any more."""
_SEND_CHECKS = """
import json, sys
from healing import tasks
host, container, number = json.loads(sys.stdin.read())
check = tasks.check_containers
for _ in range(number):
    tasks.send(check, host, 0, queue="checks", expires=tasks.CHECK_EXPIRES)
    tasks.send(check, host, queue="heal", expires=tasks.HINT_EXPIRES, container_ids=[container], by_event=True)
"""

pytestmark = pytest.mark.timeout(600)


@pytest.mark.timeout(400)
def test_f14_two_of_every_part(world: World) -> None:
    """Two beats, sweepers, dispatchers and watchers do nothing twice, and one of each killed costs nothing (guard: everything periodic claims its slot, everything else a lease)."""
    world.begin("F14")
    parts = [part for part in world.installation.parts if part != "web"]
    targets = [world.web(f"web{number}") for number in range(4)]
    alone = _pace(world)
    with inject.one_more_of(world.installation, *parts):
        world.sleep(STARTED_WITHIN)
        doubled = _pace(world)
        record(world, **{f"no more {what}": doubled[what] <= MORE * alone[what] for what in alone})
        for target in targets[:2]:
            target.break_health()
        targets[2].crash()
        world.sleep(15)
        assert judged(world, "I1", "I2", "I3", "I4", "I5", "I6", "I7", "I8")
        with inject.parts_gone(world.installation, *parts):
            targets[3].break_health()
            world.sleep(15)
            assert judged(world, "I1", "I2", "I3", "I4", "I6", "I7", "I8")
    assert all(doubled[what] <= MORE * alone[what] for what in alone), f"{doubled}, not {alone}"


def _pace(world: World) -> dict[str, float]:
    """Lists that the engine was asked for, and messages that Redis was given, while nothing happened."""
    begun, before = time.time(), sent(world.redis.url)
    world.sleep(PACED)
    return {
        "lists": len(world.host.asked(r"^GET \S*/containers/json", begun)),
        "messages": sent(world.redis.url) - before,
    }


def test_f15_beat_dies_while_the_database_bounces(world: World) -> None:
    """Within 30 s an alert says that nothing ticks, past broker and beat; it ends when beat is back (guard: the dead-man's switch in the sweeper)."""
    world.begin("F15")
    target = world.web()
    wait_armed(world)
    begun = time.time()
    with inject.parts_gone(world.installation, "beat"):
        with inject.postgres_down(world.postgres):
            world.moment(5)
        target.break_health()
        alarmed = wait_alarm(world, begun, "beat")
        world.sleep(5)
    ended = time.time()
    wait(lambda: about_ourselves(world, ended, "resolved"), 60, world.log)
    record(world, **{"alert in 30 s": alarmed <= WITHIN})
    judged(world, "I1", "I2", "I3", "I4", "I5", "I6", "I8", ended=ended)
    assert alarmed <= WITHIN, f"the alert came after {alarmed:.1f} s"


@pytest.mark.timeout(1200)
def test_f20_workers_are_away(world: World) -> None:
    """On their return no old check is worked off, no limit is passed, and what broke meanwhile is healed (guard: messages expire, claims are made in the database)."""
    world.begin("F20")
    targets = [world.web(f"web{number}", max_restarts=2) for number in range(10)]
    wait_armed(world)
    healthy, begun = world.bystanders[0], time.time()
    with inject.parts_gone(world.installation, *WORKERS):
        for target in targets:
            world.moment(4)
            target.break_health()
        _send_checks(world, healthy)
        world.sleep(max(EXPIRED, (600 if LONG else 120) - (time.time() - begun)))
        assert world.backlog() >= 2 * OLD_CHECKS > BACKLOG, f"only {world.backlog()} messages wait"
        told = [one.at - begun for one in about_ourselves(world, begun) if _is_of_workers(one.key)]
        back = time.time()
    wait(lambda: world.backlog() <= BACKLOG, BACKLOG_GONE, world.log)
    run = world.host.asked(rf"^GET \S*/containers/{healthy.id}/json", back)
    in_time, none_run = bool(told) and told[0] <= WITHIN, len(run) < OLD_CHECKS / 10
    record(world, **{"an alert in 30 s": in_time, "no old check runs": none_run})
    judged(world, "I1", "I2", "I3", "I4", "I5", "I6", "I7", "I8", longer=60)
    assert in_time, f"told that no worker works after {told} s\n{world.log()}"
    assert none_run, f"{len(run)} looks at a healthy container: old checks were worked off"


def _send_checks(world: World, target: Target) -> None:
    """Real ones, as the product sends them: OLD_CHECKS of the target's host, and as many of the target."""
    query = "SELECT id, host_id FROM healing_container WHERE name = ?"
    row = world.stack.rows(query, target.name)[0]
    given = json.dumps([row["host_id"], row["id"], OLD_CHECKS])
    world.installation.manage("shell", "--verbosity", "0", "-c", _SEND_CHECKS, given=given)


def _is_of_workers(key: str) -> bool:
    return key.startswith("self:queue:") or key == "self:tick"


@pytest.fixture
def small() -> Iterator[tuple[World, Path]]:
    """A world whose database is on a disk of a few megabytes, and that disk."""
    with inject.small_disk(MEGABYTES) as disk, running_world() as world:
        _move_database(world, disk)
        world.wait_ready()
        yield world, disk


def _move_database(world: World, disk: Path) -> None:
    server = world.postgres
    server.stop()
    subprocess.run(["cp", "-a", str(server.folder / "data"), str(disk / "data")], check=True)
    (disk / "postgres.log").symlink_to(server.folder / "postgres.log")
    server.folder = disk
    server.start()


@pytest.mark.parametrize("stops", [False, True], ids=["it answers", "it stops itself"])
def test_f22_the_disk_of_the_database_is_full(small: tuple[World, Path], stops: bool) -> None:
    """Nothing is restarted that cannot be recorded, nothing healthy is touched, it is told, and all goes on when there is room (guard: intent before action; alerts about ourselves do not need the database, nor that it is silent)."""
    world, disk = small
    world.begin("F22 disk full")
    target = world.web()
    server = world.postgres
    wait_armed(world)
    with closing(psycopg2.connect(server.url)) as session, inject.disk_filled(disk):
        full = time.time()
        if stops:
            _exhaust_log(session)
        target.break_health()
        alarmed = wait_alarm(world, full, "database")
        world.sleep(5)
    if server.child is not None and not server.child.running():
        server.start()
    record(world, **{"an alert": alarmed <= WITHIN})
    judged(world, "I1", "I2", "I3", "I4", "I6", "I8")
    assert alarmed <= WITHIN, f"the alert came after {alarmed:.1f} s"


def _exhaust_log(session: Any) -> None:
    """Have the database go to the next file of its log until it cannot make one, which ends it."""
    session.autocommit = True
    with suppress(psycopg2.Error), session.cursor() as cursor:
        for _ in range(20):
            cursor.execute("SELECT pg_logical_emit_message(false, 'full', 'a record'), pg_switch_wal()")
