"""Several processes at once on one PostgreSQL: nothing is lost, told twice, or brought to a standstill."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from notifications import dispatch
from notifications.channels import fake
from notifications.core.alert import AlertKind, AlertLevel, Outcome
from notifications.models import AlertGroup, Delivery, Notification, Route
from notifications.routes import root
from tests.integration.notifications.conftest import fake_channel, join_senders, written
from tests.integration.notifications.test_grouping import alert

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("bare"),
]


def at_once(*steps: Callable[[], object]) -> list[BaseException]:
    """Run each in a thread with a connection of its own; what they raised."""
    errors: list[BaseException] = []

    def run(step: Callable[[], object]) -> None:
        try:
            step()
        except BaseException as error:
            errors.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(step,)) for step in steps]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return errors


def test_workers_hints_and_sweeper_at_once(caplog: pytest.LogCaptureFixture) -> None:
    """Protects from deadlocks and doubles: two ways for each alert, ends in between, four that deliver and one that writes."""
    for name in ("a", "b"):
        fake_channel(name, rate_limit=0)
    Route.objects.filter(pk=root().pk).update(group_wait=timedelta(0), group_interval=timedelta(0))
    Route.objects.create(parent=root(), name="one", matchers='project="shop"', continue_matching=True)
    Route.objects.create(parent=root(), name="two", matchers='project="shop"', group_by=["service"])
    pages: list[str] = []

    def writes() -> None:
        for number in range(40):
            begin = alert(number, level=AlertLevel.CRITICAL if number % 4 == 0 else AlertLevel.WARNING)
            begin = replace(begin, host=f"h{number % 5}")
            row = written(begin)
            if number % 4 == 0:
                pages.append(str(row.pk))
            if number % 3 == 0:
                written(
                    replace(begin, kind=AlertKind.RESOLVED, level=AlertLevel.INFO, outcome=Outcome.HEALED)
                )

    def works() -> None:
        for _ in range(12):
            dispatch.deliver_due(seconds=2)

    def hinted() -> None:
        for _ in range(20):
            for page in pages[-2:]:
                dispatch.deliver(page)

    assert at_once(writes, works, works, works, hinted, hinted) == []
    for _ in range(3):
        dispatch.deliver_due(timezone.now() + timedelta(seconds=90))
    join_senders()
    assert "failed" not in caplog.text
    ids = Counter(message.id for message in fake.sent())
    assert set(ids.values()) == {2}, "each message goes once to each of two channels"
    assert not Delivery.objects.exclude(state="sent").exists()
    assert set(Notification.objects.values_list("state", flat=True)) <= {"sent", "merged"}
    assert AlertGroup.objects.filter(closed_at=None, members__isnull=False).exists()
