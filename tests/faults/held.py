"""Containers that their engine holds: killed while it started one, it may refuse each later start of that one."""

from __future__ import annotations

import contextlib
import re
import time

import docker

from tests.faults.hosts import Target
from tests.faults.judge import state
from tests.faults.lengths import wait
from tests.faults.world import World
from tests.testbed.wait import NotInTimeError, until

HELD = "held by its engine"
"""The cause that people are told."""
_WORDS = re.compile(r"already exists|file exists|container with id exists", re.I)


def is_held(world: World, target: Target) -> bool:
    """Its engine refused the newest start for that, and does so again."""
    called = [row["answer"] for row in world.stack.attempts(target.name) if row["called_at"] is not None]
    return bool(called) and bool(_WORDS.search(called[-1])) and _is_refused(target)


def _is_refused(target: Target) -> bool:
    """Whether the engine itself, asked past Selfheal, says that it cannot start it."""
    if target.state()["Running"]:
        return False
    try:
        target.host.made.client.start(target.id)
    except docker.errors.APIError as error:
        return bool(_WORDS.search(str(error)))
    return False


def remove_what_is_held(world: World, targets: list[Target], latest: float) -> bool:
    """As people do who see that cause; whether there was any.

    They are told of it once its budget is spent (F9 tries that); what is to be restarted again and again has none. Where
    something is neither cured nor held by then, nothing is removed: the judge is to see it.
    """
    with contextlib.suppress(NotInTimeError):
        until(
            lambda: all(one.is_cured() or is_held(world, one) for one in targets if one.broken_at),
            max(1.0, latest - time.time()),
            "each is cured or held",
            interval=1,
        )
    broken = [one for one in targets if one.broken_at and not one.is_cured()]
    if not all(is_held(world, one) for one in broken):
        return False
    for target in broken:
        print(f"{target.name} is held by its engine", flush=True)
        wait(lambda one=target: world.stack.found(one.name)["cause"] == HELD, 60, lambda: state(world))
        target.host.made.client.remove_container(target.id, force=True)
    return bool(broken)
