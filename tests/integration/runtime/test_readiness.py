"""`/readyz`: which parts are wanted here, which of them live, and the canaries that tell of queues."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from healing import tasks
from healing.api import readiness
from healing.models import Heartbeat, Host
from healing.pipeline import liveness
from healing.store import hosts, refusals, signs
from tests.integration.loop.timeline import BEGIN
from tests.integration.runtime.signing import QUEUES, World


def test_hosts_with_queues_of_their_own_want_no_common_workers(
    world: World, client: Client, asked: Callable[[Callable[[], Any]], None]
) -> None:
    """All is well without those; and each sweeper near engines is a part, once it has given a sign."""
    assert signs.wanted_queues() == [*QUEUES]
    Host.objects.update(queue="rack-7")
    assert signs.wanted_queues() == ["alerts", "default", "heal.rack-7", "checks.rack-7"]
    world.run(3)
    now = timezone.now()
    hosts.beat_all(["canary:heal.rack-7", "canary:checks.rack-7", "sweep.rack-7.rack-8:there:1"], now)
    parts = liveness.parts(now)
    asked(lambda: (now, parts))
    assert answer(client)[0] == 200
    later = now + timedelta(seconds=30)
    assert "sweeper:rack-7" in [part.name for part in liveness.parts(later) if not part.is_alive(later)]
    assert "sweeper:rack-8" not in [part.name for part in parts]


def test_a_canary_is_sent_through_every_queue_and_seldom_where_none_comes_back(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of hosts too; where nobody takes them they must not pile up."""
    sent: list[str] = []
    monkeypatch.setattr(tasks, "send", lambda *_, queue, **__: sent.append(queue))
    Host.objects.create(name="near", engine_kind="fake", address="fake://near", queue="rack-7")
    tasks.send_canaries()
    assert sent == [*QUEUES, "heal.rack-7", "checks.rack-7"]
    monkeypatch.setattr(tasks.worker_signs, "serve", lambda _: None)
    for queue in ("heal", "checks"):
        tasks.canary(queue, (timezone.now() - timedelta(seconds=1)).isoformat())
    assert Heartbeat.objects.get(name="canary:heal").details["latency"] == 1.0
    sent.clear()
    for _ in range(120):
        world.traveller.shift(timedelta(seconds=30))
        hosts.beat("canary:heal", timezone.now())
        tasks.send_canaries()
    assert sent.count("heal") == 120
    assert sent.count("checks") < 16, "twice a minute for an hour to a queue that nobody takes from"
    assert sent.count("checks.rack-7") == 1, "it has never been served: once an hour"


def test_a_queue_that_is_served_again_soon_has_a_canary(world: World) -> None:
    """Those to a queue that nobody takes from wait for whoever comes; where that one was lost, its other work tells."""
    for queue in QUEUES:
        hosts.beat(f"canary:{queue}", timezone.now() - timedelta(hours=3))
    now = timezone.now()
    assert liveness.canaries(now) == dict.fromkeys(QUEUES, 2 * liveness.RARELY)
    later = now + timedelta(seconds=35)
    assert liveness.canaries(later) == {}
    hosts.beat("queue:heal", later)
    assert list(liveness.canaries(later)) == ["heal"]


def answer(client: Client) -> tuple[int, dict[str, Any]]:
    response = client.get("/readyz")
    return response.status_code, json.loads(response.content)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], Any]], None]:
    """Has the database be asked so."""

    def ask(question: Callable[[], Any]) -> None:
        monkeypatch.setattr(readiness, "_database", readiness._Question("asked", question))

    return ask


def test_readyz_tells_which_part_is_silent_and_what_to_do(
    world: World, client: Client, asked: Callable[[Callable[[], Any]], None]
) -> None:
    """200 where all live, 503 where one does not; each with the age of its sign."""
    world.run(3)
    now = timezone.now()
    parts = liveness.parts(now)
    asked(lambda: (now, parts))
    status, found = answer(client)
    assert (status, found["ok"]) == (200, True)
    assert set(found["parts"]) == {
        "database", "broker", "beat", "tick", *(f"queue:{queue}" for queue in QUEUES), "watcher", "sweeper",
    }  # fmt: skip
    world.silent = {"canary:heal"}
    world.run(30)
    later = timezone.now()
    silent = liveness.parts(later)
    asked(lambda: (later, silent))
    status, found = answer(client)
    assert status == 503
    part = found["parts"]["queue:heal"]
    assert (part["ok"], part["age"]) == (False, 30.0)
    assert "celery -A selfheal_project worker -Q heal" in part["what_to_do"]
    assert [name for name, one in found["parts"].items() if not one["ok"]] == ["queue:heal"]


def test_readyz_tells_of_a_database_that_cannot_write(
    world: World, client: Client, asked: Callable[[Callable[[], Any]], None]
) -> None:
    """It answers, and the parts go on signing in old room: an observer that is refused notes it there for `/readyz`."""
    world.run(3)
    now = timezone.now()
    refusals.show("could not extend file of db-7", now)
    found = readiness._found(now)
    asked(lambda: (now, found))
    status, said = answer(client)
    assert (status, said["parts"]["database"]["ok"]) == (503, False)
    assert "Make room" in said["parts"]["database"]["what_to_do"]
    assert "db-7" not in str(said) and "db-7" in readiness.readiness()[0].message
    assert [name for name, one in said["parts"].items() if not one["ok"]] == ["database"]
    later = now + timedelta(seconds=refusals.OVER + 1)
    over = readiness._found(later)
    asked(lambda: (now, over))
    assert answer(client)[0] == 200


def test_readyz_says_nothing_that_is_for_those_who_logged_in(
    world: World,
    client: Client,
    monkeypatch: pytest.MonkeyPatch,
    asked: Callable[[Callable[[], Any]], None],
) -> None:
    """Neither what the database and the broker said nor names of hosts; that is on the admin's page and in the log."""
    monkeypatch.setattr(readiness, "_broker", readiness._Question("asked", lambda: "bad port s3cret"))
    asked(lambda: "no password for db-7.internal")
    said = client.get("/readyz").content.decode()
    assert "s3cret" not in said and "db-7" not in said and "Start the broker" in said
    assert "s3cret" in str(readiness.readiness()[1].message)
    Host.objects.update(name="secret-host", state_since=BEGIN - timedelta(hours=1))
    hosts.beat("watch:secret-host", BEGIN - timedelta(hours=1))
    now = timezone.now()
    parts = liveness.parts(now)
    asked(lambda: (now, parts))
    assert "secret-host" not in client.get("/readyz").content.decode()
    assert "secret-host" in str(readiness.readiness())


def test_a_broker_that_takes_long_to_answer_is_alive_if_it_has_answered_an_observer(
    world: World, monkeypatch: pytest.MonkeyPatch, asked: Callable[[Callable[[], Any]], None]
) -> None:
    """Where the first of several Sentinels is dead each question takes its time; the last answer has an age."""
    hangs = threading.Event()
    monkeypatch.setattr(readiness, "_broker", readiness._Question("asked", lambda: str(hangs.wait(60))))
    hosts.beat("broker", timezone.now() - timedelta(seconds=4))
    now = timezone.now()
    parts = liveness.parts(now)
    asked(lambda: (now, parts))
    broker = readiness.readiness(0.1)[1]
    assert (broker.name, broker.ok, broker.age) == ("broker", True, 4.0)
    hangs.set()


def test_readyz_and_healthz_answer_while_the_database_and_the_broker_hang(
    client: Client, monkeypatch: pytest.MonkeyPatch, asked: Callable[[Callable[[], Any]], None]
) -> None:
    """After the time that they are given, without a database of the test's own, and without a thread more for each who asks."""
    hangs = threading.Event()
    asked(lambda: hangs.wait(60))
    monkeypatch.setattr(readiness, "_broker", readiness._Question("asked", lambda: str(hangs.wait(60))))
    before = threading.active_count()
    for _ in range(2):
        begun = time.monotonic()
        status, found = answer(client)
        assert time.monotonic() - begun < readiness.SECONDS + 8  # a loaded machine's; they hang for a minute
        assert status == 503
        assert {name: one["ok"] for name, one in found["parts"].items()} == {
            "database": False,
            "broker": False,
        }
    assert threading.active_count() <= before + 2
    assert client.get("/healthz").status_code == 200
    hangs.set()
