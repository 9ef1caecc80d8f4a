"""Groups, their turns, and what mutes: on a real database, with time passed in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from notifications import dispatch
from notifications.channels import fake
from notifications.core.alert import Alert, AlertKind, AlertLevel, Message, Outcome
from notifications.models import (
    ActiveAlert,
    AlertGroup,
    Delivery,
    EscalationStep,
    InhibitRule,
    Notification,
    Receiver,
    Route,
    Silence,
)
from notifications.routes import root
from tests.integration.notifications.conftest import fake_channel, state_of, written

pytestmark = pytest.mark.usefixtures("bare")

START = datetime(2026, 3, 2, 12, tzinfo=UTC)
FAILED = Alert(
    level=AlertLevel.WARNING,
    title="web-1 failed",
    host="alpha",
    project="shop",
    service="web",
    container="web-1",
    alert_key="container:1",
    alertname="container_failed",
)
HOST_DOWN = Alert(
    AlertLevel.ERROR, "Host alpha does not answer", host="alpha", alert_key="host:1", alertname="host_down"
)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def alert(number: int, **fields: Any) -> Alert:
    return replace(
        FAILED,
        container=f"web-{number}",
        alert_key=f"container:{number}",
        title=f"web-{number} failed",
        **fields,
    )


def write(given: Alert, seconds: float = 0) -> Notification:
    return written(given, created_at=at(seconds), route_at=at(seconds))


def resolve(given: Alert, seconds: float, outcome: Outcome = Outcome.HEALED) -> Notification:
    over = replace(given, kind=AlertKind.RESOLVED, level=AlertLevel.INFO, outcome=outcome, title="over")
    return write(over, seconds)


def run(seconds: float) -> list[Message]:
    """What is sent at that time."""
    before = len(fake.sent())
    dispatch.deliver_due(at(seconds))
    return fake.sent()[before:]


def containers(message: Message) -> set[str]:
    return {told.alert.container for told in message.all}


def test_group_waits_and_tells_all_of_it_at_once() -> None:
    """Protects people from forty messages about one cause: what belongs together within group_wait is one."""
    fake_channel()
    write(alert(1))
    write(alert(2), 10)
    write(replace(alert(3), project="other"), 10)
    assert run(29) == []
    assert sorted(map(sorted, map(containers, run(41)))) == [["web-1", "web-2"], ["web-3"]]


def test_new_alerts_of_a_group_wait_for_its_interval() -> None:
    """Protects from a message for each straggler: the next comes group_interval after the last, with all that fires."""
    fake_channel()
    write(alert(1))
    assert len(run(30)) == 1
    write(alert(2), 60)
    assert run(300) == []
    assert [containers(message) for message in run(331)] == [{"web-1", "web-2"}]


def test_unchanged_group_is_repeated_after_four_hours_and_not_before() -> None:
    """Protects from silence about what goes on, and from noise about it."""
    fake_channel()
    write(alert(1))
    run(30)
    quiet = [run(30 + 300 * turn) for turn in range(1, 48)]
    assert not any(quiet)
    repeated = run(4 * 3600 + 331)
    assert len(repeated) == 1
    assert "repeated" in repeated[0].reason


def test_resolution_is_told_in_the_same_thread() -> None:
    """Protects from alerts that stay open in the receiver's service."""
    fake_channel()
    write(alert(1))
    (first,) = run(30)
    end = resolve(alert(1), 60)
    (last,) = run(331)
    assert (last.status, last.thread) == (AlertKind.RESOLVED, first.thread)
    assert first.thread != ""
    assert state_of(end) == ("sent", "")
    assert AlertGroup.objects.get().closed_at is not None
    assert run(4000) == []


def test_critical_goes_at_once_and_takes_its_group_along() -> None:
    """Protects the page: group_wait is not for what must wake somebody."""
    fake_channel()
    write(alert(1))
    page = write(alert(2, level=AlertLevel.CRITICAL), 1)
    dispatch.deliver(str(page.pk), at(1))
    (message,) = fake.sent()
    assert message.alert.container == "web-2"
    assert state_of(page) == ("sent", "")


def test_rising_level_is_news_and_a_falling_one_is_not() -> None:
    """Protects escalation by level: error after warning is told, warning after error is not."""
    fake_channel()
    write(alert(1))
    run(30)
    write(alert(1, level=AlertLevel.ERROR), 40)
    (told,) = run(331)
    assert told.alert.level is AlertLevel.ERROR
    lower = write(alert(1), 400)
    assert run(700) == []
    assert state_of(lower) == ("skipped", "a graver alert about the same thing fires")


def test_what_came_and_went_is_told_once_as_resolved() -> None:
    """Protects the record of what automation did: a heal within group_wait is one message, not none."""
    fake_channel()
    begin = write(alert(1))
    end = resolve(alert(1), 3)
    (message,) = run(30)
    assert message.status is AlertKind.RESOLVED
    assert state_of(begin)[0] == "merged"
    assert state_of(end) == ("sent", "")


def test_first_heals_are_left_to_the_digest_on_one_switch() -> None:
    """Protects sleep: a channel that wants it so hears of a first heal in the digest only, and of others as ever."""
    fake_channel(tell="first_in_digest")
    write(alert(1))
    end = resolve(alert(1), 3, Outcome.HEALED_AT_FIRST)
    write(replace(HOST_DOWN, host="beta", alert_key="host:9"), 3)
    told = run(34)
    assert [message.alert.alertname for message in told] == ["host_down"]
    assert state_of(end)[0] == "held"


def test_only_when_healing_gave_up() -> None:
    """Protects people who trust the healing: warnings and errors on the way are not told, the quarantine is."""
    fake_channel(tell="gave_up")
    write(alert(1))
    write(alert(1, level=AlertLevel.ERROR), 20)
    assert run(50) == []
    write(alert(1, level=AlertLevel.CRITICAL, alertname="quarantined", outcome=Outcome.GAVE_UP), 60)
    assert [message.alert.alertname for message in run(61)] == ["quarantined"]


def test_quarantine_does_not_repeat() -> None:
    """Protects from being told every four hours what a person has to decide anyway."""
    fake_channel()
    write(alert(1, level=AlertLevel.CRITICAL, alertname="quarantined"))
    assert len(run(1)) == 1
    assert run(5 * 3600) == []


def test_silence_mutes_with_its_reason_and_not_the_end_of_what_was_told() -> None:
    """Protects both: nobody is told under a silence, and who was told before it hears the end."""
    fake_channel()
    write(alert(1))
    run(30)
    Silence.objects.create(
        matchers='project="shop"', starts_at=at(40), ends_at=at(3600), created_by="mia", comment="moving"
    )
    muted = write(alert(2), 50)
    resolve(alert(1), 60)
    (message,) = run(331)
    assert (message.status, containers(message)) == (AlertKind.RESOLVED, {"web-1"})
    state, reason = state_of(muted)
    assert state == "muted"
    assert "mia" in reason
    assert "moving" in reason


def test_what_still_fires_after_a_silence_is_told() -> None:
    """Protects from a silence that swallows what outlasts it."""
    fake_channel()
    Silence.objects.create(
        matchers='container="web-1"', starts_at=at(0), ends_at=at(600), created_by="mia", comment="x"
    )
    muted = write(alert(1))
    assert run(30) == []
    (message,) = run(631)
    assert containers(message) == {"web-1"}
    assert state_of(muted) == ("sent", "")


def test_host_that_is_down_mutes_its_containers() -> None:
    """Protects from symptoms: one host alert instead of one for each container on it."""
    fake_channel()
    InhibitRule.objects.get_or_create(
        name="host",
        source_matchers='alertname="host_down"',
        target_matchers='container=~".+"',
        equal=["host"],
    )
    write(HOST_DOWN)
    symptom = write(alert(1), 1)
    other = write(replace(alert(2), host="beta"), 1)
    told = run(40)
    assert {message.alert.alert_key for message in told} == {"host:1", other.alert_key}
    assert state_of(symptom)[0] == "muted"
    assert "alpha" in state_of(symptom)[1]


def test_failing_dependency_mutes_its_dependants() -> None:
    """Protects from symptoms across containers, by what healing knows of dependencies."""
    InhibitRule.objects.all().delete()
    fake_channel()
    write(replace(alert(1), service="db"))
    symptom = write(replace(alert(2), service="web", depends_on=("container:1",)), 1)
    (message,) = run(40)
    assert containers(message) == {"web-1"}
    assert state_of(symptom)[0] == "muted"
    resolve(alert(1), 50)
    assert any("web-2" in containers(message) for message in run(700))


def tree() -> tuple[Receiver, Receiver]:
    """The shop's alerts go to `shop`, all else to `ops`."""
    ops, shop = Receiver.objects.create(name="ops"), Receiver.objects.create(name="shop")
    ops.channels.add(fake_channel("ops"))
    shop.channels.add(fake_channel("shop"))
    top = root()
    Route.objects.filter(pk=top.pk).update(receiver=ops)
    Route.objects.create(parent=top, name="shop", matchers='project="shop"', receiver=shop)
    return ops, shop


def deliveries_to(name: str) -> int:
    return Delivery.objects.filter(channel_name=name, state="sent").count()


def test_routes_choose_the_receiver() -> None:
    """Protects teams from each other's alerts."""
    tree()
    write(alert(1))
    write(replace(alert(2), project="bank"))
    run(31)
    assert (deliveries_to("ops"), deliveries_to("shop")) == (1, 1)


def test_nobody_acknowledges_and_the_next_is_told_once() -> None:
    """Protects what matters from a person who sleeps: after 15 min the next receiver is told, once, and its end."""
    _, shop = tree()
    boss = Receiver.objects.create(name="boss")
    boss.channels.add(fake_channel("boss"))
    EscalationStep.objects.create(route=shop.routes.get(), after=timedelta(minutes=15), receiver=boss)
    write(alert(1, level=AlertLevel.CRITICAL))
    run(1)
    run(14 * 60)
    assert deliveries_to("boss") == 0
    run(15 * 60 + 2)
    run(15 * 60 + 8)
    assert deliveries_to("boss") == 1
    assert "not acknowledged" in fake.sent()[-1].reason
    resolve(alert(1, level=AlertLevel.CRITICAL), 1000)
    run(1300)
    assert deliveries_to("boss") == 2


def test_acknowledged_is_not_escalated() -> None:
    """Protects the next one on the list from what somebody already does."""
    _, shop = tree()
    EscalationStep.objects.create(
        route=shop.routes.get(), after=timedelta(minutes=15), receiver=Receiver.objects.get(name="ops")
    )
    write(alert(1, level=AlertLevel.CRITICAL))
    run(1)
    ActiveAlert.objects.update(acknowledged_at=at(60), acknowledged_by="mia")
    run(3600)
    assert deliveries_to("ops") == 0


def test_event_is_told_once_and_never_ends() -> None:
    """Protects from repeats of what has no end, such as a dry run's finding."""
    fake_channel()
    event = write(alert(1, is_event=True, level=AlertLevel.INFO))
    assert len(run(30)) == 1
    assert run(5 * 3600) == []
    assert state_of(event) == ("sent", "")
    assert AlertGroup.objects.get().closed_at is not None


def test_flapping_is_one_message() -> None:
    """Protects from 24 messages of one thing that comes and goes: it is told as flapping, once, and its calm after."""
    Route.objects.filter(pk=root().pk).update(group_wait=timedelta(0), group_interval=timedelta(0))
    fake_channel()
    for turn in range(12):
        write(alert(1), turn * 40)
        run(turn * 40)
        resolve(alert(1), turn * 40 + 20)
        run(turn * 40 + 20)
    told = fake.sent()
    assert sum("flapping" in message.reason for message in told) == 1
    assert len(told) <= 12
    (calm,) = run(3600)
    assert calm.status is AlertKind.RESOLVED


@pytest.mark.parametrize(
    "spoil",
    [
        lambda: Route.objects.all().delete(),
        lambda: Route.objects.create(parent=root(), name="bad", matchers="no matcher"),
    ],
)
def test_broken_routes_lose_no_alert(spoil: Callable[[], object]) -> None:
    """Protects alerts from whoever edits the routes past the forms."""
    fake_channel()
    spoil()
    write(alert(1))
    assert len(run(31)) == 1


def test_level_that_rises_into_another_group_is_told_once_there_and_ended_in_both(at_once: Route) -> None:
    """Protects from two messages of one rise where groups are by severity, and from alerts that stay open in the first."""
    fake_channel()
    write(alert(1))
    run(0)
    write(alert(1, level=AlertLevel.ERROR), 10)
    (risen,) = run(10)
    assert risen.alert.level is AlertLevel.ERROR
    resolve(alert(1), 20)
    ends = run(25)
    assert {message.status for message in ends} == {AlertKind.RESOLVED}
    assert len({message.thread for message in ends}) == 2
    assert run(4000) == []


def test_order_is_that_of_the_database_not_of_the_writers_clocks() -> None:
    """Protects from alerts that fire for ever: an end written after the begin ends it, whatever the writers' clocks say."""
    fake_channel()
    write(alert(1), 20)
    resolve(alert(1), 19)
    assert ActiveAlert.objects.count() == 0
    (message,) = run(60)
    assert message.status is AlertKind.RESOLVED
    assert not ActiveAlert.objects.filter(ends_at=None).exists()
