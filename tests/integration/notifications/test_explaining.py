"""Which way an alert would go: the same that the flow takes, with the reason for every other one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from notifications import intake, routes
from notifications.core.alert import Alert, AlertLevel
from notifications.explaining import Explanation, Passage, explain
from notifications.models import (
    AlertGroup,
    Channel,
    InhibitRule,
    Notification,
    Receiver,
    RotationMember,
    Route,
    Silence,
    TimeInterval,
)
from tests.integration.notifications.admin.rows import make_alert

pytestmark = pytest.mark.django_db

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)  # a Wednesday


@pytest.fixture(autouse=True)
def only_ours() -> None:
    Channel.objects.all().delete()


def channel(name: str, **fields: Any) -> Channel:
    return Channel.objects.create(name=name, kind="log", **fields)


def receiver(name: str, *channels: Channel) -> Receiver:
    made = Receiver.objects.create(name=name)
    made.channels.set(channels)
    return made


def route(name: str, matchers: str, position: int = 0, parent: Route | None = None, **fields: Any) -> Route:
    parent = parent or routes.root()
    return Route.objects.create(parent=parent, name=name, matchers=matchers, position=position, **fields)


def alert(level: AlertLevel = AlertLevel.WARNING, **fields: Any) -> Alert:
    return Alert(level, "made up", alert_key="made-up", alertname="container_failed", **fields)


def passages(explanation: Explanation) -> dict[str, tuple[Passage, str]]:
    return {verdict.name: (verdict.passage, verdict.reason) for verdict in explanation.routes}


def verdicts(explanation: Explanation) -> dict[str, tuple[bool, str]]:
    return {each.channel.name: (each.takes, each.reason) for way in explanation.ways for each in way.channels}


def test_every_route_says_why() -> None:
    """A person sees which matcher kept a route from taking the alert, and which route took it first."""
    shop = route("shop", 'project="shop"', 1)
    route("shop db", 'service="db"', parent=shop)
    route("shop web", 'service=~"web.*"', 1, parent=shop, continue_matching=True)
    route("blog", 'project="blog"', 0)
    route("late", 'project=~"shop|blog"', 2)
    found = passages(explain(alert(project="shop", service="web-1"), NOON))
    assert found == {
        "everything": (Passage.LEADS, "matches, and so does a route below it"),
        "blog": (Passage.NO_MATCH, 'project="blog": project is "shop"'),
        "shop": (Passage.LEADS, "matches, and so does a route below it"),
        "shop db": (Passage.NO_MATCH, 'service="db": service is "web-1"'),
        "shop web": (Passage.TAKES, "matches"),
        "late": (Passage.UNASKED, "shop before it takes the alert and does not continue"),
    }


def test_what_is_below_a_route_that_does_not_match_is_not_asked() -> None:
    """A matcher that would match says nothing where its parent does not lead there; a missing label is said to be missing."""
    shop = route("shop", 'tenant="shop"')
    route("shop web", 'service="web"', parent=shop)
    found = passages(explain(alert(service="web"), NOON))
    assert found["shop"] == (Passage.NO_MATCH, 'tenant="shop": there is no tenant')
    assert found["shop web"] == (Passage.UNASKED, "shop above it is not on the way")
    assert found["everything"] == (Passage.TAKES, "matches, and none below it does")


def test_the_groups_are_those_that_the_flow_makes() -> None:
    """What the page says of routes, groups and first turns is what intake then does."""
    route("a", 'project="shop"', 0, continue_matching=True, group_by=["project"])
    route("b", 'host="node-1"', 1, group_by=["..."], group_wait=timedelta(minutes=1))
    explained = explain(alert(project="shop", host="node-1"), NOON)
    Notification.objects.create(
        level="warning", title="x", alert_key="k", alertname="container_failed", project="shop", host="node-1",
        created_at=NOON, route_at=NOON,
    )  # fmt: skip
    intake.take_in(NOON)
    made = {
        (group.route_id, tuple(group.labels.items()), group.flush_at) for group in AlertGroup.objects.all()
    }
    said = {(way.way.route_id, tuple(way.group_labels.items()), way.first_at) for way in explained.ways}
    assert said == made and len(made) == 2
    assert all(way.group is None for way in explained.ways)
    again = explain(alert(project="shop", host="node-1"), NOON)
    assert {way.group for way in again.ways} == set(AlertGroup.objects.all())
    critical = explain(alert(AlertLevel.CRITICAL, project="shop", host="node-1"), NOON)
    assert {way.first_at for way in critical.ways} == {NOON}


def test_channels_say_why_they_are_not_told() -> None:
    """Level, switch and what a channel wants to hear about healing are each named."""
    channel("takes")
    channel("graver only", min_level="error")
    channel("off", enabled=False, disabled_reason="failed for a week")
    channel("given up", tell="gave_up")
    found = verdicts(explain(alert(), NOON))
    assert found["takes"] == (True, "")
    assert found["graver only"] == (False, "it takes error and above")
    assert found["off"] == (False, "it is switched off: failed for a week")
    assert found["given up"][0] is False and "gave up" in found["given up"][1]


def test_who_is_on_duty_is_told() -> None:
    """Of a rotation the one whose shift it is, with that one's channels."""
    ann, bob = receiver("ann", channel("ann-mail")), receiver("bob", channel("bob-mail"))
    team = Receiver.objects.create(name="team", rotation_start=NOON - timedelta(days=8))
    for position, member in enumerate((ann, bob)):
        RotationMember.objects.create(rotation=team, position=position, member=member)
    route("ops", "", receiver=team)
    (way,) = explain(alert(), NOON).ways
    assert (way.receiver, way.on_duty) == ("team", "bob")
    assert [each.channel.name for each in way.channels] == ["bob-mail"]


def test_a_silence_an_inhibition_and_a_time_are_named() -> None:
    """Each of the three that can mute is found, and no channel is told meanwhile."""
    channel("mail")
    silence = Silence.objects.create(
        matchers='host="node-1"',
        starts_at=NOON,
        ends_at=NOON + timedelta(hours=1),
        created_by="ann",
        comment="moving",
    )
    found = explain(alert(host="node-1"), NOON)
    assert found.muted is not None and found.muted.by == str(silence.pk)
    assert verdicts(found)["mail"] == (False, found.muted.reason) and "moving" in found.muted.reason
    InhibitRule.objects.create(
        name="hosts", source_matchers='alertname="host_down"', target_matchers='alertname="container_failed"', equal=["host"]
    )  # fmt: skip
    make_alert("host:2", alertname="host_down", host="node-2")
    found = explain(alert(host="node-2"), NOON)
    assert found.muted is not None and "rule 'hosts'" in found.muted.reason
    quiet = TimeInterval.objects.create(name="wednesdays", spec=[{"weekdays": ["wednesday"]}])
    route("ops", "").mute_intervals.add(quiet)
    found = explain(alert(host="node-3"), NOON)
    assert found.muted is None and found.ways[0].muted is not None
    assert "wednesdays" in found.ways[0].muted.reason and not found.ways[0].is_told


def test_it_tells_nobody() -> None:
    """Asking writes no notification, alert, group or delivery."""
    channel("mail")
    explain(alert(AlertLevel.CRITICAL), NOON)
    assert not Notification.objects.exists() and not AlertGroup.objects.exists()
