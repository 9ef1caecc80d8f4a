"""The fleet's ceiling holds however many decide at the same moment."""

from __future__ import annotations

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from healing.core.decide import FLEET_CEILING
from healing.store import windows
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
