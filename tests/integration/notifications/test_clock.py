"""A process whose clock is wrong sends by the database's: what it writes down holds for all others."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from django.utils import timezone

from notifications import clock, dispatch, sending
from notifications.core.alert import Alert, AlertLevel
from notifications.models import Channel, Delivery
from tests.integration.notifications.conftest import fake_channel, written

ALERT = Alert(AlertLevel.CRITICAL, "web failed", alert_key="container:1", container="web", alertname="x")
HOURS = timedelta(hours=2)

pytestmark = pytest.mark.usefixtures("at_once")


def moments() -> list[datetime]:
    """What a send that failed for now leaves behind for others."""
    channel, delivery = Channel.objects.get(), Delivery.objects.get()
    assert channel.blocked_until is not None
    assert channel.failing_since is not None
    return [channel.blocked_until, channel.failing_since, delivery.next_try_at]


def test_sending_asks_the_database_for_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Protects what test_clock_of_others is for, where only SQLite is at hand: no step takes the process's own time."""
    there = timezone.now() - HOURS
    for module in (clock, dispatch, sending):
        monkeypatch.setattr(module, "db_now", lambda: there)
    fake_channel(config={"fail": "temporary"})
    dispatch.deliver(str(written(ALERT).pk))
    assert all(abs(moment - there) < timedelta(minutes=1) for moment in moments())


def test_round_goes_by_the_steady_clock() -> None:
    """Protects leases from a clock that is set while messages are sent."""
    there = timezone.now() - HOURS
    turn = sending._Round(None, there)
    assert timedelta(0) <= turn.now - there < timedelta(minutes=1)
