"""What could go wrong on the way of an alert: each test is a fault that lost, doubled, delayed or never ended one."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from django.utils import timezone

from notifications import dispatch, due, failover, limiting, links, messaging, sending
from notifications.channels import fake
from notifications.core.alert import AlertKind, AlertLevel, Message, Text
from notifications.intake import take_in
from notifications.models import (
    ActiveAlert,
    AlertGroup,
    Channel,
    Delivery,
    EscalationStep,
    GroupMessage,
    MessageKind,
    Notification,
    Receiver,
    RotationMember,
    Route,
    Silence,
    TimeInterval,
)
from notifications.routes import root
from tests.integration.notifications.conftest import fake_channel, join_senders, state_of, written
from tests.integration.notifications.test_grouping import FAILED, alert, at, containers, resolve, run, write

pytestmark = pytest.mark.usefixtures("bare")

CRITICAL = AlertLevel.CRITICAL
TEXT = Text("Digest", "of the day")


class Sent:
    """What each channel was given, by the channel's name."""

    def __init__(self) -> None:
        self.messages: list[tuple[str, Message]] = []

    def of(self, name: str) -> list[AlertKind]:
        """What it was told; not of channels that fail."""
        told = [message for channel, message in self.messages if channel == name]
        return [message.status for message in told if message.alert.alertname != failover.ALERTNAME]


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> Sent:
    """Each fake channel sends as ever, and it is seen which one."""
    kept = Sent()
    before = sending._send

    def send(delivery: Delivery, port: object, message: Message) -> object:
        done = before(delivery, port, message)  # type: ignore[arg-type]
        if done.fault is None:
            kept.messages.append((delivery.channel_name, message))
        return done

    monkeypatch.setattr(sending, "_send", send)
    return kept


def receiver_of(*channels: Channel, name: str = "team") -> Receiver:
    receiver = Receiver.objects.create(name=name)
    receiver.channels.set(channels)
    return receiver


def fail(channel: Channel, how: str = "temporary") -> None:
    Channel.objects.filter(pk=channel.pk).update(config={"fail": how} if how else {})


# Ends reach who was told of the begin.


def test_end_reaches_who_was_on_duty_when_it_began(sent: Sent) -> None:
    """Protects the one who was told before the handover: the end is told, however many turns have passed since."""
    receiver = receiver_of(fake_channel("first"))
    Route.objects.filter(pk=root().pk).update(receiver=receiver)
    write(alert(1))
    run(30)
    receiver.channels.set([fake_channel("second")])
    run(331)
    run(700)
    resolve(alert(1), 800)
    run(1100)
    assert sent.of("first") == [AlertKind.FIRING, AlertKind.RESOLVED]
    assert sent.of("second") == [AlertKind.FIRING, AlertKind.RESOLVED]


def test_end_reaches_whom_it_was_escalated_to(sent: Sent) -> None:
    """Protects the second in line from an alert that stays open there, however many turns its group has had since."""
    Route.objects.filter(pk=root().pk).update(receiver=receiver_of(fake_channel("first")))
    boss = receiver_of(fake_channel("boss"), name="boss")
    EscalationStep.objects.create(route=root(), after=timedelta(minutes=1), receiver=boss)
    write(alert(1))
    for second in (30, 100, 331, 700):
        run(second)
    resolve(alert(1), 800)
    run(1100)
    assert sent.of("boss") == [AlertKind.FIRING, AlertKind.RESOLVED]


@pytest.mark.parametrize("change", [{"min_level": "critical"}, {"tell": "gave_up"}])
def test_end_reaches_a_channel_that_wants_less_by_now(sent: Sent, change: dict[str, str]) -> None:
    """Protects a channel whose settings changed meanwhile from an alert that stays open there."""
    channel = fake_channel("fake")
    write(alert(1))
    run(30)
    Channel.objects.filter(pk=channel.pk).update(**change)
    run(331)
    resolve(alert(1), 400)
    run(700)
    assert sent.of("fake") == [AlertKind.FIRING, AlertKind.RESOLVED]


def test_end_does_not_overtake_its_begin(sent: Sent) -> None:
    """Protects from incidents that open after they were closed: the begin that is being retried goes first."""
    channel = fake_channel("fake", config={"fail": "temporary"})
    write(alert(1))
    for second in (30, 41, 62):
        run(second)
    resolve(alert(1), 70)
    run(331)
    fail(channel, "")
    for second in (342, 360, 420, 480, 540, 600, 700, 800):
        run(second)
    assert sent.of("fake") == [AlertKind.FIRING, AlertKind.RESOLVED]


@pytest.mark.parametrize("name", ["container@failed", "a@b@c", "50%40"])
def test_names_of_any_kind_are_told_once_and_ended(sent: Sent, name: str) -> None:
    """Protects alerts of plug-ins, whose names and keys may hold the characters of the log's own words."""
    fake_channel("fake")
    odd = replace(FAILED, alertname=name, alert_key="key@with/all@")
    write(odd)
    run(30)
    run(331)
    Silence.objects.create(matchers='project="shop"', starts_at=at(340), ends_at=at(3600))
    resolve(odd, 400)
    run(700)
    assert sent.of("fake") == [AlertKind.FIRING, AlertKind.RESOLVED]


@pytest.mark.parametrize("is_deleted", [True, False])
def test_alert_whose_route_is_gone_is_routed_anew_and_ended(sent: Sent, is_deleted: bool) -> None:
    """Protects what fires while somebody takes its route away: another route tells it, and all are told its end."""
    fake_channel("rest")
    shop = receiver_of(fake_channel("shop"), name="shop")
    Route.objects.filter(pk=root().pk).update(receiver=receiver_of(*Channel.objects.filter(name="rest")))
    route = Route.objects.create(parent=root(), name="shop", matchers='project="shop"', receiver=shop)
    write(alert(1))
    run(30)
    routes = Route.objects.filter(pk=route.pk)
    routes.delete() if is_deleted else routes.update(enabled=False)
    for second in (331, 340, 372):
        run(second)
    assert sent.of("rest") == [AlertKind.FIRING]
    resolve(alert(1), 400)
    for second in (401, 700):
        run(second)
    assert sent.of("shop") == sent.of("rest") == [AlertKind.FIRING, AlertKind.RESOLVED]
    assert not AlertGroup.objects.filter(closed_at=None).exists()


def test_event_whose_route_is_gone_is_told_by_another(sent: Sent) -> None:
    """Protects what has no end and was not told yet when its route went."""
    fake_channel("fake")
    route = Route.objects.create(parent=root(), name="shop", matchers='project="shop"')
    write(replace(FAILED, is_event=True))
    run(1)
    route.delete()
    for second in (31, 32, 62, 63):
        run(second)
    assert sent.of("fake") == [AlertKind.FIRING]


# Nothing is sent for ever, and nothing that hangs is unseen.


@pytest.mark.django_db(transaction=True)
def test_answer_that_comes_after_the_round_is_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Protects receivers that take longer than a round from getting the same every minute for ever."""
    fake_channel()
    row = written(FAILED)
    go, send = threading.Event(), fake.FakeChannel.send

    def slow(self: fake.FakeChannel, message: Message) -> str:
        go.wait(10)
        return send(self, message)

    monkeypatch.setattr(fake.FakeChannel, "send", slow)
    Notification.objects.update(route_at=timezone.now() - timedelta(minutes=1), created_at=timezone.now())
    Route.objects.filter(pk=root().pk).update(group_wait=timedelta(0))
    dispatch.deliver_due(seconds=0.1)
    assert Delivery.objects.get().state == "pending"
    go.set()
    join_senders()
    assert state_of(row) == ("sent", "")
    assert Delivery.objects.get().state == "sent"


def test_channel_that_does_not_come_back_has_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Protects from a plug-in that hangs unseen: its channel counts as failing, so that people and its backup know."""
    channel = fake_channel()
    go = threading.Event()
    monkeypatch.setattr(fake.FakeChannel, "send", lambda *_: "kept" if go.wait(10) else "")
    write(alert(1))
    dispatch.deliver_due(at(30), seconds=0.05)
    monkeypatch.setattr(sending, "LEASE", timedelta(seconds=-1))
    dispatch.deliver_due(at(90), seconds=0.05)
    channel.refresh_from_db()
    delivery = Delivery.objects.get()
    try:
        assert channel.failing_since == at(90)
        assert "did not come back" in delivery.error
    finally:
        monkeypatch.setattr(sending, "_write_down_late", lambda *_: None)
        go.set()
        join_senders()


def test_message_that_cannot_be_made_keeps_no_other_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Protects all other messages, and the channel, from one whose making fails."""
    channel = fake_channel()
    fake_channel("other")
    make = links.of_message

    def of_message(row: GroupMessage, told: list[object]) -> object:
        if row.lead is not None and row.lead.container == "web-1":
            raise KeyError("bug")
        return make(row, told)  # type: ignore[arg-type]

    monkeypatch.setattr(links, "of_message", of_message)
    write(alert(1))
    write(replace(alert(2), project="other"))
    assert [containers(message) for message in run(30)] == [{"web-2"}] * 2
    channel.refresh_from_db()
    assert channel.failing_since is None
    monkeypatch.setattr(links, "of_message", make)
    assert [containers(message) for message in run(60)] == [{"web-1"}] * 2


def test_group_whose_turn_fails_keeps_no_other_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Protects all other groups from one that cannot be told, and that one from being forgotten."""
    fake_channel()
    write_message = messaging.write

    def broken(**given: object) -> object:
        group = given["group"]
        assert isinstance(group, AlertGroup)
        if group.labels["project"] == "shop":
            raise KeyError("bug")
        return write_message(**given)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(messaging, "write", broken)
        write(alert(1))
        write(replace(alert(2), project="other"))
        assert [containers(message) for message in run(30)] == [{"web-2"}]
    assert [containers(message) for message in run(41)] == [{"web-1"}]


def test_rotation_that_cannot_be_read_reaches_somebody() -> None:
    """Protects from silence where a rotation's time zone is unknown to this machine."""
    rotation = Receiver.objects.create(name="duty", rotation_timezone="No/Where")
    member = receiver_of(fake_channel(), name="mia")
    RotationMember.objects.create(rotation=rotation, member=member)
    Route.objects.filter(pk=root().pk).update(receiver=rotation)
    write(alert(1))
    assert len(run(30)) == 1


def test_step_that_fails_keeps_nothing_from_being_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """Protects what is ready to be sent from a fault in escalation, limits or backups."""

    def broken(now: object) -> None:
        raise KeyError("bug")

    fake_channel()
    write(alert(1))
    monkeypatch.setattr(dispatch, "escalate_due", broken)
    monkeypatch.setattr(failover, "look_after", broken)
    monkeypatch.setattr(limiting, "summarise_due", broken)
    assert len(run(30)) == 1


def test_alert_that_cannot_be_read_keeps_no_other_back() -> None:
    """Protects all other alerts from a row that a later version, or a plug-in, has written past the outbox."""
    fake_channel()
    odd = write(alert(1))
    Notification.objects.filter(pk=odd.pk).update(outcome="of_a_later_version")
    write(alert(2))
    assert [containers(message) for message in run(30)] == [{"web-2"}]
    state, reason = state_of(odd)
    assert state == "skipped"
    assert "of_a_later_version" in reason


# Limits lose nothing.


def test_digests_and_direct_alerts_are_not_merged_into_a_summary(sent: Sent) -> None:
    """Protects what no summary can tell: a digest's own words, and what was told past the groups and is being retried."""
    channel = fake_channel("fake", rate_limit=1, rate_window=60)
    for number in range(3):
        write(replace(alert(number), project=f"p{number}"))
    direct = written(FAILED, route_at=None)
    Delivery.objects.create(
        notification=direct, channel=channel, channel_name="fake", tries=1, next_try_at=at(30)
    )
    for _ in range(2):
        messaging.write(
            notifications=[], lead=None, channels=[channel], now=at(30), kind=MessageKind.DIGEST, text=TEXT
        )
    for second in (30, 35, 91, 96):
        run(second)
    assert set(Delivery.objects.values_list("message__kind", "state")) == {
        ("group", "sent"),
        ("group", "merged"),
        ("summary", "sent"),
        ("digest", "sent"),
        (None, "sent"),
    }
    assert state_of(direct)[0] == "sent"


def test_summary_takes_no_more_than_it_tells(sent: Sent, monkeypatch: pytest.MonkeyPatch) -> None:
    """Protects the alerts beyond what one summary holds: they come in the next."""
    monkeypatch.setattr(limiting, "SUMMARY_ALERTS", 3)
    fake_channel("fake", rate_limit=1, rate_window=60)
    rows = [write(replace(alert(number), project=f"p{number}")) for number in range(8)]
    for second in (30, 91, 96):
        run(second)
    limiting._limiter.cache_clear()  # its clock is the real one
    run(101)
    assert {told.id for _, message in sent.messages for told in message.all} == {str(row.pk) for row in rows}
    assert {state_of(row)[0] for row in rows} == {"sent"}


def test_what_is_put_off_comes_only_in_the_summary(sent: Sent) -> None:
    """Protects from hearing the same twice: what is over the limit is not also sent by itself when the wait is over."""
    fake_channel("fake", rate_limit=1, rate_window=60)
    for number in range(4):
        write(replace(alert(number), project=f"p{number}"))
    run(30)
    sending.send_due(at(200), 5)
    assert len(sent.messages) == 1
    run(200)
    told = [each.id for _, message in sent.messages for each in message.all]
    assert len(told) == len(set(told)) == 4


def test_critical_is_not_held_back_by_noise(sent: Sent) -> None:
    """Protects the page from a limit that warnings have used up."""
    fake_channel("fake", rate_limit=1, rate_window=86_400)
    for number in range(3):
        write(replace(alert(number), project=f"p{number}"))
    run(30)
    page = write(alert(9, level=CRITICAL, alertname="quarantined"), 40)
    dispatch.deliver(str(page.pk), at(40))
    assert state_of(page) == ("sent", "")


# Nothing waits behind what has nothing to do with it.


def test_long_queue_of_one_channel_starves_no_other(monkeypatch: pytest.MonkeyPatch, sent: Sent) -> None:
    """Protects channels whose messages are younger than a round's worth of another's."""
    monkeypatch.setattr(due, "BATCH", 3)
    slow = fake_channel("slow")
    Route.objects.filter(pk=root().pk).update(receiver=receiver_of(slow))
    for number in range(5):
        write(replace(alert(number), project=f"p{number}"))
    dispatch.deliver_due(at(30), seconds=0)
    Route.objects.filter(pk=root().pk).update(receiver=receiver_of(fake_channel("other"), name="other"))
    write(alert(9), 31)
    run(70)
    assert len(sent.of("other")) == 1


def test_critical_goes_before_what_waits_for_its_channel(sent: Sent, monkeypatch: pytest.MonkeyPatch) -> None:
    """Protects the page from a queue, where its hint was lost."""
    monkeypatch.setattr(due, "BATCH", 2)
    fake_channel("fake")
    for number in range(5):
        write(replace(alert(number), project=f"p{number}"))
    dispatch.deliver_due(at(30), seconds=0)
    write(alert(9, level=CRITICAL), 31)
    run(32)
    assert "web-9" in {message.alert.container for _, message in sent.messages}


def test_critical_does_not_wait_for_a_send_that_is_under_way(
    sent: Sent, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Protects the page in one process: its channel may be busy with a warning that takes long."""
    fake_channel("fake")
    go, send = threading.Event(), fake.FakeChannel.send

    def slow(self: fake.FakeChannel, message: Message) -> str:
        if message.alert.level is not CRITICAL:
            go.wait(10)
        return send(self, message)

    monkeypatch.setattr(fake.FakeChannel, "send", slow)
    monkeypatch.setattr(sending, "_write_down_late", lambda *_: None)
    write(replace(alert(1), project="other"))
    dispatch.deliver_due(at(30), seconds=0.05)
    page = write(alert(9, level=CRITICAL), 31)
    dispatch.deliver(str(page.pk), at(31))
    try:
        assert state_of(page) == ("sent", "")
    finally:
        go.set()
        join_senders()


def test_critical_whose_worker_died_after_routing_has_its_turn_at_once() -> None:
    """Protects the page from a kill between routing and its group's turn: whoever comes next does not wait."""
    fake_channel()
    write(alert(1, level=CRITICAL))
    take_in(at(0))
    assert len(run(1)) == 1


def test_hint_from_a_machine_whose_clock_is_ahead_is_followed() -> None:
    """Protects the page from milliseconds between the clocks of who wrote it and who sends it."""
    fake_channel()
    page = write(alert(1, level=CRITICAL), 2)
    dispatch.deliver(str(page.pk), at(0))
    assert len(fake.sent()) == 1


def test_group_of_a_clock_that_is_an_hour_ahead_waits_no_longer_than_any() -> None:
    """Protects alerts from a machine whose clock is wrong: their group has its turn after group_wait."""
    fake_channel()
    written(FAILED, created_at=at(3600), route_at=at(0))
    run(1)
    assert len(run(31)) == 1


# Backups.


def test_two_that_back_each_other_lose_nothing() -> None:
    """Protects what neither of two channels can send now: it is tried on, not handed around until nobody has it."""
    one = fake_channel("one", config={"fail": "temporary"})
    two = fake_channel("two", config={"fail": "temporary"}, backup=one)
    Channel.objects.filter(pk=one.pk).update(backup=two)
    Route.objects.filter(pk=root().pk).update(receiver=receiver_of(one))
    row = write(alert(1))
    for second in (30, 41, 331, 342, 360, 700, 1100):
        run(second)
    fail(one, "")
    fail(two, "")
    for second in (1500, 2500, 3500):
        run(second)
    assert state_of(row)[0] == "sent"
    assert "web-1" in {message.alert.container for message in fake.sent()}


def test_channel_with_a_backup_is_tried_again_and_takes_its_messages_back(sent: Sent) -> None:
    """Protects a channel that works again from having all that is for it left to its backup for ever."""
    backup = fake_channel("backup")
    main = fake_channel("main", config={"fail": "temporary"}, backup=backup)
    Route.objects.filter(pk=root().pk).update(receiver=receiver_of(main))
    write(alert(1))
    for second in (30, 41, 62, 331, 342):
        run(second)
    assert sent.of("backup") == [AlertKind.FIRING]
    fail(main, "")
    write(replace(alert(2), project="other"), 400)
    for second in (440, 445, 450):
        run(second)
    assert AlertKind.FIRING in sent.of("main")
    main.refresh_from_db()
    assert main.failing_since is None


def test_end_reaches_the_backup_that_was_told_of_the_begin(sent: Sent) -> None:
    """Protects from an alert that stays open at the backup, where the channel itself works again."""
    backup = fake_channel("backup")
    main = fake_channel("main", config={"fail": "permanent"}, backup=backup)
    Route.objects.filter(pk=root().pk).update(receiver=receiver_of(main))
    write(alert(1))
    run(30)
    run(35)
    assert sent.of("backup") == [AlertKind.FIRING]
    fail(main, "")
    run(331)
    resolve(alert(1), 400)
    run(700)
    assert sent.of("backup") == [AlertKind.FIRING, AlertKind.RESOLVED]
    assert sent.of("main") == [AlertKind.RESOLVED]


@pytest.mark.parametrize("is_deleted", [True, False])
def test_failing_channel_that_is_deleted_or_enabled_anew_is_no_longer_told_of(is_deleted: bool) -> None:
    """Protects from an alert about a channel that nothing can end any more."""
    channel = fake_channel("main", config={"fail": "temporary"})
    Route.objects.filter(pk=root().pk).update(receiver=receiver_of(fake_channel("other")))
    Channel.objects.filter(pk=channel.pk).update(failing_since=at(-400))
    run(0)
    Notification.objects.update(route_at=at(0))
    run(1)
    assert ActiveAlert.objects.get().alertname == failover.ALERTNAME
    if is_deleted:
        channel.delete()
    else:
        Channel.objects.filter(pk=channel.pk).update(failing_since=None)
    run(2)
    Notification.objects.filter(kind="resolved").update(route_at=at(2))
    run(3)
    assert ActiveAlert.objects.get().ends_at is not None


def test_one_refusal_among_successes_is_no_failing_channel() -> None:
    """Protects from the news that a channel fails which has sent all else since."""
    channel = fake_channel()
    refusing = fake.FakeChannel("permanent")
    build, built = Channel.build, []

    def first_refuses(self: Channel) -> object:
        built.append(self)
        return refusing if len(built) == 1 else build(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Channel, "build", first_refuses)
        write(alert(1))
        write(replace(alert(2), project="other"))
        run(30)
    channel.refresh_from_db()
    assert channel.failing_since is None


# Order, and what the rows say.


def test_begin_that_comes_after_its_end_does_not_fire_for_ever() -> None:
    """Protects from an alert that nothing will end: its end was committed before it."""
    fake_channel()
    begin = write(alert(1))
    begin.refresh_from_db()
    earlier = begin.written_at - timedelta(seconds=1)
    Notification.objects.filter(pk=begin.pk).update(route_at=None, written_at=earlier)
    resolve(alert(1), 5)
    run(10)
    Notification.objects.filter(pk=begin.pk).update(route_at=at(11))
    run(12)
    assert ActiveAlert.objects.get().ends_at is not None
    assert state_of(begin)[0] != "pending"


def test_begin_end_and_begin_written_at_one_moment_keep_their_order() -> None:
    """Protects what fires from being ended by an older end: clocks of databases may tick in milliseconds."""
    fake_channel()
    write(alert(1))
    resolve(alert(1), 1)
    write(alert(1), 2)
    Notification.objects.update(written_at=at(0))
    run(3)
    assert ActiveAlert.objects.get().ends_at is None


def test_no_notification_stays_pending_for_ever() -> None:
    """Protects the record: what came and went unheard says why, its begin too."""
    fake_channel(min_level="critical")
    begin = write(alert(1))
    end = resolve(alert(1), 3)
    run(30)
    assert state_of(begin) == state_of(end) == ("skipped", "no enabled channel takes level warning")


def test_what_was_skipped_and_is_told_later_says_so() -> None:
    """Protects the record where the first channel is made after the alert."""
    row = write(alert(1))
    run(30)
    assert state_of(row) == ("skipped", "its route has no enabled channel")
    fake_channel()
    run(331)
    assert state_of(row) == ("sent", "")


def test_answer_that_no_database_holds_is_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Protects from sending for ever what was taken with a strange answer (PostgreSQL refuses NUL)."""
    fake_channel()
    monkeypatch.setattr(fake.FakeChannel, "send", lambda *_: "ok\0\ud800")
    row = write(alert(1))
    run(30)
    assert state_of(row) == ("sent", "")
    assert "\0" not in Delivery.objects.get().answer


# Escalation.


def test_escalation_keeps_to_the_times_of_its_route(sent: Sent) -> None:
    """Protects the night: what is quiet by its route's interval does not escalate through it."""
    night = TimeInterval.objects.create(
        name="night", spec=[{"times": [{"start_time": "12:05", "end_time": "13:00"}]}]
    )
    route = root()
    route.receiver = receiver_of(fake_channel("first"))
    route.save()
    route.mute_intervals.add(night)
    boss = receiver_of(fake_channel("boss"), name="boss")
    EscalationStep.objects.create(route=route, after=timedelta(minutes=10), receiver=boss)
    write(alert(1))
    run(30)
    run(900)
    assert sent.of("boss") == []
    run(3601)
    assert sent.of("boss") == [AlertKind.FIRING]


def test_escalation_to_nobody_is_no_message(caplog: pytest.LogCaptureFixture) -> None:
    """Protects the record from messages that no channel has."""
    fake_channel()
    EscalationStep.objects.create(
        route=root(), after=timedelta(minutes=1), receiver=Receiver.objects.create(name="nobody")
    )
    write(alert(1))
    run(30)
    run(120)
    assert GroupMessage.objects.count() == 1
    assert "reaches nobody" in caplog.text


# What it costs.


def test_what_is_all_escalated_costs_nothing_more(
    django_assert_max_num_queries: Callable[..., object],
) -> None:
    """Protects the database from looking at every group that fires, each time."""
    fake_channel()
    boss = receiver_of(fake_channel("boss"), name="boss")
    EscalationStep.objects.create(route=root(), after=timedelta(minutes=1), receiver=boss)
    for number in range(5):
        write(replace(alert(number), project=f"p{number}"))
    run(30)
    run(120)
    with django_assert_max_num_queries(12):  # type: ignore[attr-defined]
        dispatch.escalate_due(at(130))


def test_what_waits_for_a_failing_channel_costs_nothing_each_time(
    django_assert_max_num_queries: Callable[..., object],
) -> None:
    """Protects the database while a channel is down: what another has sent is not settled again and again."""
    fake_channel()
    fake_channel("down", config={"fail": "temporary"})
    for number in range(5):
        write(replace(alert(number), project=f"p{number}"))
    run(30)
    with django_assert_max_num_queries(14):  # type: ignore[attr-defined]
        dispatch.deliver_due(at(100), seconds=0)


def test_nothing_to_do_costs_eight_statements(django_assert_max_num_queries: Callable[..., object]) -> None:
    """Protects the database from the periodic task while nothing happens."""
    fake_channel()
    root()
    with django_assert_max_num_queries(8):  # type: ignore[attr-defined]
        dispatch.deliver_due(at(0))
