"""A process whose clock is wrong, beside PostgreSQL's: with SQLite there is only one clock."""

from __future__ import annotations

from datetime import timedelta

import pytest
import time_machine
from django.utils import timezone

from notifications import dispatch
from notifications.models import Delivery
from tests.integration.notifications.conftest import fake_channel, written
from tests.integration.notifications.test_clock import ALERT, HOURS, moments

pytestmark = pytest.mark.usefixtures("at_once")


@pytest.mark.parametrize("wrong", [HOURS, -HOURS])
def test_wrong_clock_blocks_no_channel_and_takes_no_lease_over(wrong: timedelta) -> None:
    """Protects all others from one machine's clock: a channel that failed once is free again after seconds."""
    fake_channel(config={"fail": "temporary"})
    row = written(ALERT)
    now = timezone.now()
    with time_machine.travel(now + wrong):
        dispatch.deliver(str(row.pk))
        dispatch.deliver_due()
    assert all(abs(moment - now) < timedelta(minutes=1) for moment in moments())
    assert Delivery.objects.get().tries == 1
