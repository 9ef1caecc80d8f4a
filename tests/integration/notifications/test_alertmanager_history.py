"""An Alertmanager is told the end of all that it was told the begin of."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from notifications import dispatch
from notifications.core.alert import Alert, AlertKind, AlertLevel, Told
from notifications.history import with_history
from notifications.models import Channel, Delivery, Notification
from tests.contract.channels.receiver import Receiver
from tests.integration.notifications import conftest

pytestmark = pytest.mark.django_db(transaction=True)

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


def row(
    minute: int, level: str, kind: str = "firing", name: str = "container_failed", key: str = "container:7"
) -> Told:
    at = NOON + timedelta(minutes=minute)
    row = Notification.objects.create(
        created_at=at, level=level, kind=kind, alertname=name, alert_key=key, title=f"{minute}"
    )
    return row.told()


def fired_as(told: Told) -> list[tuple[str, str]]:
    (one,) = with_history([told])
    return [(each["alertname"], each["severity"]) for each in one.alert.details.get("fired_as", [])]


def test_end_names_all_it_ends() -> None:
    """Protects from alerts that fire there for ever: since the last end before, under every name and level."""
    row(-9, "warning", name="crash_loop")
    row(-8, "info", kind="resolved", name="crash_loop")
    first = row(0, "warning")
    second = row(1, "critical", name="quarantined")
    end = row(2, "info", kind="resolved", name="quarantined")
    row(3, "error")
    row(0, "error", key="container:8")
    assert fired_as(first) == [("container_failed", "warning")]
    assert fired_as(second) == [("container_failed", "warning"), ("quarantined", "critical")]
    assert fired_as(end) == fired_as(second)


def test_details_stay_plain_json_and_others_stay() -> None:
    """Protects the channel that sends them on, and alerts without a key."""
    told = row(0, "error")
    (one,) = with_history([told])
    assert json.loads(json.dumps(one.alert.details)) == {
        "fired_as": [{"alertname": "container_failed", "severity": "error"}]
    }
    loose = Told("x", NOON, Alert(level=AlertLevel.INFO, title="x", kind=AlertKind.RESOLVED))
    assert with_history([loose]) == [loose]
    unknown = Told("x", NOON, Alert(level=AlertLevel.INFO, title="x", alert_key="new"))
    assert with_history([unknown]) == [unknown]


def test_group_costs_two_statements() -> None:
    """Protects a storm from a statement for each of its alerts."""
    told = [row(number, "error", key=f"container:{number}") for number in range(20)]
    with CaptureQueriesContext(connection) as statements:
        with_history(told)
    assert len(statements) == 2


@pytest.mark.usefixtures("at_once")
def test_the_dispatcher_has_it_sent(receiver: Receiver) -> None:
    """Protects the whole way: what fired under one name and went on under another has ended under both."""
    config = {"urls": [receiver.url]}
    Channel.objects.create(name="am", kind="alertmanager", config=config, allow_private=True)
    alert = Alert(
        level=AlertLevel.WARNING,
        title="x",
        alertname="container_failed",
        container="web",
        alert_key="container:7",
    )
    graver = replace(alert, level=AlertLevel.CRITICAL, alertname="quarantined")
    for each in (alert, graver, replace(graver, level=AlertLevel.INFO, kind=AlertKind.RESOLVED)):
        conftest.written(each)
        dispatch.deliver_due(timezone.now() + timedelta(seconds=1))
    ends = [
        {
            (entry["labels"]["alertname"], entry["labels"]["severity"])
            for entry in json.loads(received.body)
            if is_over(entry)
        }
        for received in receiver.received
    ]
    failed, quarantined = ("container_failed", "warning"), ("quarantined", "critical")
    assert ends[:2] == [set(), {failed}]
    assert ends[2:]
    assert all(end == {failed, quarantined} for end in ends[2:])


def is_over(entry: dict[str, Any]) -> bool:
    return datetime.fromisoformat(entry["endsAt"]) <= timezone.now() + timedelta(minutes=1)


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize(
    ("url", "allow_private", "why"),
    [
        (
            "http://169.254.169.254/latest/meta-data/T0KEN",
            True,
            "169.254.169.254 must not be called: it is a cloud",
        ),
        ("http://localhost:{port}/T0KEN", False, "localhost must not be called: it leads to"),
    ],
)
def test_refusal_is_on_the_record(url: str, allow_private: bool, why: str, receiver: Receiver) -> None:
    """Protects people from wondering: the delivery says which address was refused, and why, and is not tried again."""
    config = {"url": url.format(port=receiver.port)}
    Channel.objects.create(name="hook", kind="webhook", config=config, allow_private=allow_private)
    conftest.written(Alert(level=AlertLevel.ERROR, title="x", alert_key="container:7"))
    dispatch.deliver_due(timezone.now() + timedelta(seconds=1))
    delivery = Delivery.objects.get()
    assert (delivery.state, delivery.tries) == ("failed", 1)
    assert why in delivery.error
    assert "T0KEN" not in delivery.error
    assert receiver.received == []
