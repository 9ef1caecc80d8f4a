"""What is sent to an Alertmanager: by the rules of its own OpenAPI file, and so that what fires there ends there."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from notifications.channels import build
from notifications.channels.alertmanager import AlertmanagerChannel, labels_of, legal_name, postable_alerts
from notifications.core.alert import Alert, AlertKind, AlertLevel, Link, Message, Told
from notifications.core.errors import ConfigError, PermanentError, TemporaryError
from tests.contract.channels.openapi import Rules
from tests.contract.channels.receiver import Receiver, receiving
from tests.contract.channels.samples import MESSAGE
from tests.contract.channels.test_http_channels import group

SINCE = "2026-01-02T03:00:00+00:00"
FULL = Alert(
    level=AlertLevel.ERROR,
    title="web is down",
    body="exit code 137\nout of memory",
    alertname="container_failed",
    failure_type="oom",
    host="local",
    project="shop",
    service="web",
    container="shop-web-1",
    tenant="shop-team",
    alert_key="container:7",
    labels={"com.example.team": "blue", "9lives": "yes", "other": "x"},
    details={"since": SINCE, "cause": "out of memory", "next": "restart"},
)


@pytest.fixture
def second() -> Iterator[Receiver]:
    """Another member of the cluster."""
    with receiving() as running:
        yield running


def message_of(alert: Alert, **fields: Any) -> Message:
    return replace(MESSAGE, alert=alert, **fields)


def identities(entries: list[dict[str, Any]]) -> set[tuple[tuple[str, str], ...]]:
    """What Alertmanager tells alerts apart by."""
    return {tuple(sorted(entry["labels"].items())) for entry in entries}


@pytest.mark.parametrize("kind", list(AlertKind))
@pytest.mark.parametrize("level", list(AlertLevel))
@pytest.mark.parametrize("alert", [FULL, MESSAGE.alert, Alert(level=AlertLevel.INFO, title="x")])
def test_body_is_valid_by_the_openapi_file(
    kind: AlertKind, level: AlertLevel, alert: Alert, receiver: Receiver
) -> None:
    """Protects from a 400: types, required parts, formats, and what its code demands beyond the file."""
    told = replace(alert, kind=kind, level=level)
    link = Link("open", "Open", "https://selfheal.example/failures/8")
    build("alertmanager", {"urls": [receiver.url], "labels": ["com.example.team", "9lives"]}).send(
        message_of(told, links=(link,))
    )
    (received,) = receiver.received
    assert received.path == "/hook/api/v2/alerts"
    assert received.headers["Content-Type"] == "application/json"
    entries = json.loads(received.body)
    assert entries
    assert Rules().faults(entries, "post", "/alerts") == []
    for entry in entries:
        assert all(
            re.fullmatch(r"[a-zA-Z_][a-zA-Z0-9_]*", name) for name in entry["labels"] | entry["annotations"]
        )
        assert all(entry["labels"].values())
        starts = entry.get("startsAt", entry["endsAt"])
        assert datetime.fromisoformat(starts) <= datetime.fromisoformat(entry["endsAt"])
        assert entry["generatorURL"] == link.url


def test_the_rules_find_faults() -> None:
    """Protects the check itself from passing everything."""
    rules = Rules()
    for body, fault in (
        ({}, "body is no array"),
        ([{}], "lacks labels"),
        ([{"labels": {"a": 1}}], "labels.a is no string"),
        ([{"labels": {}, "startsAt": "2026-01-02 03:04"}], "is no date-time"),
        ([{"labels": {}, "generatorURL": "/x"}], "is no uri"),
        ([{"labels": {}, "status": "x"}], "unknown status"),
    ):
        (found,) = rules.faults(body, "post", "/alerts")
        assert fault in found


def test_firing_alert_says_all_it_knows() -> None:
    """Protects the routes of their configuration, which see labels, and people, who read annotations."""
    (entry,) = postable_alerts(message_of(FULL), 3600, ("com.example.team", "9lives", "absent"))
    assert entry == {
        "labels": {
            "alertname": "container_failed",
            "severity": "error",
            "host": "local",
            "project": "shop",
            "service": "web",
            "container": "shop-web-1",
            "tenant": "shop-team",
            "com_example_team": "blue",
            "_9lives": "yes",
        },
        "annotations": {
            "summary": "web is down",
            "description": "exit code 137\nout of memory",
            "failure_type": "oom",
            "cause": "out of memory",
            "next": "restart",
            "alert_key": "container:7",
        },
        "startsAt": SINCE,
        "endsAt": "2026-01-02T04:04:05+00:00",
    }


@pytest.mark.parametrize("fired", list(AlertLevel))
def test_end_closes_what_fired(fired: AlertLevel) -> None:
    """Protects from alerts that fire there for ever: a resolution is info here, what it ends was graver."""
    began = postable_alerts(message_of(replace(FULL, level=fired)))
    ended = postable_alerts(message_of(replace(FULL, level=AlertLevel.INFO, kind=AlertKind.RESOLVED)))
    assert identities(began) <= identities(ended)
    assert {entry["endsAt"] for entry in ended} == {MESSAGE.created_at.isoformat()}


def test_end_closes_every_name_under_which_it_fired() -> None:
    """Protects from a failure that stays open there after it went on as a quarantine, and from ends of what never was."""
    first = replace(FULL, level=AlertLevel.WARNING)
    fired_as = [
        {"alertname": "container_failed", "severity": "warning"},
        {"alertname": "quarantined", "severity": "critical"},
    ]
    details = {**FULL.details, "fired_as": fired_as}
    graver = replace(FULL, alertname="quarantined", level=AlertLevel.CRITICAL, details=details)
    end = replace(graver, kind=AlertKind.RESOLVED, level=AlertLevel.INFO)
    began, later, ended = (postable_alerts(message_of(alert)) for alert in (first, graver, end))
    fires = [entry for entry in later if entry["endsAt"] > MESSAGE.created_at.isoformat()]
    over = [entry for entry in later if entry not in fires]
    assert identities(fires) == {*identities(later)} - identities(began)
    assert identities(over) == identities(began)
    assert identities(ended) == identities(began) | identities(fires)


def test_event_ends_by_itself() -> None:
    """Protects from a day of firing for what has no end."""
    (entry,) = postable_alerts(message_of(replace(FULL, is_event=True)))
    assert entry["endsAt"] == "2026-01-02T04:04:05+00:00"


def test_begin_after_the_end_is_left_out() -> None:
    """Protects from the 400 that such a pair is answered with, where two clocks differ."""
    late = replace(FULL, kind=AlertKind.RESOLVED, details={"since": "2027-01-01T00:00:00+00:00"})
    assert all("startsAt" not in entry for entry in postable_alerts(message_of(late)))
    odd = replace(FULL, details={"since": "yesterday"})
    (entry,) = postable_alerts(message_of(odd))
    assert entry["startsAt"] == MESSAGE.created_at.isoformat()


def test_group_goes_as_a_list(receiver: Receiver) -> None:
    """Protects groups: each alert of it fires there by itself."""
    message = group(3)
    ended = Told(
        "x",
        MESSAGE.created_at,
        replace(FULL, kind=AlertKind.RESOLVED, container="gone", details={"fired_as": []}),
    )
    build("alertmanager", {"urls": [receiver.url]}).send(replace(message, alerts=(*message.alerts, ended)))
    assert len(json.loads(receiver.received[0].body)) == 3


@pytest.mark.parametrize(
    ("name", "legal"),
    [("a.b-c/d", "a_b_c_d"), ("9a", "_9a"), ("", "_"), ("容器", "__"), ("ok_1", "ok_1"), ("a:b", "a_b")],
)
def test_names_of_labels_are_made_legal(name: str, legal: str) -> None:
    """Protects from a 400 for labels as Compose has them."""
    assert legal_name(name) == legal


def test_own_label_does_not_replace_what_selfheal_knows() -> None:
    """Protects routes from a container that calls itself harmless."""
    assert labels_of(replace(FULL, labels={"severity": "none"}), ("severity",))["severity"] == "error"


def test_every_member_is_told(receiver: Receiver, second: Receiver) -> None:
    """Protects a highly available pair, each of which expects every alert."""
    answer = build("alertmanager", {"urls": [receiver.url, second.url]}).send(MESSAGE)
    assert answer == "told 2 of 2: 200 thanks"
    assert receiver.received[0].body == second.received[0].body


def test_one_member_is_enough(receiver: Receiver, second: Receiver) -> None:
    """Protects from repeats to the one that has it while the other is down, and says which was not told."""
    receiver.status = 503
    answer = build("alertmanager", {"urls": [receiver.url, second.url]}).send(MESSAGE)
    assert answer == "told 1 of 2; answered 503 thanks"
    assert len(second.received) == 1


def test_none_is_a_failure(receiver: Receiver, second: Receiver) -> None:
    """Protects alerts: tried again if it may help with one of them, and not before the earlier of their pauses is over."""
    channel = build("alertmanager", {"urls": [receiver.url, second.url]})
    receiver.status, receiver.headers = 503, {"Retry-After": "60"}
    second.status = 400
    with pytest.raises(TemporaryError, match="503 thanks; answered 400") as fault:
        channel.send(MESSAGE)
    assert fault.value.retry_after == 60
    receiver.status = 400
    with pytest.raises(PermanentError):
        channel.send(MESSAGE)


@pytest.mark.parametrize(
    ("config", "header"),
    [
        ({"username": "u", "password": "pa55word"}, "Basic " + base64.b64encode(b"u:pa55word").decode()),
        ({"token": "t0ken-of-mine"}, "Bearer t0ken-of-mine"),
        ({}, None),
    ],
)
def test_authorization(config: dict[str, str], header: str | None, receiver: Receiver) -> None:
    """Protects Alertmanagers behind a password; an answer that echoes it is masked."""
    receiver.body = f"you are {header}".encode()
    answer = build("alertmanager", {"urls": [receiver.url], **config}).send(MESSAGE)
    assert receiver.received[0].headers.get("Authorization") == header
    assert header is None or header not in answer


@pytest.mark.parametrize(
    ("config", "field"),
    [
        ({"urls": []}, "urls"),
        ({"urls": "http://h"}, "urls"),
        ({"urls": ["ftp://h"]}, "urls"),
        ({"token": "t", "username": "u"}, "token"),
        ({"password": "p"}, "username"),
        ({"firing_for": 5}, "firing_for"),
        ({"labels": [1]}, "labels"),
        ({"tls_verify": "no"}, "tls_verify"),
    ],
)
def test_config_is_refused_at_its_field(config: dict[str, Any], field: str) -> None:
    """Protects the form, which shows the error beside the field."""
    with pytest.raises(ConfigError) as refusal:
        build("alertmanager", {"urls": ["http://h"], **config})
    assert refusal.value.field == field


@pytest.mark.parametrize("url", ["http://h/am", "http://h/am/", "http://h/am/api/v2/alerts"])
def test_address_may_have_a_prefix_or_be_whole(url: str) -> None:
    """Protects people who copy either form."""
    channel = AlertmanagerChannel.from_config({"urls": [url]})
    assert channel.addresses == ("http://h/am/api/v2/alerts",)
