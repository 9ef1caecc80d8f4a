"""What is found out before a decision about a container that needs others, outside of the decision's transaction."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import partial
from typing import Any

from healing.core.errors import PluginError
from healing.core.types import EngineHealth
from healing.pipeline import check
from healing.pipeline.case import Case
from healing.pipeline.dependencies import SETTLES, back_since, who_is_waited_for
from healing.pipeline.engines import reachable
from healing.store import dependencies, heals
from healing.store.clock import db_now
from healing.store.dependencies import NOTE
from healing.store.heals import Next

LOOKED_AT = 20
"""So many dependencies are looked at for one decision."""
_ONE_LOOK = 30.0
"""Seconds that one of these looks, and what follows from it, may take."""


def look(case: Case) -> list[Next]:
    """What a decision about a container with dependencies has to know, found out before it.

    Dependencies of which nothing bad is known are checked now, as their dependant may have been the first to show that
    they fail; the heals that follow from that are returned. Where the container was held and no dependency fails any
    more, it is noted since when, and after a while whether its own health command passes.
    """
    failure, book = case.failure, case.book
    edges = [edge for edge in book.dependencies.needs(failure.container_id) if edge.holds]
    if not edges:
        return []
    host_id = failure.container.host_id
    fine = dependencies.seem_well([edge.dependency for edge in edges], host_id)
    keep = partial(heals.keep, failure, _ONE_LOOK)
    found = check.check_some(host_id, fine[:LOOKED_AT], by_event=False, before_each=keep) if fine else []
    waiting, standing = who_is_waited_for(edges)
    noted = _noted(case, standing[waiting.dependency].name if waiting else "", db_now())
    others = {name: value for name, value in failure.details.items() if name != NOTE}
    failure.details = others | ({NOTE: noted} if noted else {})
    return found


def _noted(case: Case, waits_for: str, now: datetime) -> dict[str, Any]:
    """For whom it waits, or for whom it did and since when that is back; nothing where there is nothing to wait for."""
    noted = case.failure.details.get(NOTE)
    if waits_for:
        return {"waits_for": waits_for}
    if not noted or not case.snapshot.is_running:
        return {}
    came_back = back_since(noted) or now
    passes = now >= came_back + SETTLES and _passes(case, came_back, now)
    return {**noted, "back_at": came_back.isoformat(), "passes": passes}


def _passes(case: Case, came_back: datetime, now: datetime) -> bool:
    """Whether its own health command passes, where the engine's verdict is older than the dependency's return."""
    snapshot, command = case.snapshot, case.snapshot.health_command
    if snapshot.health is not EngineHealth.UNHEALTHY or not command.argv:
        return False
    if any(entry.start >= came_back for entry in snapshot.health_log):
        return False
    if now > came_back + SETTLES + timedelta(seconds=command.interval + command.timeout):
        return False
    try:
        engine = reachable(case.failure.container.host)
        timeout = min(command.timeout, case.config.check_timeout)
        heals.keep(case.failure, timeout + _ONE_LOOK)
        return engine.exec(snapshot.id, command.argv, timeout).exit_code == 0
    except PluginError:
        return False
