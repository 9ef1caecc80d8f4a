"""From the outbox to the receiver, on a real database and a real HTTP receiver."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import pytest
import time_machine
from django.db import connection, connections, transaction
from django.utils import timezone

from notifications import dispatch, outbox, outcomes, sending
from notifications.channels import fake
from notifications.core.alert import Alert, AlertLevel, Message
from notifications.flushing import flush_due
from notifications.intake import take_in
from notifications.models import Channel, Delivery, Notification
from tests.contract.channels.receiver import Receiver
from tests.integration.notifications import conftest
from tests.integration.notifications.conftest import fake_channel, state_of, webhook

ALERT = Alert(
    level=AlertLevel.ERROR, title="web is down", container="web", container_id=1, alert_key="container:1"
)
LATER = timedelta(minutes=2)
written = partial(conftest.written, ALERT)


pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("at_once")]


def several(count: int) -> None:
    """Alerts about so many things."""
    for number in range(count):
        conftest.written(replace(ALERT, alert_key=f"container:{number}", container=f"web-{number}"))


def test_rollback_takes_the_notification_along(hints: list[str]) -> None:
    """Protects people from alerts about what never happened."""
    with transaction.atomic():
        outbox.write(ALERT)
        transaction.set_rollback(True)
    assert Notification.objects.count() == 0
    assert hints == []


def test_commit_queues_a_hint(hints: list[str]) -> None:
    """Protects the speed: delivery begins at the commit, not at the next period, and not before."""
    with transaction.atomic():
        notification = outbox.write(ALERT)
        assert hints == []
    assert hints == [str(notification.id)]


def test_broker_that_is_down_harms_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Protects healing: an alert that cannot be queued is delivered by the periodic task."""

    def refuse(*_: object, **__: object) -> None:
        raise ConnectionError("no broker")

    monkeypatch.setattr(outbox.current_app, "send_task", refuse)
    fake_channel()
    notification = written()
    assert "periodic task" in caplog.text
    dispatch.deliver_due(timezone.now())
    assert state_of(notification) == ("sent", "")


def test_delivered_once(receiver: Receiver) -> None:
    """Protects people from hearing the same twice: repeated tasks send nothing more."""
    webhook(receiver)
    fake_channel()
    notification = written()
    for _ in range(3):
        dispatch.deliver(str(notification.id))
        dispatch.deliver_due(timezone.now() + LATER)
    assert receiver.ids == [str(notification.id)]
    assert [message.id for message in fake.sent()] == [str(notification.id)]
    assert fake.sent()[0].alert == ALERT
    assert state_of(notification) == ("sent", "")
    delivery = Delivery.objects.get(channel__name="hook")
    assert (delivery.state, delivery.tries, delivery.answer, delivery.error) == ("sent", 1, "200 thanks", "")
    assert delivery.sent_at is not None


def test_two_workers_send_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Protects from double sending when the hint and the period meet in the middle of a send."""
    fake_channel()
    notification = written()
    at = timezone.now()
    send = fake.FakeChannel.send

    def overlapped(self: fake.FakeChannel, message: Message) -> str:
        dispatch.deliver(message.id, at)
        dispatch.deliver_due(at)
        return send(self, message)

    monkeypatch.setattr(fake.FakeChannel, "send", overlapped)
    dispatch.deliver(str(notification.id), at)
    assert [message.id for message in fake.sent()] == [str(notification.id)]
    assert Delivery.objects.get().tries == 1


def test_one_of_many_claimants_gets_it() -> None:
    """Protects the claim: those who have read the same row race, and exactly one wins."""
    fake_channel()
    notification = written()
    at = timezone.now()
    take_in(at)
    flush_due(at)
    assert state_of(notification) == ("pending", "")
    readers = [Delivery.objects.get() for _ in range(4)]
    assert [sending._claim(reader, at) for reader in readers] == [True, False, False, False]


class Killed(BaseException):
    """Stands for SIGKILL: nothing in the product catches it."""


def test_killed_between_send_and_record_repeats_with_the_same_id(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Protects the promise to receivers: at least once, with an id by which they can drop the second."""
    webhook(receiver)
    notification = written()

    def die(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(outcomes, "_record_sent", die)
        with pytest.raises(Killed):
            dispatch.deliver(str(notification.id))
    dispatch.deliver(str(notification.id))
    assert len(receiver.requests) == 1
    dispatch.deliver_due(timezone.now() + sending.LEASE)
    assert receiver.ids == [str(notification.id)] * 2
    assert state_of(notification) == ("sent", "")
    assert Delivery.objects.get().tries == 2


def test_killed_between_record_and_settle_is_settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Protects the list from notifications that stay pending for ever."""
    fake_channel()
    notification = written()
    with monkeypatch.context() as patch:
        patch.setattr(outcomes, "settle", lambda _: None)
        dispatch.deliver(str(notification.id))
    assert state_of(notification) == ("pending", "")
    dispatch.deliver_due(timezone.now() + LATER)
    assert state_of(notification) == ("sent", "")
    assert len(fake.sent()) == 1


def test_permanent_error_ends_it(receiver: Receiver) -> None:
    """Protects receivers from repeats that cannot help, and the log from silence about it."""
    webhook(receiver)
    receiver.status = 404
    notification = written()
    dispatch.deliver(str(notification.id))
    dispatch.deliver_due(timezone.now() + LATER)
    assert len(receiver.requests) == 1
    assert state_of(notification) == ("failed", "not delivered on hook")
    delivery = Delivery.objects.get()
    assert (delivery.state, delivery.tries) == ("failed", 1)
    assert "404" in delivery.error


def test_temporary_error_is_tried_again_with_growing_pauses(receiver: Receiver) -> None:
    """Protects alerts while a receiver is down."""
    webhook(receiver)
    receiver.status = 503
    notification = written()
    at = timezone.now()
    dispatch.deliver(str(notification.id), at)
    pauses = []
    for _ in range(3):
        due = Delivery.objects.get().next_try_at
        pauses.append((due - at).total_seconds())
        dispatch.deliver_due(due - timedelta(milliseconds=1))
        at = due
        dispatch.deliver_due(at)
    assert pauses == [10, 20, 40]
    assert len(receiver.requests) == 4
    assert state_of(notification) == ("pending", "")
    receiver.status = 200
    dispatch.deliver_due(Delivery.objects.get().next_try_at)
    assert state_of(notification) == ("sent", "")
    assert set(receiver.ids) == {str(notification.id)}
    assert Channel.objects.get().blocked_until is None


def test_given_up_after_a_day() -> None:
    """Protects people from alerts about yesterday, and says that it was given up."""
    fake_channel(config={"fail": "temporary"})
    notification = written()
    dispatch.deliver(str(notification.id))
    dispatch.deliver_due(timezone.now() + timedelta(hours=25))
    assert state_of(notification) == ("failed", "not delivered on fake")
    assert "given up after 2 tries" in Delivery.objects.get(notification=notification).error


def test_retry_after_is_honoured(receiver: Receiver) -> None:
    """Protects receivers that limit their rate."""
    webhook(receiver)
    receiver.status, receiver.headers = 429, {"Retry-After": "600"}
    notification = written()
    at = timezone.now()
    dispatch.deliver(str(notification.id), at)
    assert Delivery.objects.get().next_try_at == at + timedelta(seconds=600)


def test_one_bad_channel_does_not_keep_the_other(receiver: Receiver) -> None:
    """Protects people on working channels."""
    fake_channel("a", config={"fail": "permanent"})
    webhook(receiver)
    notification = written()
    dispatch.deliver(str(notification.id))
    assert receiver.ids == [str(notification.id)]
    assert state_of(notification) == ("sent", "not delivered on a")


def test_dead_channel_is_left_alone_for_a_while() -> None:
    """Protects the queue: a hundred alerts for a dead receiver cost one timeout a round, not a hundred."""
    fake_channel(config={"fail": "temporary"})
    several(5)
    at = timezone.now()
    assert dispatch.deliver_due(at) == 1
    assert dispatch.deliver_due(at) == 0
    assert dispatch.deliver_due(at + outcomes.CHANNEL_PAUSE) == 1
    Channel.objects.update(config={}, blocked_until=None)
    assert dispatch.deliver_due(at + LATER) == 5
    assert len(fake.sent()) == 5


def test_level_under_the_minimum_is_skipped_with_the_reason() -> None:
    """Protects people from noise, and the list from riddles."""
    fake_channel(min_level="critical")
    fake_channel("off", enabled=False)
    notification = written()
    dispatch.deliver(str(notification.id))
    assert state_of(notification) == ("skipped", "no enabled channel takes level error")
    assert Delivery.objects.count() == 0


def test_channel_disabled_or_deleted_meanwhile_ends_its_deliveries() -> None:
    """Protects from sending to what people have switched off, and keeps the log of what was sent."""
    for name in ("disabled", "deleted"):
        fake_channel(name, config={"fail": "temporary"})
    notification = written()
    dispatch.deliver(str(notification.id))
    Channel.objects.filter(name="disabled").update(enabled=False)
    Channel.objects.filter(name="deleted").delete()
    dispatch.deliver_due(timezone.now() + LATER)
    errors = dict(Delivery.objects.values_list("channel_name", "error"))
    assert "disabled" in errors["disabled"]
    assert "deleted" in errors["deleted"]
    assert state_of(notification) == ("failed", "not delivered on deleted, disabled")


def test_channel_that_cannot_be_built_waits_for_its_repair() -> None:
    """Protects alerts from a typing error in a channel: mended within the day, it delivers."""
    channel = Channel.objects.create(name="hook", kind="webhook", config={})
    notification = written()
    dispatch.deliver(str(notification.id))
    assert "url" in Delivery.objects.get().error
    Channel.objects.filter(pk=channel.pk).update(kind="fake")
    dispatch.deliver_due(timezone.now() + LATER)
    assert state_of(notification) == ("sent", "")


def test_channel_that_breaks_its_contract_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Protects alerts from a bug in a plug-in."""
    fake_channel()
    notification = written()

    def broken(self: object, message: Message) -> str:
        raise KeyError("bug")

    with monkeypatch.context() as patch:
        patch.setattr(fake.FakeChannel, "send", broken)
        dispatch.deliver(str(notification.id))
    assert "KeyError" in Delivery.objects.get().error
    dispatch.deliver_due(timezone.now() + LATER)
    assert state_of(notification) == ("sent", "")


def test_no_transaction_is_open_while_a_channel_sends(monkeypatch: pytest.MonkeyPatch) -> None:
    """Protects the database from a slow receiver."""
    fake_channel()
    notification = written()
    seen: list[bool] = []
    of_this_thread = connections["default"]

    def send(self: object, message: Message) -> str:
        seen.append(of_this_thread.in_atomic_block)
        return "ok"

    monkeypatch.setattr(fake.FakeChannel, "send", send)
    dispatch.deliver(str(notification.id))
    assert seen == [False]


def test_late_success_outranks_a_take_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """Protects the record: a send that outlived its lease and succeeded is a fact; a failure of it is not."""
    fake_channel()
    notification = written()
    at = timezone.now()

    def overtaken(outcome: BaseException | str) -> Any:
        def send(self: object, message: Message) -> str:
            Delivery.objects.update(tries=9, next_try_at=at + LATER)
            if isinstance(outcome, BaseException):
                raise outcome
            return outcome

        return send

    monkeypatch.setattr(fake.FakeChannel, "send", overtaken(KeyError("late")))
    dispatch.deliver(str(notification.id), at)
    assert Delivery.objects.get().next_try_at == at + LATER
    assert Delivery.objects.get().error == ""
    Channel.objects.update(blocked_until=None)
    monkeypatch.setattr(fake.FakeChannel, "send", overtaken("arrived"))
    dispatch.deliver(str(notification.id), at + LATER)
    assert Delivery.objects.get().answer == "arrived"
    assert state_of(notification) == ("sent", "")


def test_notification_that_is_gone_is_no_error() -> None:
    """Protects workers from hints about rows that were pruned."""
    dispatch.deliver("0b6bd04e-0000-4000-8000-000000000001")
    assert not Delivery.objects.exists()


def test_round_ends_in_time() -> None:
    """Protects the period: a long queue is worked off in rounds."""
    fake_channel()
    several(3)
    at: datetime = timezone.now() + LATER
    assert dispatch.deliver_due(at, seconds=0) == 0
    assert dispatch.deliver_due(at) == 3


@pytest.mark.parametrize("name", ["delivery_due", "notification_pending"])
def test_hot_queries_have_their_index(name: str) -> None:
    """Protects the speed of the periodic task when the history is long."""
    constraints: dict[str, Any] = {}
    with connection.cursor() as cursor:
        for model in (Delivery, Notification):
            constraints |= connection.introspection.get_constraints(cursor, model._meta.db_table)
    assert constraints[name]["index"]


def test_writer_whose_clock_is_hours_ahead_is_heard(receiver: Receiver) -> None:
    """Protects alerts of a machine with the wrong time: they are routed when they are written, not in two hours."""
    webhook(receiver)
    with time_machine.travel(timezone.now() + timedelta(hours=2)):
        notification = written()
    dispatch.deliver_due(timezone.now())
    assert receiver.ids == [str(notification.id)]
