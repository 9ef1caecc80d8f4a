"""The stages by name, and how any of them ends: the same in a worker's task as in the sweeper."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import suppress

from django.db import DatabaseError, InterfaceError

from healing.models import Stage
from healing.pipeline import diagnosing, poison, restarting, verifying
from healing.store.heals import Next, StaleFence

logger = logging.getLogger(__name__)

_RUNS: dict[Stage, Callable[[int], Next | Sequence[Next] | None]] = {
    Stage.DIAGNOSE: diagnosing.run,
    Stage.RESTART: restarting.run,
    Stage.RECREATE: restarting.recreate,
    Stage.VERIFY: verifying.run,
    Stage.OBSERVE: diagnosing.observe,
}


def run(stage: Stage, failure_id: int, *, early: bool = False) -> list[Next]:
    """Take a heal through one stage; what is to be moved on at once. Nothing where another has it, or it is not due.

    Raise what the stage raises. Its claim is given back then, if the database answers: it is tried again, and set
    aside when it has broken too often by itself (`poison.broke`).
    """
    try:
        found = verifying.run(failure_id, early=True) if early else _RUNS[stage](failure_id)
    except StaleFence as stale:
        logger.warning("%s", stale, extra={"action": "stale_fence", "failure": failure_id})
        return []
    except Exception as error:
        with suppress(DatabaseError, InterfaceError):
            poison.broke(failure_id, error)
        raise
    if found is None:
        return []
    return [found] if isinstance(found, Next) else list(found)
