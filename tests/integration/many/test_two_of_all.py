"""Two beats, two dispatchers, two sweepers and two watchers at once, and one of each killed."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from contextlib import closing

import docker
import pytest

from tests.integration.many.parts import Fleet, Parts, fleet_of, parts_over
from tests.testbed.services import redis_server
from tests.testbed.wait import until

INTERVAL = 2.0
ENGINES, CONTAINERS = 3, 10
LATEST = 15.0
HEALED = "healing_failurerecord WHERE is_found AND action_result = 'success'"


@pytest.fixture(scope="module")
def fleet() -> Iterator[Fleet]:
    with fleet_of(ENGINES, CONTAINERS, INTERVAL) as fleet:
        yield fleet


@pytest.fixture(scope="module")
def parts(fleet: Fleet) -> Iterator[Parts]:
    with redis_server() as broker, parts_over(broker.url) as parts:
        parts.prepare([(name, fleet.address(name), "") for name in fleet.names])
        for number in (1, 2):
            parts.worker(f"heal-{number}", "heal")
            parts.worker(f"checks-{number}", "checks")
            parts.worker(f"other-{number}", "alerts,default")
            parts.watch(f"watch-{number}")
            parts.beat(f"beat-{number}")
        healthy = "healing_healthstatus WHERE status = 'healthy'"
        parts.wait(healthy, ENGINES * CONTAINERS, 90, "all containers are known as healthy")
        until(lambda: _streams(parts) == 2 * ENGINES, 30, "both watchers have connected, and listed")
        yield parts


def _streams(parts: Parts) -> int:
    logs = [(parts.home / f"watch-{number}.log").read_text() for number in (1, 2)]
    return sum(log.count("action=watch_connected") for log in logs)


def _ticks(parts: Parts) -> int:
    return int(
        parts.rows(
            "SELECT total_run_count FROM django_celery_beat_periodictask WHERE name = 'selfheal: tick'"
        )[0][0]
    )


def _heal(parts: Parts, fleet: Fleet, engine: str) -> None:
    """Break one container of an engine; it is restarted once, and recorded once."""
    before, name = parts.count(HEALED), fleet.container(engine)
    asked = len(fleet.asked(engine, "POST", "/restart"))
    fleet.do("unhealthy", engine=engine, container=name)
    parts.wait(HEALED, before + 1, 60, f"{name} is healed")
    assert len(fleet.asked(engine, "POST", "/restart")) == asked + 1
    assert parts.count("healing_failurerecord WHERE is_found") == before + 1
    assert parts.count("healing_attempt") == before + 1


def test_nothing_is_done_twice(parts: Parts, fleet: Fleet) -> None:
    """Two of everything cost the engines no more calls than one, and a fault one restart."""
    fleet.do("forget_requests")
    begun, ticks = time.time(), _ticks(parts)
    _heal(parts, fleet, fleet.names[0])
    until(lambda: time.time() - begun > 10, 20, "ten seconds have passed")
    ticked, passed = _ticks(parts) - ticks, time.time() - begun
    # One at either edge, and one that was late: two beats that both tick would make twice as many.
    assert passed / 3 <= ticked <= passed + 3
    for engine in fleet.names[1:]:
        calls = sum(at <= begun + passed for at in fleet.lists(engine))
        assert 1 <= calls <= passed / INTERVAL + 1.5, f"{engine}: {calls} lists in {passed:.1f} s"
    runs = parts.rows(
        "SELECT total_run_count FROM django_celery_beat_periodictask WHERE name = 'selfheal: prune history'"
    )
    assert runs[0][0] <= 1


def test_two_watchers_see_a_person_stop_a_container(parts: Parts, fleet: Fleet) -> None:
    """The marks of two watchers are those of one: stopped by hand, no failure, no restart."""
    engine, failures = fleet.names[2], parts.count("healing_failurerecord")
    name = fleet.container(engine, 5)
    with closing(docker.APIClient(base_url=fleet.address(engine), version="auto")) as client:
        client.stop(name, timeout=1)
        by_hand = f"healing_healthstatus h JOIN healing_container c ON c.id = h.container_id WHERE c.name = '{name}'"
        parts.wait(f"{by_hand} AND h.lifecycle = 'stopped_by_hand'", 1, 30, "the stop is known as a person's")
        checked = len(fleet.lists(engine))
        until(lambda: len(fleet.lists(engine)) >= checked + 2, 20, "checked again")
        assert client.inspect_container(name)["State"]["Status"] == "exited"
    assert parts.count("healing_failurerecord") == failures


def test_one_of_each_is_killed(parts: Parts, fleet: Fleet) -> None:
    """Whoever is left goes on: no check is late by more than 15 s, and a fault is found and healed once."""
    fleet.do("forget_requests")
    for part in ("beat", "other", "checks", "watch", "heal"):
        parts.children[f"{part}-1"].kill()
    killed = time.time()
    _heal(parts, fleet, fleet.names[1])
    until(lambda: time.time() - killed > INTERVAL + LATEST + 1, 30, "the longest that a check may be late")
    ended = time.time()
    for engine in fleet.names:
        calls = [killed, *(at for at in fleet.lists(engine) if killed < at < ended), ended]
        longest = max(later - earlier for earlier, later in itertools.pairwise(calls))
        assert longest <= INTERVAL + LATEST, f"{engine}: {longest:.1f} s without a check"
        assert calls[-2] > killed + 10, f"{engine} is still checked"
