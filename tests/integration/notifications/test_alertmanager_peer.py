"""The same storm through a real Alertmanager and through ours: the same messages, to the same receivers."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from notifications import dispatch
from notifications.channels import fake
from notifications.core.alert import Alert, AlertLevel
from notifications.core.labels import labels_of
from notifications.models import InhibitRule, Receiver, Route, Silence
from notifications.routes import root
from tests.contract.channels.receiver import Receiver as Sink
from tests.integration.notifications.conftest import fake_channel, written
from tests.testbed.alertmanager import Alertmanager, alertmanager
from tests.testbed.wait import until

pytestmark = pytest.mark.usefixtures("bare")

START = datetime(2026, 3, 2, 12, tzinfo=UTC)
ROUTES: list[dict[str, Any]] = [
    {"receiver": "db", "matchers": ['service=~"db|cache"'], "group_by": ["host"], "continue": True},
    {
        "receiver": "shop",
        "matchers": ['project="shop"', 'severity!="info"'],
        "group_by": ["project", "service"],
    },
    {
        "receiver": "shop",
        "matchers": ['host=~"h[12]"'],
        "routes": [{"receiver": "db", "matchers": ['severity="error"'], "group_by": ["..."]}],
    },
]
INHIBIT = [
    {"source_matchers": ['alertname="host_down"'], "target_matchers": ['container=~".+"'], "equal": ["host"]}
]
SILENCED = {"name": "service", "value": "noisy.*", "isRegex": True, "isEqual": True}
GROUP_BY = ["alertname", "host", "project"]

Groups = set[tuple[str, frozenset[tuple[str, str]], frozenset[str]]]
"""Receiver, group labels, and the alerts of a message by host and container."""


@dataclass(frozen=True, slots=True)
class _Peer:
    server: Alertmanager
    sink: Sink


@pytest.fixture
def peer(tmp_path: Path, receiver: Sink) -> Iterator[_Peer]:
    receivers = [
        {"name": name, "webhook_configs": [{"url": f"{receiver.url}/{name}"}]}
        for name in ("all", "db", "shop")
    ]
    timings = {"group_wait": "2s", "group_interval": "1m", "repeat_interval": "4h"}
    route = {"receiver": "all", "group_by": GROUP_BY, "routes": ROUTES, **timings}
    config = {"route": route, "receivers": receivers, "inhibit_rules": INHIBIT}
    with alertmanager(tmp_path, config) as server:
        yield _Peer(server, receiver)


def storm() -> list[Alert]:
    """Four hundred alerts below critical, which alone differs: two hosts of six are down."""
    rng = random.Random(20260302)
    alerts = [
        Alert(
            level=rng.choice([AlertLevel.INFO, AlertLevel.WARNING, AlertLevel.ERROR]),
            title=f"c{number} failed",
            alertname=rng.choice(["container_failed", "crash_loop"]),
            host=f"h{rng.randrange(6)}",
            project=rng.choice(["shop", "bank", ""]),
            service=rng.choice(["db", "web", "cache", "noisy-1", ""]),
            container=f"c{number}",
            alert_key=f"container:{number}",
        )
        for number in range(400)
    ]
    down = [
        Alert(AlertLevel.ERROR, f"{host} is down", host=host, alertname="host_down", alert_key=f"host:{host}")
        for host in ("h3", "h5")
    ]
    return [*down, *alerts]


def theirs(peer: _Peer, alerts: list[Alert]) -> Groups:
    silence = {
        "matchers": [SILENCED],
        "startsAt": datetime.now(UTC).isoformat(),
        "endsAt": (datetime.now(UTC) + timedelta(hours=1)).isoformat(),
        "createdBy": "mia",
        "comment": "known",
    }
    peer.server.post("silences", silence)
    now = datetime.now(UTC).isoformat()
    peer.server.post("alerts", [{"labels": labels_of(alert), "startsAt": now} for alert in alerts])
    wanted = ours(alerts)
    until(lambda: len(_received(peer)) >= len(wanted), 20, "Alertmanager has told its groups")
    return _received(peer)


def _received(peer: _Peer) -> Groups:
    return {_group(fields) for _, fields in list(peer.sink.requests)}


def _group(fields: Mapping[str, Any]) -> tuple[str, frozenset[tuple[str, str]], frozenset[str]]:
    members = frozenset(_name(alert["labels"]) for alert in fields["alerts"])
    return fields["receiver"], frozenset(fields["groupLabels"].items()), members


def _name(labels: Mapping[str, str]) -> str:
    return f"{labels.get('host', '')}/{labels.get('container', '')}"


def _configure() -> None:
    receivers = {}
    for name in ("all", "db", "shop"):
        receivers[name] = Receiver.objects.create(name=name)
        receivers[name].channels.add(fake_channel(name, rate_limit=0))
    top = root()
    Route.objects.filter(pk=top.pk).update(receiver=receivers["all"], group_by=GROUP_BY)
    _add(top, ROUTES, receivers)
    rule = INHIBIT[0]
    InhibitRule.objects.all().delete()
    InhibitRule.objects.create(
        name="host",
        source_matchers=rule["source_matchers"][0],
        target_matchers=rule["target_matchers"][0],
        equal=rule["equal"],
    )
    Silence.objects.create(
        matchers='service=~"noisy.*"',
        starts_at=START,
        ends_at=START + timedelta(hours=1),
        created_by="mia",
        comment="known",
    )


def _add(parent: Route, routes: list[dict[str, Any]], receivers: Mapping[str, Receiver]) -> None:
    for position, given in enumerate(routes):
        row = Route.objects.create(
            parent=parent,
            position=position,
            name=f"{parent.name}/{position}",
            matchers="\n".join(given["matchers"]),
            receiver=receivers[given["receiver"]],
            group_by=given.get("group_by"),
            continue_matching=given.get("continue", False),
        )
        _add(row, given.get("routes", []), receivers)


def ours(alerts: list[Alert]) -> Groups:
    if not Receiver.objects.exists():
        _configure()
        for alert in alerts:
            written(alert, created_at=START, route_at=START)
        dispatch.deliver_due(START + timedelta(seconds=31), seconds=60)
    return {
        (
            message.receiver,
            frozenset(message.group_labels.items()),
            frozenset(_name(labels_of(told.alert)) for told in message.all),
        )
        for message in fake.sent()
    }


def test_same_storm_same_groups(peer: _Peer) -> None:
    """Protects those who know Alertmanager: routes, continue, grouping, silences and inhibition do what theirs do."""
    alerts = storm()
    expected = theirs(peer, alerts)
    found = ours(alerts)
    assert found == expected
    assert len(found) > 40
    told = {member for _, _, members in found for member in members}
    assert not any(member.startswith(("h3/c", "h5/c")) for member in told)


def test_repeated_and_unchanged_is_silent_in_both(peer: _Peer) -> None:
    """Protects from noise: the same alerts again, within the interval, tell nothing new in either."""
    alerts = [replace(alert, host="h0", service="") for alert in storm()[2:12]]
    expected = theirs(peer, alerts)
    now = datetime.now(UTC).isoformat()
    peer.server.post("alerts", [{"labels": labels_of(alert), "startsAt": now} for alert in alerts])
    for alert in alerts:
        written(alert, created_at=START + timedelta(seconds=40), route_at=START + timedelta(seconds=40))
    before = len(fake.sent())
    dispatch.deliver_due(START + timedelta(seconds=45))
    assert len(fake.sent()) == before
    assert _received(peer) == expected
