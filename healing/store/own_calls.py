"""What of an engine's events our own calls have caused, by the attempts on record."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from healing.core.lifecycle import STOP_SLACK
from healing.core.status import Status
from healing.core.types import ActionKind, Snapshot
from healing.models import Attempt, AttemptState
from healing.store.clock import TOLERANCE
from healing.store.heals import CALL_SLACK

BEHIND = timedelta(seconds=30)
"""An engine's clock may be behind by so much; one that is farther off is told of."""
STOP_ARRIVES = timedelta(seconds=0.5)
"""After the answer to a call its stop signal arrives no later than this."""
START_IS_TOLD = timedelta(seconds=1)
"""The event of a start comes no later than this after the time that the engine gives the run."""


def without_our_stop(container_id: int, before: Status, after: Status) -> Status:
    """`after` without the quick exit that it adds to `before`, where a restart of ours has ended that run.

    A container that we restart again and again is not looping by itself.
    """
    added = after.exits[-1] if after.exits != before.exits else None
    return replace(after, exits=before.exits) if added and _ended_by_us(container_id, *added) else after


def _ended_by_us(container_id: int, started: float, ended: float) -> bool:
    calls = Attempt.objects.filter(container_id=container_id, called_at__isnull=False)
    call = calls.order_by("-called_at").first()
    if call is None or call.called_at is None or call.guard_started_at is None:
        return False
    is_the_run = abs(call.guard_started_at.timestamp() - started) < 0.001
    return is_the_run and ended >= call.called_at.timestamp()


def has_ended(container_id: int, snapshot: Snapshot) -> bool:
    """Whether our newest call was made for the run whose exit this is, and that was over by the time the call was.

    Then the call has stopped it without starting it again, or was made because it had ended.
    """
    calls = Attempt.objects.filter(container_id=container_id, called_at__isnull=False)
    call = calls.order_by("-called_at").first()
    if call is None or snapshot.finished_at is None:
        return False
    is_the_run = (snapshot.id, snapshot.started_at) == (call.guard_engine_id, call.guard_started_at)
    return is_the_run and snapshot.finished_at <= (call.answered_at or _over_at(call))


def is_our_stop(
    container_id: int, at: datetime, arrived_at: datetime, started_at: datetime | None = None
) -> bool:
    """Whether a stop signal of that time, which has now arrived, was caused by an attempt of ours.

    An engine whose clock is behind dates it before the call: what arrives while that is made is ours as well.
    `started_at`: of the start that the engine told of last before the signal. A restart stops first, and sends
    no signal to what it has started.
    """
    covering = _covering(container_id, at)
    if covering is not None:
        return started_at is None or not _has_led_to(covering, started_at, at)
    calls = Attempt.objects.filter(container_id=container_id, called_at__lte=arrived_at + TOLERANCE)
    call = calls.order_by("-called_at").first()
    if call is None or call.called_at is None or not call.called_at - BEHIND <= at <= call.called_at:
        return False
    return arrived_at <= (call.answered_at + STOP_ARRIVES if call.answered_at else _over_at(call))


def _has_led_to(call: Attempt, started_at: datetime, signal_at: datetime) -> bool:
    """Whether this call had led to that start by then: not to the run that it was made for, by the engine's own times."""
    if call.called_at is None or not call.called_at <= started_at <= signal_at:
        return False
    return call.guard_started_at is None or started_at > call.guard_started_at + START_IS_TOLD


def _over_at(call: Attempt) -> datetime:
    """When an attempt that got no answer has no more effect. A recreate may come to its stop late; a restart begins with it."""
    assert call.called_at is not None
    beyond = CALL_SLACK if call.action == ActionKind.RECREATE else STOP_SLACK
    return call.called_at + timedelta(seconds=call.stop_timeout + beyond)


def our_call_covers(container_id: int, at: datetime, slack: float = 1.0) -> bool:
    """Whether an engine event of that time was caused by an attempt of ours; `slack` seconds for clocks that differ."""
    return _covering(container_id, at, slack) is not None


def _covering(container_id: int, at: datetime, slack: float = 1.0) -> Attempt | None:
    latest = at + timedelta(seconds=slack)
    calls = Attempt.objects.filter(container_id=container_id, called_at__isnull=False, called_at__lte=latest)
    call = calls.order_by("-called_at").first()
    if call is None or call.called_at is None:
        return None
    if call.answered_at is not None:
        return call if at <= call.answered_at else None
    is_on_its_way = call.state in (AttemptState.CALLED, AttemptState.VERIFYING)
    return call if is_on_its_way and at <= _over_at(call) else None
