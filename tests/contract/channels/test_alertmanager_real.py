"""What the alertmanager channel sends, taken by a real Alertmanager: it fires there, changes there, and ends there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from notifications.channels import Policy, build
from notifications.core.alert import Alert, AlertKind, AlertLevel, Link, Message, Told
from tests.contract.channels.test_alertmanager import FULL
from tests.testbed.alertmanager import Alertmanager, alertmanager
from tests.testbed.paths import ServiceMissingError


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Alertmanager]:
    try:
        running = alertmanager(tmp_path, {"route": {"receiver": "none"}, "receivers": [{"name": "none"}]})
        with running as started:
            yield started
    except ServiceMissingError as error:
        pytest.skip(str(error))


def send(server: Alertmanager, *alerts: Alert) -> str:
    now = datetime.now(UTC)
    told = tuple(Told(f"id-{number}", now, alert) for number, alert in enumerate(alerts))
    link = Link("open", "Open", "https://selfheal.example/failures/8")
    message = Message("id", now, alerts[0], alerts=told, links=(link,))
    config = {"urls": [server.url], "labels": ["com.example.team", "9lives"]}
    return str(build("alertmanager", config, policy=Policy(allow_private=True)).send(message))


def firing(server: Alertmanager) -> set[tuple[str, str, str]]:
    """Container, name and severity of what fires there."""
    labels = [alert["labels"] for alert in server.get("alerts?active=true")]
    return {(each["container"], each["alertname"], each["severity"]) for each in labels}


def test_alert_fires_changes_and_ends(server: Alertmanager) -> None:
    """Protects people who have their alerts in Alertmanager: none is refused, none stays for ever."""
    since = datetime.now(UTC) - timedelta(minutes=5)
    alert = replace(FULL, details={"since": since.isoformat(), "cause": "out of memory"})
    other = replace(alert, container="shop-db-1")
    assert send(server, alert, other) == "told 1 of 1: 200"
    assert firing(server) == {
        ("shop-web-1", "container_failed", "error"),
        ("shop-db-1", "container_failed", "error"),
    }
    (stored,) = (one for one in server.get("alerts") if one["labels"]["container"] == "shop-web-1")
    assert stored["labels"]["com_example_team"] == "blue"
    assert stored["labels"]["_9lives"] == "yes"
    assert stored["annotations"]["cause"] == "out of memory"
    assert stored["generatorURL"] == "https://selfheal.example/failures/8"
    assert abs(datetime.fromisoformat(stored["startsAt"]) - since) < timedelta(seconds=1)

    fired_as = [{"alertname": "container_failed", "severity": "error"}]
    graver = replace(
        alert,
        alertname="quarantined",
        level=AlertLevel.CRITICAL,
        details={**alert.details, "fired_as": fired_as},
    )
    send(server, graver)
    assert firing(server) == {
        ("shop-web-1", "quarantined", "critical"),
        ("shop-db-1", "container_failed", "error"),
    }

    known = {"fired_as": [*fired_as, {"alertname": "quarantined", "severity": "critical"}]}
    end = replace(graver, level=AlertLevel.INFO, kind=AlertKind.RESOLVED, details={**alert.details, **known})
    send(server, end, replace(other, level=AlertLevel.INFO, kind=AlertKind.RESOLVED))
    assert firing(server) == set()
