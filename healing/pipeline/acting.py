"""The engine call of an attempt, and which container is looked at after it: that is all in which actions differ."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

from healing.actions.recreate import recreate
from healing.actions.restart import restart
from healing.core.errors import ContainerNotFound, PluginError
from healing.core.ports import Engine
from healing.core.types import SHARED_NETWORK, ActionKind, Snapshot
from healing.effective import ConfigBook
from healing.models import Attempt, AttemptState, Container
from healing.pipeline.engines import find
from healing.pipeline.network import lost_parent
from healing.registration.adoption import adopt

DONE = {ActionKind.RESTART: "restarted", ActionKind.RECREATE: "recreated"}
"""Each action's word for what was done."""


@dataclass(frozen=True, slots=True)
class Call:
    """What is to be asked of the engine. `network_mode` None: as it is. `why_not`: the world has moved on, and nothing is."""

    network_mode: str | None = None
    why_not: str = ""


def prepare(
    engine: Engine, snapshot: Snapshot | None, container: Container, attempt: Attempt, book: ConfigBook
) -> Call:
    """Look once more at what a recreate that is still to be made depends on. Raise what the engine raises."""
    is_to_be_made = attempt.action == ActionKind.RECREATE and attempt.state == AttemptState.INTENDED
    if snapshot is None or not is_to_be_made:
        return Call()
    parent = lost_parent(engine, snapshot, container, book)
    if parent is None:
        return Call(why_not="the container whose network it shares is there meanwhile")
    if not parent.new:
        return Call(why_not="the container whose network it is to share is gone meanwhile")
    return Call(SHARED_NETWORK + parent.new)


def make(
    engine: Engine, snapshot: Snapshot, container: Container, attempt: Attempt, call: Call, deadline: float
) -> None:
    """The one engine call; a container made anew is known by its new id from then on. Raise what the engine raises."""
    if attempt.action != ActionKind.RECREATE:
        restart(engine, snapshot, attempt.stop_timeout, deadline)
        return
    made = recreate(engine, snapshot, call.network_mode, attempt.stop_timeout, deadline)
    with suppress(PluginError):  # then it is found by its name when it is verified
        follow(container, attempt, engine.inspect(made))


def follow(container: Container, attempt: Attempt, snapshot: Snapshot | None) -> None:
    """Know a container that was made anew by its new id."""
    if attempt.action == ActionKind.RECREATE and snapshot is not None and snapshot.id != container.engine_id:
        adopt(container.host, snapshot, container.registered_by)


def find_now(engine: Engine, container: Container, attempt: Attempt) -> Snapshot | None:
    """The container of an attempt, as it is. Once it is being made anew, the one that has its name is the new one."""
    if attempt.action == ActionKind.RECREATE and attempt.state != AttemptState.INTENDED:
        with suppress(ContainerNotFound):
            named = engine.inspect(container.name)
            if named.name == container.name:
                return named
    return find(engine, container)
