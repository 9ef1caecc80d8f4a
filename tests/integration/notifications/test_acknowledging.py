"""Acknowledging: what it takes, what it leaves, and what it ends."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from django.utils import timezone

from notifications.acknowledging import acknowledge, unacknowledge
from notifications.core.alert import AlertLevel
from notifications.escalating import escalate_due
from notifications.flushing import flush_due
from notifications.models import Channel, EscalationStep, Receiver
from notifications.routes import root
from tests.integration.notifications.asking import FAILED, active, end, tell, write
from tests.integration.notifications.conftest import fake_channel

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def channel() -> Channel:
    Channel.objects.all().delete()
    return fake_channel()


def test_the_first_who_acknowledges_is_on_record() -> None:
    """Protects from a second person who takes over without knowing."""
    tell(FAILED)
    now = timezone.now()
    assert acknowledge([active()], "ann", now) == 1
    assert acknowledge([active()], "bob", now + timedelta(seconds=1)) == 0
    assert (active().acknowledged_by, active().acknowledged_at) == ("ann", now)
    assert acknowledge([], "ann", now) == 0


def test_what_has_ended_is_not_acknowledged() -> None:
    """Protects the record: nobody took on what was over."""
    tell(FAILED)
    write(end(FAILED))
    assert acknowledge([active()], "ann", timezone.now()) == 0
    assert active().acknowledged_at is None


def test_what_has_got_worse_or_begun_anew_since_it_was_read_is_not_acknowledged() -> None:
    """Protects from silence about what nobody has seen."""
    tell(FAILED)
    read = active()
    write(replace(FAILED, level=AlertLevel.CRITICAL))
    assert acknowledge([read], "ann", timezone.now()) == 0
    read = active()
    write(end(FAILED))
    write(replace(FAILED, level=AlertLevel.CRITICAL))
    assert acknowledge([read], "ann", timezone.now()) == 0
    assert acknowledge([active()], "ann", timezone.now()) == 1


def test_a_rise_of_the_level_asks_again_and_the_same_level_does_not() -> None:
    """Protects from an acknowledged warning that hides a critical alert."""
    tell(FAILED)
    acknowledge([active()], "ann", timezone.now())
    write(FAILED)
    assert active().acknowledged_by == "ann"
    write(replace(FAILED, level=AlertLevel.ERROR))
    assert (active().acknowledged_at, active().acknowledged_by) == (None, "")


def test_an_acknowledgement_is_taken_back() -> None:
    """Protects from a person who cannot do it after all: others are told again."""
    tell(FAILED)
    assert unacknowledge([active()]) == 0
    acknowledge([active()], "ann", timezone.now())
    assert unacknowledge([active()]) == 1
    assert (active().acknowledged_at, active().acknowledged_by) == (None, "")


def test_acknowledged_alerts_are_not_repeated_but_their_end_is_told() -> None:
    """Protects who works on it from repeats, and everybody from never hearing that it is over."""
    message = tell(FAILED)
    later = message.created_at + timedelta(hours=5)
    acknowledge([active()], "ann", timezone.now())
    assert flush_due(later) == []
    unacknowledge([active()])
    assert len(flush_due(later + timedelta(minutes=6))) == 1
    acknowledge([active()], "ann", timezone.now())
    write(end(FAILED))
    assert len(flush_due(later + timedelta(minutes=12))) == 1


def test_acknowledging_stops_the_escalation(channel: Channel) -> None:
    """Protects the next in line from being woken for what somebody has taken on."""
    receiver = Receiver.objects.create(name="boss")
    receiver.channels.add(channel)
    EscalationStep.objects.create(route=root(), after=timedelta(minutes=15), receiver=receiver)
    message = tell(FAILED)
    due = message.created_at + timedelta(minutes=16)
    acknowledge([active()], "ann", timezone.now())
    assert escalate_due(due) == []
    unacknowledge([active()])
    assert len(escalate_due(due)) == 1


def test_what_rises_after_an_acknowledgement_escalates_from_the_rise_on(channel: Channel) -> None:
    """Protects the next in line from being woken before those who are on duty have heard that it is graver now."""
    receiver = Receiver.objects.create(name="boss")
    receiver.channels.add(channel)
    EscalationStep.objects.create(route=root(), after=timedelta(minutes=15), receiver=receiver)
    told = tell(FAILED).created_at
    acknowledge([active()], "ann", told + timedelta(minutes=1))
    rise = told + timedelta(hours=2)
    write(replace(FAILED, level=AlertLevel.ERROR), rise)
    assert active().acknowledged_at is None
    assert escalate_due(rise + timedelta(minutes=1)) == []
    assert len(escalate_due(rise + timedelta(minutes=15))) == 1


def test_what_rises_unacknowledged_escalates_from_its_first_message_on(channel: Channel) -> None:
    """Protects from what becomes graver and is escalated the later for it."""
    receiver = Receiver.objects.create(name="boss")
    receiver.channels.add(channel)
    EscalationStep.objects.create(route=root(), after=timedelta(minutes=15), receiver=receiver)
    told = tell(FAILED).created_at
    write(replace(FAILED, level=AlertLevel.ERROR), told + timedelta(minutes=14))
    assert len(escalate_due(told + timedelta(minutes=15))) == 1


@pytest.mark.parametrize("acknowledged", [False, True])
def test_what_begins_again_before_its_end_is_told_escalates_again(
    channel: Channel, acknowledged: bool
) -> None:
    """Protects a new failure from the steps, and from the acknowledgement, of the one before it."""
    receiver = Receiver.objects.create(name="boss")
    receiver.channels.add(channel)
    EscalationStep.objects.create(route=root(), after=timedelta(minutes=15), receiver=receiver)
    told = tell(FAILED).created_at
    assert len(escalate_due(told + timedelta(minutes=15))) == 1
    if acknowledged:
        acknowledge([active()], "ann", told + timedelta(minutes=16))
    again = told + timedelta(hours=1)
    write(end(FAILED), again - timedelta(seconds=2))
    write(FAILED, again)
    assert escalate_due(again + timedelta(minutes=14)) == []
    assert len(escalate_due(again + timedelta(minutes=15))) == 1


def test_many_are_acknowledged_at_once(django_assert_max_num_queries: pytest.FixtureRequest) -> None:
    """Protects a storm's page: statements do not grow with the alerts."""
    alerts = [replace(FAILED, container=f"web-{n}", alert_key=f"container:{n}") for n in range(40)]
    tell(*alerts)
    every = [active(alert) for alert in alerts]
    with django_assert_max_num_queries(10):  # type: ignore[operator]
        assert acknowledge(every, "ann", timezone.now()) == 40
