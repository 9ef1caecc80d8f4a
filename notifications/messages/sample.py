"""A made-up message, for trying templates out: a group in which everything occurs that a message can hold."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from notifications.core.alert import Alert, AlertKind, AlertLevel, Link, Message, Outcome, Told
from notifications.messages.words import CHINESE, language_of

SAMPLE_URL = "https://selfheal.example.org"
_NOW = datetime(2026, 3, 1, 3, 12, 40, tzinfo=UTC)
_PAGE = "/admin/healing/failurerecord/1/change/"
_ADDRESSES = {
    "ack": f"{SAMPLE_URL}/alerts/?t=acknowledge",
    "silence": f"{SAMPLE_URL}/alerts/?t=silence",
    "open": f"{SAMPLE_URL}{_PAGE}",
}
_LABELS = {
    "en": {"ack": "Acknowledge", "silence": "Silence for 1 h", "open": "Open"},
    "zh-hans": {"ack": "确认", "silence": "静默 1 小时", "open": "打开"},
}


def sample_message(language: str) -> Message:
    """A container that was given up, one that is being healed, and one that is healthy again."""
    worst = _given_up()
    told = (Told("0001", _NOW, worst), Told("0002", _NOW, _failing()), Told("0003", _NOW, _healed()))
    labels = _LABELS[CHINESE if language_of(language) == CHINESE else "en"]
    return Message(
        id="00000000-0000-4000-8000-000000000001",
        created_at=_NOW,
        alert=worst,
        alerts=told,
        thread="sample",
        group_labels={"host": "node-1", "project": "shop"},
        receiver="on-call",
        reason="new alerts fire",
        links=tuple(Link(action, label, _ADDRESSES[action]) for action, label in labels.items()),
    )


def _at(seconds: float) -> str:
    return (_NOW - timedelta(seconds=seconds)).isoformat()


def _tried(action: str, ago: float, seconds: float) -> dict[str, object]:
    return {"action": action, "at": _at(ago), "result": "failed", "seconds": seconds, "why": "exited again"}


def _given_up() -> Alert:
    return Alert(
        level=AlertLevel.CRITICAL,
        title="shop-web-1 is quarantined: 3 of 3 attempts did not help",
        body="Connection refused by its database (exit code 1)\nNext: a silent trial at 04:12:40 UTC.",
        host="node-1",
        project="shop",
        service="web",
        container="shop-web-1",
        alert_key="container:1",
        alertname="quarantined",
        failure_type="container_stopped",
        tenant="shop team",
        outcome=Outcome.GAVE_UP,
        labels={"team": "shop", "tier": "frontend"},
        details={
            "since": _at(310),
            "cause": "a dependency refuses connections",
            "evidence": ["Its process has ended: exit code 1.", "Probe http: connection refused"],
            "log_tail": [
                "03:12:28 starting on port 8000",
                "03:12:31 connecting to db:5432 as <shop>",
                "03:12:31 FATAL: connection refused",
            ],
            "health_output": "curl: (7) Failed to connect to localhost port 8000",
            "tried": [
                _tried("restart", 305, 12.0),
                _tried("restart", 250, 11.0),
                _tried("recreate", 100, 31.0),
            ],
            "next": "Nothing, until a person releases it (manage.py release shop-web-1) or a silent trial at 04:12:40 UTC.",
            "path": _PAGE,
        },
    )


def _failing() -> Alert:
    return Alert(
        level=AlertLevel.WARNING,
        title="shop-worker-1 is unhealthy: restarting",
        host="node-1",
        project="shop",
        service="worker",
        container="shop-worker-1",
        alert_key="container:2",
        alertname="container_failed",
        failure_type="health_check_failed",
        details={"since": _at(20), "path": "/admin/healing/failurerecord/2/change/"},
    )


def _healed() -> Alert:
    return Alert(
        level=AlertLevel.INFO,
        title="shop-cache-1 is healthy again",
        kind=AlertKind.RESOLVED,
        host="node-1",
        project="shop",
        service="cache",
        container="shop-cache-1",
        alert_key="container:3",
        alertname="container_failed",
        failure_type="health_check_failed",
        outcome=Outcome.HEALED_AT_FIRST,
        details={"since": _at(95), "path": "/admin/healing/failurerecord/3/change/"},
    )
