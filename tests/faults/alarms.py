"""What was told of Selfheal itself, as the receiver of the alerts saw it."""

from __future__ import annotations

import os
import time

from tests.faults.lengths import wait
from tests.faults.sink import Received
from tests.faults.world import World

WITHIN = 30.0
"""Seconds in which the dead-man's switch has to tell."""
ARMED = 65.0
"""Seconds after its start in which the switch lets everything begin, and tells nothing."""
_PATIENCE = 15.0


def about_ourselves(world: World, since: float, kind: str = "firing") -> list[Received]:
    """Alerts about no container and no host, but about Selfheal."""
    told = [one for one in world.sink.since(since) if not one.container and one.kind == kind]
    return [one for one in told if str(one.fields.get("alert_key", "")).startswith("self:")]


def wait_armed(world: World) -> None:
    """Until the switch misses everybody: it gives all the time to begin, after its own start and after an earlier fault."""
    begun = [os.stat(f"/proc/{pid}").st_ctime for pid in world.installation.pids("sweep", "watch")]
    ended = [one.at for one in about_ourselves(world, 0.0, "resolved")]
    world.sleep(max(0.0, max(begun + ended) + ARMED - time.time()))


def wait_alarm(world: World, since: float, part: str = "") -> float:
    """Until it was told that this part of Selfheal is silent, or any; after how many seconds. A late one is waited for too, so that it
    can be said how late.
    """

    def told() -> list[Received]:
        return [one for one in about_ourselves(world, since) if not part or one.key == f"self:{part}"]

    wait(told, WITHIN + _PATIENCE, world.log)
    return told()[0].at - since
