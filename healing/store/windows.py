"""The slow-start window of each host."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Exists, Q, QuerySet

from healing.core.decide import FLEET_CEILING, SLOW_START
from healing.core.window import Window
from healing.models import Attempt, AttemptState, FailureRecord, Host, HostState, Stage, SystemState
from healing.store.breaker_counts import with_open_failures
from healing.store.clock import db_now
from healing.store.heals import Next

BLIND_REASON = "could not look"
OUTDATED = timedelta(seconds=600)
"""An intent that is older is not carried out: it is decided anew."""
ABANDONED = timedelta(seconds=60)
"""So long after an intent is outdated, or the call of a dead worker was to be looked at, no call that counts is going on."""
PLACES_PER_HEAL = 2
"""A verified heal frees its own place and opens one more."""
_UNDER_WAY = (AttemptState.INTENDED, AttemptState.CALLED, AttemptState.VERIFYING)


@dataclass(frozen=True, slots=True)
class Load:
    """A host's window with who is inside, and the attempts over the whole fleet whose engine call may be going on.

    `host` is its row as locked, with what its breaker counts (`with_open_failures`).
    """

    host: Host
    window: Window
    fleet: int


def locked(host_id: int) -> Load:
    """How much is under way; the host's row is locked, so that two decisions do not take one place (two queries).

    Call it in a transaction. Attempts that wait for a lost host do nothing, and do not count for the fleet.
    """
    host = with_open_failures(Host.objects.select_for_update(no_key=True)).get(pk=host_id)
    load = _load(host)
    if load.fleet >= FLEET_CEILING // 4:
        # From here on decisions about all hosts wait for each other, so that two do not take the ceiling's last place.
        SystemState.objects.select_for_update(no_key=True).filter(pk=1).first()
        load = _load(host)
    return load


def _load(host: Host) -> Load:
    host_id = host.pk
    rows = Attempt.objects.filter(state__in=_UNDER_WAY, failure__resolved_at__isnull=True)
    rows = rows.exclude(_abandoned(db_now()))
    places = rows.values_list(
        "container__host_id", "row_number", "state", "container__host__state", "container__host__enabled"
    )
    first = repeated = fleet = 0
    for its_host, row_number, state, host_state, enabled in places:
        fleet += state != AttemptState.VERIFYING and enabled and host_state != HostState.DOWN
        first += its_host == host_id and row_number <= 1
        repeated += its_host == host_id and row_number > 1
    return Load(host, Window(host.heal_window, host.heal_window_at, first, repeated), fleet)


def _abandoned(now: datetime) -> Q:
    """What takes no place, as others would wait for it for ever: no engine call follows from it any more.

    That is what nobody takes up in time, and what has been called and cannot be looked at: its worker has answered, or is
    silent for longer than its call may last.
    """
    called = Q(state__in=(AttemptState.CALLED, AttemptState.VERIFYING))
    blind = called & Q(failure__reason__startswith=BLIND_REASON)
    old = Q(state=AttemptState.INTENDED, intent_at__lte=now - OUTDATED - ABANDONED)
    left = Q(state=AttemptState.CALLED, failure__due_at__lte=now - ABANDONED)
    return blind | old | left


def may_verify_later(host_id: int, failure_id: int) -> bool:
    """Whether other engine calls of this host are under way and no heal waits for a place (one query).

    Then the engine has better to do than to run a health command for a place that nobody wants.
    """
    calls = Attempt.objects.filter(
        container__host_id=host_id, state=AttemptState.CALLED, failure__resolved_at__isnull=True
    )
    calls = calls.exclude(failure_id=failure_id)
    [(is_busy, is_waited_for)] = Host.objects.filter(pk=host_id).values_list(
        Exists(calls), Exists(_waiting(host_id))
    )
    return is_busy and not is_waited_for


def _waiting(host_id: int) -> QuerySet[FailureRecord]:
    return FailureRecord.objects.filter(
        container__host_id=host_id,
        stage=Stage.DIAGNOSE,
        resolved_at__isnull=True,
        reason__startswith=SLOW_START,
    )


def move(host_id: int, by: Callable[[float], float], now: datetime) -> list[Next]:
    """Open or close the window, and hand the place on; those that have got it."""
    with transaction.atomic():
        host = (
            Host.objects.select_for_update(no_key=True).only("heal_window", "heal_window_at").get(pk=host_id)
        )
        size = by(Window(host.heal_window, host.heal_window_at).size_at(now))
        Host.objects.filter(pk=host_id).update(heal_window=size, heal_window_at=now)
    return hand_on(host_id, now)


def hand_on(host_id: int, now: datetime) -> list[Next]:
    """Have the most important ask again that have waited longest for room: they are due, and returned to be hinted at."""
    waiting = _waiting(host_id).filter(due_at__gt=now)
    first = waiting.order_by("priority", "detected_at").values_list("pk", "priority")[:PLACES_PER_HEAL]
    found = [Next(Stage.DIAGNOSE, pk, priority) for pk, priority in first]
    if found:
        chosen = FailureRecord.objects.filter(pk__in=[following.failure_id for following in found])
        chosen.filter(stage=Stage.DIAGNOSE).update(due_at=now)
    return found
