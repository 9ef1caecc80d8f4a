"""Real processes: what lies in Redis and is no message ends no worker, and without a broker the sweeper heals."""

from __future__ import annotations

import json

import redis
from celery import Celery

from tests.integration.many.parts import fleet_of, parts_over
from tests.testbed.services import RedisServer

GARBAGE = [
    b"no json",
    b"\xff\xfe",
    b"[" * 100_000,
    b"[]",
    b'{"properties": {}}',
    b'{"__type__": "uuid", "__value__": 1}',
    json.dumps({"body": "a", "properties": {"delivery_tag": "1"}}).encode(),
]
CANARY = "healing_heartbeat WHERE name = 'canary:heal'"
HEALED = "healing_failurerecord WHERE is_found AND action_result = 'success'"


def test_without_messages_and_with_bad_ones(own_redis: RedisServer) -> None:
    """The queue flows past garbage, which is kept aside; then Redis dies, and what fails is found and healed once."""
    with fleet_of(1, 2, 2.0) as fleet, parts_over(own_redis.url) as parts:
        engine = fleet.names[0]
        parts.prepare([(engine, fleet.address(engine), "")])
        worker = parts.worker("heal", "heal")
        parts.watch("watch")
        parts.start("sweep", "manage.py", "sweep")
        with redis.Redis.from_url(own_redis.url) as client:
            for item in GARBAGE:
                client.lpush("heal", item)
        Celery(broker=own_redis.url).send_task(
            "healing.tasks.canary", ["heal", "2030-01-01T00:00:00+00:00"], queue="heal"
        )
        parts.wait(CANARY, 1, 30, "what comes after the garbage is worked off")
        parts.wait("healing_deadletter", len(GARBAGE), 20, "the garbage is kept aside")
        assert worker.running()
        parts.wait("healing_heartbeat WHERE name LIKE 'sweep:%'", 1, 30, "the sweeper lives")
        parts.wait("healing_container", 2, 30, "the watcher has registered the containers")
        own_redis.kill()
        fleet.do("unhealthy", engine=engine, container=fleet.container(engine))
        parts.wait(HEALED, 1, 90, "healed without a broker")
        assert len(fleet.asked(engine, "POST", "/restart")) == 1
        worker.kill()  # it would go on connecting for a while before it stops
