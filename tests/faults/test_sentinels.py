"""Redis under three Sentinels and two of every process of ours, each killed in turn; only with LONG=1."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.faults.installation import Installation
from tests.faults.lengths import LONG, wait
from tests.faults.sink import alert_sink
from tests.integration.many.parts import Fleet, fleet_of
from tests.testbed.paths import new_folder
from tests.testbed.sentinels import Sentinels, sentinels
from tests.testbed.services import execute, postgres_server
from tests.testbed.wait import until

HEALED_WITHIN = 30.0
CONTAINERS = 40
HEALTHY = "SELECT count(*) FROM healing_healthstatus WHERE status = 'healthy'"
HEALED = "SELECT count(*) FROM healing_failurerecord WHERE is_found AND action_result = 'success'"


class Doubled:
    """Two of every part over the Sentinels, and a simulated engine that judges."""

    def __init__(self, group: Sentinels, installation: Installation, fleet: Fleet, database: str) -> None:
        self.group, self.installation, self.fleet, self.database = group, installation, fleet, database
        self._numbers = iter(range(CONTAINERS))

    def count(self, statement: str) -> int:
        return int(execute(self.database, statement)[0][0])

    def heals_one(self) -> float:
        """A container that has not been used yet falls ill; after how many seconds it was started, once."""
        engine = self.fleet.names[0]
        name, before = self.fleet.container(engine, next(self._numbers)), self.count(HEALED)
        asked, begun = len(self.fleet.asked(engine, "POST", "/restart")), time.time()
        self.fleet.do("unhealthy", engine=engine, container=name)
        wait(lambda: self.count(HEALED) > before, 90, self.installation.log)
        calls = self.fleet.asked(engine, "POST", "/restart")[asked:]
        assert len(calls) == 1, calls
        return calls[0] - begun


@pytest.fixture
def doubled() -> Iterator[Doubled]:
    with ExitStack() as services:
        home = new_folder("doubled")
        services.callback(shutil.rmtree, home, ignore_errors=True)
        group = services.enter_context(sentinels())
        postgres = services.enter_context(postgres_server(durable=True))
        fleet = services.enter_context(fleet_of(1, CONTAINERS, 5.0))
        sink = services.enter_context(alert_sink())
        environ = {
            "DATABASE_URL": postgres.url,
            "CELERY_BROKER_URL": group.url,
            "DOCKER_HOST": fleet.address(fleet.names[0]),
        }
        installation = Installation(home, environ)
        services.callback(installation.stop)
        installation.prepare([], sink.url)
        installation.start_all()
        for part in installation.parts:
            installation.start(f"{part}-2")
        made = Doubled(group, installation, fleet, postgres.url)
        wait(lambda: made.count(HEALTHY) == CONTAINERS, 90, installation.log)
        yield made


@pytest.mark.skipif(not LONG, reason="the long form of the fault matrix: LONG=1 make faults")
@pytest.mark.timeout(1200)
def test_each_of_two_is_killed_in_turn(doubled: Doubled) -> None:
    """Whoever dies, Redis' master and a Sentinel among them, a fault is acted on within 30 s, once (guard: nothing of ours exists only once)."""
    delays = {"nobody": doubled.heals_one()}
    for part in [name for name in doubled.installation.parts if name != "web"]:
        doubled.installation.let_go(part)
        delays[part] = doubled.heals_one()
        doubled.installation.start(part)
    master = doubled.group.master()
    master.kill()
    delays["Redis' master"] = doubled.heals_one()
    until(lambda: doubled.group.master() is not master, 60, "the Sentinels have named another")
    master.start()
    doubled.group.wait_whole()
    one = doubled.group.watchers[0]
    one.kill()
    delays["a Sentinel"] = doubled.heals_one()
    one.start()
    print(delays, flush=True)
    assert max(delays.values()) <= HEALED_WITHIN, delays
