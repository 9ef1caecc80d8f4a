"""Containers that need others: held while one that they need fails, looked at again when it is back.

A container without dependencies costs no statement here.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from healing.core.decide import Hold
from healing.core.dependencies import Edge, Member, OnReturn, Waiting, waits_for
from healing.core.types import FailureType, Lifecycle
from healing.effective import ConfigBook
from healing.models import FailureRecord, Stage
from healing.store import dependencies, heals
from healing.store.dependencies import ALONG, NOTE
from healing.store.heals import Next

logger = logging.getLogger(__name__)

SETTLES = timedelta(seconds=5)
"""So long after the dependency is back a container may find it again by itself, before it is restarted."""
TOLD_AFTER = timedelta(seconds=60)
"""People who stop a container are told so long after what needs it has failed, if it is still stopped."""
LOOK_AGAIN, SELDOM = timedelta(seconds=5), timedelta(seconds=60)


def held(failure: FailureRecord, book: ConfigBook, now: datetime) -> Hold | None:
    """What its dependencies hold: one that fails, or one that has only just come back."""
    edges = [edge for edge in book.dependencies.needs(failure.container_id) if edge.holds]
    if not edges:
        return None
    waiting, standing = who_is_waited_for(edges)
    if waiting is None:
        return _just_back(failure, now)
    member = standing[waiting.dependency]
    pause = min(max((now - failure.detected_at) / 4, LOOK_AGAIN), SELDOM)
    why = f" ({waiting.why})" if waiting.why else ""
    incident, tells = _incident(failure, waiting.dependency, member, book)
    is_late = now - failure.detected_at >= TOLD_AFTER
    return Hold(f"waits for {member.name}{why}", now + pause, incident, tells and is_late)


def who_is_waited_for(edges: Sequence[Edge]) -> tuple[Waiting | None, dict[int, Member]]:
    """The dependency, None where none fails; and how all of them stand."""
    standing = dependencies.members([edge.dependency for edge in edges])
    return waits_for(edges, standing), standing


def _just_back(failure: FailureRecord, now: datetime) -> Hold | None:
    noted = failure.details.get(NOTE) or {}
    came_back = back_since(noted)
    if came_back is None or failure.details.get(ALONG):
        return None
    until = came_back + SETTLES
    if now < until:
        return Hold(f"what it waited for is back; restarted if it still fails at {until:%H:%M:%S} UTC", until)
    if noted.get("passes"):
        text = "what it waited for is back and its health command passes; the engine has to say so yet"
        return Hold(text, now + LOOK_AGAIN)
    return None


def back_since(noted: Mapping[str, Any]) -> datetime | None:
    """When it was noted that what a container waited for is back."""
    return datetime.fromisoformat(noted["back_at"]) if noted.get("back_at") else None


def _incident(
    failure: FailureRecord, dependency_id: int, member: Member, book: ConfigBook
) -> tuple[int | None, bool]:
    """The failure that tells of this one, and whether there is none, so that it has to tell for itself.

    Somebody who has stopped a container by hand is told by the first of those that need it.
    """
    if failure.parent_id is not None:
        return None, False
    found = member.failure
    if found is None and member.lifecycle is Lifecycle.QUARANTINED:
        found = dependencies.newest_failure(dependency_id)
    by_hand = found is None and member.lifecycle is Lifecycle.STOPPED_BY_HAND
    if by_hand:
        others = [edge.dependant for edge in book.dependencies.needed_by(dependency_id) if edge.holds]
        found = dependencies.first_held(others, member.name, besides=failure.pk)
        by_hand = found is None or found > failure.pk
        found = None if by_hand else found
    incident = dependencies.root(found)
    return (incident if incident != failure.pk else None), by_hand


def back(container_id: int, book: ConfigBook, now: datetime) -> list[Next]:
    """A container works again: those that wait for it are looked at. Call it in the transaction that writes so."""
    waiting = [edge.dependant for edge in book.dependencies.needed_by(container_id) if edge.holds]
    return dependencies.wake(waiting, container_id, now) if waiting else []


def came_back(failure: FailureRecord, book: ConfigBook, now: datetime) -> list[Next]:
    """As `back`, of a failure that has ended well: those that are to be restarted along are, even if they work."""
    edges = book.dependencies.needed_by(failure.container_id)
    along = [edge.dependant for edge in edges if edge.on_return is OnReturn.RESTART]
    woken = back(failure.container_id, book, now)
    return woken + (_restart_along(failure, along, now) if along else [])


def _restart_along(failure: FailureRecord, dependants: Sequence[int], now: datetime) -> list[Next]:
    """Each of them is to be restarted once: its open failure says so, or a record of its own does."""
    note = {ALONG: {"with": failure.container_name, "at": now.isoformat()}}
    failing = heals.open_failures(list(dependants))
    started = [each for each in failing.values() if dependencies.note(each, now, **note)]
    well = [each for each in dependencies.up(dependants) if each.pk not in failing]
    for container in well:
        opened = heals.open_failure(
            container,
            now,
            failure_type=FailureType.HEALTH_CHECK_FAILED,
            error_message=f"{failure.container_name} has come back from a failure.",
            details=note,
            parent_id=dependencies.root(failure.pk),
            priority=container.health.priority,
            in_success_rate=False,
        )
        started += [opened] if opened is not None else []
    names = [each.container_name for each in started]
    extra = {"action": "restart_along", "container": failure.container_name, "dependants": names}
    logger.info("%s is back: %d are restarted along", failure.container_name, len(names), extra=extra)
    away = dependencies.away([each.container_id for each in started], failure.container.host_id)
    return [
        Next(Stage.DIAGNOSE, each.pk, each.priority, elsewhere=each.container_id in away) for each in started
    ]
