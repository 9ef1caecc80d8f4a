"""What matchers see of an alert."""

from __future__ import annotations

from notifications.core.alert import Alert, AlertLevel
from notifications.core.labels import BUILT_IN, labels_of


def test_built_in_labels() -> None:
    """Protects the names that routes and silences are written with."""
    alert = Alert(
        level=AlertLevel.CRITICAL,
        title="down",
        alertname="container_failed",
        failure_type="container_stopped",
        host="node-1",
        project="shop",
        service="web",
        container="shop-web-1",
        tenant="acme",
    )
    assert labels_of(alert) == {
        "alertname": "container_failed",
        "container": "shop-web-1",
        "failure_type": "container_stopped",
        "host": "node-1",
        "project": "shop",
        "service": "web",
        "severity": "critical",
        "tenant": "acme",
    }
    assert set(labels_of(alert)) == set(BUILT_IN)


def test_container_labels_stand_beside_them() -> None:
    """Protects routing by a team's own labels."""
    alert = Alert(AlertLevel.INFO, "t", host="a", labels={"com.example.team": "blue", "zone": "z"})
    assert labels_of(alert) == {"com.example.team": "blue", "host": "a", "severity": "info", "zone": "z"}


def test_container_labels_never_override() -> None:
    """Protects routing from a container that calls itself critical, or of another host or tenant."""
    forged = dict.fromkeys(BUILT_IN, "forged")
    alert = Alert(AlertLevel.INFO, "t", host="a", labels=forged)
    assert labels_of(alert) == {"host": "a", "severity": "info"}


def test_empty_is_absent() -> None:
    """Protects grouping: an empty label and none are the same."""
    assert labels_of(Alert(AlertLevel.INFO, "t", labels={"team": ""})) == {"severity": "info"}
