"""The fleet's ceiling holds however many decide at the same moment."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from healing.core.decide import FLEET_CEILING
from healing.models import Attempt
from healing.store import windows
from healing.store.clock import db_now
from tests.integration.asking.rows import make_attempt, make_container, make_failure

pytestmark = pytest.mark.django_db


def waits_for_the_fleet(host_id: int) -> bool:
    with CaptureQueriesContext(connection) as captured, transaction.atomic():
        windows.locked(host_id)
    return any("healing_systemstate" in query["sql"] for query in captured)


def test_decisions_about_all_hosts_wait_for_each_other_long_before_the_ceiling() -> None:
    """Each host's decisions wait for each other anyway: together they could pass it by as many as there are hosts."""
    host_id = make_container().host_id
    for number in range(FLEET_CEILING // 4):
        assert not waits_for_the_fleet(host_id)
        failure = make_failure(make_container(f"c{number}", host="h2"), took=None)
        make_attempt(failure, state="called")
    assert waits_for_the_fleet(host_id)


def under_way(state: str, called: float = 1.0, due: float = 0.0, reason: str = "") -> Attempt:
    """A later attempt, decided and called so many seconds ago, and due so many seconds ago."""
    now = db_now()
    failure = make_failure(
        make_container(), took=None, due_at=now - timedelta(seconds=due), stage="restart", reason=reason
    )
    at = now - timedelta(seconds=called)
    return make_attempt(failure, state=state, intent_at=at, called_at=at, row_number=2)


@pytest.mark.parametrize(
    "abandoned",
    [
        {"state": "intended", "called": 660.0},
        {"state": "called", "due": 61.0},
        {"state": "called", "reason": "could not look: no answer within 10 s"},
        {"state": "verifying", "reason": "could not look: no answer within 10 s"},
    ],
)
def test_what_no_call_can_follow_from_takes_no_place(abandoned: dict[str, Any]) -> None:
    """Nobody may be there to take it up, or its container hangs: others would wait for it for ever."""
    host_id = under_way(**abandoned).container.host_id
    with transaction.atomic():
        load = windows.locked(host_id)
    assert (load.window.repeated, load.fleet) == (0, 0)


@pytest.mark.parametrize(
    "going_on",
    [
        {"state": "intended", "called": 601.0},
        {"state": "intended", "reason": "could not look: no answer within 10 s"},
        {"state": "called", "called": 7200.0, "due": -1.0},
        {"state": "called", "due": 30.0},
    ],
)
def test_what_may_still_be_called_or_answered_keeps_its_place(going_on: dict[str, Any]) -> None:
    """The limits count it, however long its container may take to stop."""
    host_id = under_way(**going_on).container.host_id
    with transaction.atomic():
        load = windows.locked(host_id)
    assert (load.window.repeated, load.fleet) == (1, 1)
