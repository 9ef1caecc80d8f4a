"""Containers that their engine holds: killed while it started one, it may refuse each later start of that one."""

from __future__ import annotations

import contextlib

from tests.faults.hosts import Target
from tests.faults.judge import state
from tests.faults.lengths import wait
from tests.faults.world import World
from tests.testbed.wait import NotInTimeError, until

HELD = "held by its engine"
"""The cause that people are told."""
SETTLED = 200.0
"""Seconds until a call without an answer has been verified, and the next one answered."""


def is_held(world: World, target: Target) -> bool:
    """Its engine refused the newest start for that, and it does not run."""
    answers = [row["answer"] for row in world.stack.attempts(target.name) if row["answer"]]
    return bool(answers) and "already exists" in answers[-1] and not target.state()["Running"]


def _is_settled(world: World, target: Target) -> bool:
    return not target.broken_at or target.is_cured() or is_held(world, target)


def remove_what_is_held(world: World, targets: list[Target]) -> bool:
    """As people do who see that cause; whether there was any. What is neither held nor cured is for the judge.

    They are told of it once its budget is spent (F9 tries that); what is to be restarted again and again has none.
    """
    with contextlib.suppress(NotInTimeError):
        until(lambda: all(_is_settled(world, one) for one in targets), SETTLED, "all is settled", interval=1)
    held = [one for one in targets if is_held(world, one)]
    for target in held:
        print(f"{target.name} is held by its engine", flush=True)
        wait(lambda one=target: world.stack.found(one.name)["cause"] == HELD, 60, lambda: state(world))
        target.host.made.client.remove_container(target.id, force=True)
    return bool(held)
