"""F19: a storm of alerts, and a receiver that asks for patience."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.faults.judge import record
from tests.faults.lengths import wait
from tests.faults.sink import Received
from tests.faults.world import World

STORM, SECONDS, PROJECTS = 2_000, 10, 20
PATIENCE, AT_ONCE = 12.0, 2.0
"""Seconds: what the receiver asks for, and within which several that were under way may come."""
MOST_MESSAGES = 5 * PROJECTS
"""What 20 groups may need: a few messages each, however often a repeat comes."""
_GROUPED = """
import json, sys
from datetime import timedelta
from notifications.routes import root
given = json.loads(sys.stdin.read())
route = root()
route.group_by = given["group_by"]
route.group_wait, route.group_interval = timedelta(seconds=given["wait"]), timedelta(seconds=given["interval"])
route.save()
"""
_STORM = """
import json, sys, time
from django.db import transaction
from notifications import outbox
from notifications.core.alert import Alert, AlertLevel
given = json.loads(sys.stdin.read())
begun = time.monotonic()
for number in range(given["count"]):
    time.sleep(max(0.0, begun + number * given["seconds"] / given["count"] - time.monotonic()))
    with transaction.atomic():
        outbox.write(Alert(
            AlertLevel.ERROR, f"storm {number}", host="storm", project=f"p{number % given['projects']}",
            container=f"storm-{number}", alert_key=f"storm:{number}", alertname="container_failed",
        ))
"""


@contextmanager
def _grouped(world: World) -> Iterator[None]:
    """The routes group as they do by default, with times that a test can wait for."""
    manage = world.installation.manage
    grouped = {"group_by": ["alertname", "host", "project"], "wait": 5, "interval": 5}
    manage("shell", "--verbosity", "0", "-c", _GROUPED, given=json.dumps(grouped))
    try:
        yield
    finally:
        alone = {"group_by": ["..."], "wait": 0, "interval": 0}
        manage("shell", "--verbosity", "0", "-c", _GROUPED, given=json.dumps(alone))


@pytest.mark.timeout(400)
def test_f19_storm_of_alerts_at_a_receiver_that_is_full(world: World) -> None:
    """All are told, each under one id, in few messages, and the receiver's wish to wait is obeyed (guard: groups, the channel's pause and limit)."""
    world.begin("F19")
    with _grouped(world):
        world.sink.status, world.sink.headers = 429, {"Retry-After": f"{PATIENCE:g}"}
        before = world.sink.messages
        storm = {"count": STORM, "seconds": SECONDS, "projects": PROJECTS}
        world.installation.manage("shell", "--verbosity", "0", "-c", _STORM, given=json.dumps(storm))
        refused_until = time.time() + world.random.uniform(5, 15)
        world.sleep(refused_until - time.time())
        came = world.sink.since(world.begun)
        world.sink.status, world.sink.headers = 204, {}
        answered = time.time()
        wait(lambda: len(_told(world, answered)) == STORM, 120, world.log)
    messages = world.sink.messages - before
    ids = {fields.id for fields in world.sink.since(world.begun) if _is_of_the_storm(fields)}
    directly = _told_directly(world)
    refused = {told.at: told for told in came if told.id not in directly}
    pauses = [
        (refused[later].title, later - earlier) for earlier, later in itertools.pairwise(sorted(refused))
    ]
    early = [(title, pause) for title, pause in pauses if AT_ONCE < pause < PATIENCE - 0.5]
    record(world, I5=len(ids) == STORM, grouped=messages <= MOST_MESSAGES, **{"Retry-After": not early})
    assert len(ids) == STORM, "an alert was told under two ids"
    assert messages <= MOST_MESSAGES, f"{messages} messages for {PROJECTS} groups"
    assert refused, "it was tried"
    assert not early, f"tried again after {early} s, while the receiver asks for {PATIENCE:g} s of patience"
    wait(lambda: _states(world) == {"sent": STORM}, 30, lambda: f"{_states(world)}")


def _states(world: World) -> dict[str, int]:
    rows = world.stack.rows(
        "SELECT state, count(*) AS n FROM notifications_notification WHERE alert_key LIKE ? GROUP BY state",
        "storm:%",
    )
    return {row["state"]: row["n"] for row in rows}


def _told(world: World, since: float) -> set[str]:
    return {told.container for told in world.sink.since(since) if _is_of_the_storm(told)}


def _told_directly(world: World) -> set[str]:
    """Ids of what Selfheal tells of itself past the outbox, and so past the pauses of channels."""
    rows = world.stack.rows("SELECT notification_id FROM notifications_delivery WHERE message_id IS NULL")
    return {str(row["notification_id"]) for row in rows}


def _is_of_the_storm(told: Received) -> bool:
    return told.container.startswith("storm-")
