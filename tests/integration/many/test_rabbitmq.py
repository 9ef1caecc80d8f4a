"""RabbitMQ with quorum queues as the broker; and a host that is served from near its engine."""

from __future__ import annotations

from collections.abc import Iterator

import amqp
import pytest

from tests.integration.many.parts import Fleet, Parts, fleet_of, parts_over
from tests.testbed.rabbitmq import RabbitServer, rabbitmq_server

HEALED = "healing_failurerecord WHERE is_found AND action_result = 'success'"
COMMON, NEAR = "engine-01", "engine-02"
QUEUES = ("heal", "checks", "alerts", "default", "heal.rack-7", "checks.rack-7")


@pytest.fixture(scope="module")
def broker() -> Iterator[RabbitServer]:
    with rabbitmq_server() as server:
        yield server


@pytest.fixture(scope="module")
def fleet() -> Iterator[Fleet]:
    with fleet_of(2, 3, 2.0) as fleet:
        yield fleet


@pytest.fixture(scope="module")
def parts(broker: RabbitServer, fleet: Fleet) -> Iterator[Parts]:
    with parts_over(broker.url) as parts:
        parts.prepare([(COMMON, fleet.address(COMMON), ""), (NEAR, fleet.address(NEAR), "rack-7")])
        parts.worker("heal", "heal")
        parts.worker("other", "checks,alerts,default")
        parts.start("near", "manage.py", "near", "rack-7")
        parts.watch("watch")
        parts.beat("beat")
        parts.wait("healing_healthstatus WHERE status = 'healthy'", 6, 90, "all containers are healthy")
        yield parts


def _restarts_of_a_heal(parts: Parts, fleet: Fleet, engine: str) -> int:
    before, name = parts.count(HEALED), fleet.container(engine)
    restarts = len(fleet.asked(engine, "POST", "/restart"))
    fleet.do("unhealthy", engine=engine, container=name)
    parts.wait(HEALED, before + 1, 60, f"{name} is healed")
    return len(fleet.asked(engine, "POST", "/restart")) - restarts


@pytest.mark.parametrize("engine", [COMMON, NEAR])
def test_a_whole_heal(parts: Parts, fleet: Fleet, engine: str) -> None:
    """Found, diagnosed, restarted once and verified through RabbitMQ: by the common workers, and by those near."""
    assert _restarts_of_a_heal(parts, fleet, engine) == 1


@pytest.mark.parametrize("queue", QUEUES)
def test_queues_are_quorum_queues(parts: Parts, broker: RabbitServer, queue: str) -> None:
    """A queue outlives one of RabbitMQ's nodes only as a quorum queue; RabbitMQ refuses to declare it as another."""
    with amqp.Connection(f"127.0.0.1:{broker.port}", connect_timeout=5) as connection:
        same = {"x-queue-type": "quorum"}
        connection.channel().queue_declare(queue, durable=True, auto_delete=False, arguments=same)
        with pytest.raises(amqp.PreconditionFailed):
            connection.channel().queue_declare(queue, durable=True, auto_delete=False)


def test_the_broker_is_bounced(parts: Parts, broker: RabbitServer, fleet: Fleet) -> None:
    """Killed and started again: workers, watchers and beat come back by themselves, and a fault meanwhile is healed once."""
    name, before = fleet.container(COMMON, 1), parts.count(HEALED)
    broker.kill()
    fleet.do("unhealthy", engine=COMMON, container=name)
    broker.start()
    parts.wait(HEALED, before + 1, 90, "the fault during the outage is healed")
    assert _restarts_of_a_heal(parts, fleet, NEAR) == 1
    assert len(fleet.asked(COMMON, "POST", "/restart")) == parts.count(
        f"healing_attempt a JOIN healing_container c ON c.id = a.container_id JOIN healing_host h ON h.id = c.host_id"
        f" WHERE h.name = '{COMMON}'"
    )
    assert all(child.running() for child in parts.children.values()), parts.tails()
