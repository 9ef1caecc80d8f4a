"""A heal beside a backlog of stale checks: how much later it comes, and whether any of the checks is run.

In the production mode on a simulated engine: Redis, PostgreSQL and Selfheal's processes are real.
"""

from __future__ import annotations

import json
import statistics
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import redis
from celery import Celery

from tests.integration.many.parts import Fleet, Parts, fleet_of, parts_over
from tests.testbed.services import redis_server
from tests.testbed.wait import until

Say = Callable[[str], None]
ENGINE, QUEUE, INTERVAL = "engine-01", "checks", 10.0
_SPARE = "spare"
_DEFAULT = 3
"""The priority of a message about containers of no special importance."""
_AT_ONCE = 1000
_HEALED = "healing_failurerecord WHERE is_found AND action_result = 'success'"


@dataclass(frozen=True, slots=True)
class Backlog:
    """`alone`, `beside`: seconds from the fault to the engine being asked for the restart, without and with the backlog.

    `waiting`: how many messages still waited when each of the latter heals had ended. `seconds` until none waited.
    `lists`, `due`: how often the engine was listed meanwhile, and how often a sweep was due.
    """

    messages: int
    alone: Sequence[float]
    beside: Sequence[float]
    waiting: Sequence[int]
    seconds: float
    lists: int
    due: float

    @property
    def later(self) -> float:
        """By how many seconds the median heal comes later for the backlog."""
        return statistics.median(self.beside) - statistics.median(self.alone)


def measure(messages: int, heals: int, say: Say = print) -> Backlog:
    """Heal so many containers, one after the other, before the messages wait and while they do."""
    with redis_server() as broker, fleet_of(1, 2 * heals, INTERVAL) as fleet, parts_over(broker.url) as parts:
        _start(parts, fleet)
        alone = [_heal(parts, fleet, number) for number in range(heals)]
        say(f"alone     {statistics.median(alone) * 1000:.0f} ms in the median")
        fleet.do("forget_requests")
        key, raw = _stale(broker.url, messages)
        with redis.Redis(port=broker.port) as client:
            begun = time.monotonic()
            _push(client, key, raw)
            beside, waiting = [], []
            for number in range(heals, 2 * heals):
                beside.append(_heal(parts, fleet, number))
                waiting.append(_length(client))
            until(lambda: _length(client) == 0, 600, "all stale checks are gone", interval=0.1)
            seconds = time.monotonic() - begun
        found = Backlog(
            messages, alone, beside, waiting, seconds, len(fleet.lists(ENGINE)), seconds / INTERVAL + 1
        )
        say(f"beside    {statistics.median(beside) * 1000:.0f} ms in the median, {found.lists} lists")
        return found


def _start(parts: Parts, fleet: Fleet) -> None:
    parts.prepare([(ENGINE, fleet.address(ENGINE), "")])
    parts.worker("heal", "heal", 16)
    parts.worker("checks", QUEUE, 8)
    parts.worker("other", "alerts,default", 4)
    parts.watch("watch")
    parts.beat("beat")
    containers = len(fleet.do("containers", engine=ENGINE))
    parts.wait("healing_healthstatus WHERE status = 'healthy'", containers, 90, "all containers are healthy")


def _heal(parts: Parts, fleet: Fleet, number: int) -> float:
    """Break one container; the seconds until its restart was asked for. Returns when it is healed."""
    name, before = fleet.container(ENGINE, number), parts.count(_HEALED)
    asked = len(fleet.asked(ENGINE, "POST", "/restart"))
    begun = time.time()
    fleet.do("unhealthy", engine=ENGINE, container=name)
    parts.wait(_HEALED, before + 1, 60, f"{name} is healed")
    return fleet.asked(ENGINE, "POST", "/restart")[asked] - begun


def _stale(broker_url: str, messages: int) -> tuple[str, list[str]]:
    """Checks as Celery writes them into Redis, whose time was over a minute ago, and the list that they wait in."""
    with _sender(broker_url) as (app, client):
        app.send_task(
            "healing.tasks.check_containers", args=[1, 0], queue=_SPARE, expires=60, priority=_DEFAULT
        )
        key = next(key for key in client.scan_iter(match=f"{_SPARE}*") if client.type(key) == b"list")
        sample = json.loads(client.lindex(key, 0) or b"{}")
        client.delete(key)
    waiting_in = key.decode().replace(_SPARE, QUEUE, 1)
    return waiting_in, [json.dumps(_aged(sample)) for _ in range(messages)]


@contextmanager
def _sender(broker_url: str) -> Iterator[tuple[Celery, redis.Redis]]:
    app = Celery("backlog", broker=broker_url)
    try:
        with redis.Redis.from_url(broker_url) as client:
            yield app, client
    finally:
        app.close()


def _aged(sample: dict[str, Any]) -> dict[str, Any]:
    own = str(uuid.uuid4())
    past = (datetime.now(UTC) - timedelta(minutes=1)).isoformat()
    headers = {**sample["headers"], "id": own, "root_id": own, "expires": past}
    properties = {**sample["properties"], "correlation_id": own, "delivery_tag": str(uuid.uuid4())}
    return {**sample, "headers": headers, "properties": properties}


def _push(client: redis.Redis, key: str, raw: Sequence[str]) -> None:
    for start in range(0, len(raw), _AT_ONCE):
        client.lpush(key, *raw[start : start + _AT_ONCE])


def _length(client: redis.Redis) -> int:
    """Messages of all priorities."""
    keys = [key for key in client.scan_iter(match=f"{QUEUE}*") if client.type(key) == b"list"]
    return sum(int(client.llen(key)) for key in keys)


def table(found: Sequence[Backlog]) -> str:
    """The result in Markdown."""
    lines = [
        "| stale checks | heal alone, p50 | heal beside them, p50 | later by | all gone in | lists meanwhile (due) |",
        "|--:|--:|--:|--:|--:|--:|",
    ]
    for one in found:
        lines.append(
            f"| {one.messages:,} | {statistics.median(one.alone) * 1000:.0f} ms "
            f"| {statistics.median(one.beside) * 1000:.0f} ms | {one.later * 1000:.0f} ms "
            f"| {one.seconds:.0f} s | {one.lists} ({one.due:.1f}) |"
        )
    return "\n".join(lines)
