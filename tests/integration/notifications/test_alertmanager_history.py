"""An Alertmanager is told the end of all that it was told the begin of."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from notifications.core.alert import Alert, AlertKind, AlertLevel, Told
from notifications.history import with_history
from notifications.models import Notification

pytestmark = pytest.mark.django_db

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


def written(
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
    written(-9, "warning", name="crash_loop")
    written(-8, "info", kind="resolved", name="crash_loop")
    first = written(0, "warning")
    second = written(1, "critical", name="quarantined")
    end = written(2, "info", kind="resolved", name="quarantined")
    written(3, "error")
    written(0, "error", key="container:8")
    assert fired_as(first) == [("container_failed", "warning")]
    assert fired_as(second) == [("container_failed", "warning"), ("quarantined", "critical")]
    assert fired_as(end) == fired_as(second)


def test_details_stay_plain_json_and_others_stay() -> None:
    """Protects the channel that sends them on, and alerts without a key."""
    told = written(0, "error")
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
    told = [written(number, "error", key=f"container:{number}") for number in range(20)]
    with CaptureQueriesContext(connection) as statements:
        with_history(told)
    assert len(statements) == 2
