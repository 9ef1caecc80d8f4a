"""Telling without broker, outbox and workers: what is told when those are the matter."""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import timedelta

import pytest
from django.db import OperationalError, transaction
from django.utils import timezone

from notifications import direct, dispatch
from notifications.channels import fake, stores
from notifications.core.alert import Alert, AlertKind, AlertLevel, Message
from notifications.due import due
from notifications.models import Channel, Delivery, Notification
from notifications.outbox import fields_of

ALERT = Alert(
    level=AlertLevel.CRITICAL, title="overloaded", body="too much", alert_key="self:overload:checks"
)

OVER = replace(ALERT, level=AlertLevel.INFO, kind=AlertKind.RESOLVED, title="over")

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _only_our_channels() -> None:
    """Every test says itself which channels there are."""
    Channel.objects.all().delete()
    fake.clear()


@pytest.fixture
def silent(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A webhook that accepts and never answers."""
    monkeypatch.setattr(direct, "SECONDS", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}/"


def test_channels_are_told_at_once_and_once() -> None:
    """Every channel of that level has it when the call returns; the outbox sends it to nobody again."""
    Channel.objects.create(name="people", kind="fake", min_level="critical")
    Channel.objects.create(name="off", kind="fake", enabled=False)
    assert direct.tell_directly(ALERT, timezone.now())
    assert [message.alert for message in fake.sent()] == [ALERT]
    dispatch.deliver_due(timezone.now() + timedelta(minutes=5))
    assert len(fake.sent()) == 1
    kept = Notification.objects.get()
    assert (str(kept.pk), kept.state, kept.title) == (fake.sent()[0].id, "sent", "overloaded")
    assert Delivery.objects.get().answer == "kept"


def test_a_channel_that_hangs_holds_up_nobody(silent: str) -> None:
    """It is left behind after moments, the others have been told, and the outbox goes on trying it."""
    Channel.objects.create(name="dead", kind="webhook", config={"url": silent})
    Channel.objects.create(name="people", kind="fake")
    begun = time.monotonic()
    assert direct.tell_directly(ALERT, timezone.now())
    assert time.monotonic() - begun < 5
    assert len(fake.sent()) == 1
    assert dict(Delivery.objects.values_list("channel_name", "state")) == {
        "dead": "pending",
        "people": "sent",
    }
    assert Notification.objects.get().state == "pending"


def test_nobody_can_be_told(caplog: pytest.LogCaptureFixture) -> None:
    """That is the gravest entry of the log, with the text itself, and the outbox tells when it can."""
    channel = Channel.objects.create(name="broken", kind="fake", config={"fail": "temporary"})
    with caplog.at_level(logging.WARNING):
        assert not direct.tell_directly(ALERT, timezone.now())
    actions = {record.action: record for record in caplog.records if hasattr(record, "action")}
    assert actions["untold"].levelno == logging.CRITICAL
    assert "overloaded: too much" in actions["told_directly"].getMessage()
    Channel.objects.filter(pk=channel.pk).update(config={})
    dispatch.deliver_due(timezone.now() + timedelta(minutes=1))
    assert len(fake.sent()) == 1


def test_the_end_is_no_alarm_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """That something is over is logged, without channels too, and not as critical."""
    over = Alert(level=AlertLevel.INFO, title="over", kind=AlertKind.RESOLVED)
    with caplog.at_level(logging.INFO):
        assert not direct.tell_directly(over, timezone.now())
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert Notification.objects.get().state == "skipped"


def told_of(title: str) -> dict[str, str]:
    """The channels that have it, with the state of the delivery."""
    rows = Delivery.objects.filter(notification__title=title)
    return dict(rows.values_list("channel_name", "state"))


def test_the_end_reaches_whom_the_begin_reached() -> None:
    """Protects a pager's incident from staying open: its lowest level holds for begins, not for what closes them."""
    Channel.objects.create(name="pager", kind="fake", min_level="critical")
    Channel.objects.create(name="begins only", kind="fake", send_resolved=False)
    assert direct.tell_directly(ALERT, timezone.now())
    Channel.objects.create(name="later", kind="fake")
    assert direct.tell_directly(OVER, timezone.now())
    assert told_of("overloaded") == {"pager": "sent", "begins only": "sent"}
    assert told_of("over") == {"pager": "sent"}


def test_the_end_of_an_earlier_begin_counts_no_more() -> None:
    """Protects from ends of what was never told: only the begins since the last end say who has heard."""
    Channel.objects.create(name="people", kind="fake")
    assert direct.tell_directly(ALERT, timezone.now())
    assert direct.tell_directly(OVER, timezone.now())
    for title, hours in (("overloaded", 2), ("over", 1)):
        before = timezone.now() - timedelta(hours=hours)
        Notification.objects.filter(title=title).update(written_at=before)
    Channel.objects.update(min_level="critical")
    Channel.objects.create(name="errors", kind="fake", min_level="error")
    assert direct.tell_directly(replace(ALERT, level=AlertLevel.ERROR), timezone.now())
    assert direct.tell_directly(replace(OVER, title="over again"), timezone.now())
    assert told_of("over again") == {"errors": "sent"}


def test_the_end_of_what_nobody_wrote_down_goes_to_all_who_may_have_heard() -> None:
    """Protects an incident whose begin was told without the database, or whose record is gone."""
    Channel.objects.create(name="pager", kind="fake", min_level="critical")
    Channel.objects.create(name="begins only", kind="fake", send_resolved=False)
    assert direct.tell_directly(OVER, timezone.now())
    assert told_of("over") == {"pager": "sent"}


def test_the_end_of_what_its_group_told_is_told_by_the_group() -> None:
    """Protects from two ends of one alert, and from one in a thread that was never opened."""
    Channel.objects.create(name="people", kind="fake", min_level="critical")
    at = timezone.now()
    with transaction.atomic():
        assert direct.write_ahead(ALERT, at)
    dispatch.deliver_due(at + timedelta(minutes=1))
    assert not direct.tell_directly(OVER, at + timedelta(minutes=7))
    assert Notification.objects.get(title="over").state == "pending"
    dispatch.deliver_due(at + timedelta(minutes=14))
    assert [message.alert.title for message in fake.sent()] == ["overloaded", "over"]
    assert len({message.thread for message in fake.sent()}) == 1


def test_without_the_database_nothing_asks_it(
    monkeypatch: pytest.MonkeyPatch,
    django_assert_num_queries: Callable[[int], AbstractContextManager[object]],
) -> None:
    """What says whom no channel may call reads the database; where that is away, what it said last holds."""
    Channel.objects.create(name="fake", kind="fake", min_level="info")
    asked: list[bool] = []

    def places() -> list[tuple[str, int]]:
        asked.append(True)
        if len(asked) > 1:
            raise OperationalError("away")
        return [("engine.example", 2375)]

    monkeypatch.setattr(stores, "_sources", [places])
    monkeypatch.setattr(stores, "_asked", {})
    monkeypatch.setattr(stores, "HOLDS", -1.0)
    channels = direct.enabled_channels()

    with django_assert_num_queries(0):
        telling = direct.WithoutDatabase(Message("id", timezone.now(), ALERT), channels)
        telling.tell(0.0)
    assert telling.is_told
    assert asked == [True]
    assert ("engine.example", 2375) in stores.last_known()


def test_without_the_database_each_channel_is_tried_until_it_has_it(silent: str) -> None:
    """Protects from a fault that takes database and pager together: the pager is back long before the database is.

    One that takes its time is not told twice.
    """
    channels = [
        Channel(pk=1, name="pager", kind="fake", config={"fail": "temporary"}),
        Channel(pk=2, name="people", kind="fake"),
        Channel(pk=3, name="slow", kind="webhook", config={"url": silent}),
    ]
    telling = direct.WithoutDatabase(Message("id", timezone.now(), ALERT), channels)
    for at in range(100, 131):
        telling.tell(float(at))
    assert (telling.is_told, len(fake.sent())) == (True, 1)
    channels[0].config = {}
    for at in range(131, 400):
        telling.tell(float(at))
    assert [message.id for message in fake.sent()] == ["id", "id"]
    assert [one.channel.name for one in telling._last] == ["slow"]


@pytest.fixture
def pager() -> Channel:
    """One whose receiver is away for now."""
    return Channel.objects.create(name="pager", kind="fake", config={"fail": "temporary"})


def comes_back(channel: Channel) -> None:
    Channel.objects.filter(pk=channel.pk).update(config={}, blocked_until=None)


def received() -> list[str]:
    return [message.alert.title for message in fake.sent()]


def test_a_begin_that_was_not_sent_does_not_come_after_its_end(pager: Channel) -> None:
    """Protects a pager from an incident that stays open for ever: both bear the same key."""
    other = Channel.objects.create(name="other", kind="fake")
    assert direct.tell_directly(ALERT, timezone.now())
    other.delete()
    comes_back(pager)
    assert direct.tell_directly(OVER, timezone.now())
    dispatch.deliver_due(timezone.now() + timedelta(minutes=30))
    assert received() == ["overloaded", "over"]
    assert told_of("overloaded")["pager"] == "merged"
    assert Notification.objects.get(title="overloaded").state == "sent"


def test_an_end_that_was_not_sent_does_not_end_the_next(pager: Channel) -> None:
    """Protects from a pager that says all is well while a part is silent again."""
    comes_back(pager)
    assert direct.tell_directly(ALERT, timezone.now())
    Channel.objects.update(config={"fail": "temporary"})
    assert not direct.tell_directly(OVER, timezone.now())
    comes_back(pager)
    assert direct.tell_directly(replace(ALERT, title="again"), timezone.now())
    dispatch.deliver_due(timezone.now() + timedelta(minutes=30))
    assert received() == ["overloaded", "again"]
    assert Notification.objects.get(title="over").state == "merged"


def test_who_is_told_no_ends_still_hears_of_the_begin(pager: Channel) -> None:
    """Protects from a trouble that a channel never hears of, because it was over before the channel was back."""
    Channel.objects.update(send_resolved=False)
    assert not direct.tell_directly(ALERT, timezone.now())
    comes_back(pager)
    assert not direct.tell_directly(OVER, timezone.now())
    dispatch.deliver_due(timezone.now() + timedelta(minutes=30))
    assert received() == ["overloaded"]


def test_a_begin_that_hangs_is_overtaken_by_its_end(pager: Channel, monkeypatch: pytest.MonkeyPatch) -> None:
    """It fails when the end was told already; what is put on record last does not come last."""
    at = timezone.now()
    with transaction.atomic():
        begin, send = direct.write_ahead(ALERT, at), direct._send
    assert begin is not None

    def late(channels: list[Channel], message: Message) -> list[direct._Sending]:
        sendings = send(channels, message)
        if message.alert == ALERT:
            comes_back(pager)
            Notification.objects.filter(pk=begin.pk).update(written_at=at - timedelta(seconds=3))
            assert direct.tell_directly(OVER, timezone.now())
        return sendings

    monkeypatch.setattr(direct, "_send", late)
    assert not direct.tell_written(begin, at)
    dispatch.deliver_due(timezone.now() + timedelta(minutes=30))
    assert received() == ["over"]
    assert Notification.objects.get(pk=begin.pk).state == "merged"


def test_of_what_waits_an_end_waits_for_its_begin(pager: Channel) -> None:
    """Two processes may have told at the same moment: the outbox keeps the order that neither could see."""
    for alert in (replace(ALERT, level=AlertLevel.ERROR), OVER):
        row = Notification.objects.create(**fields_of(alert))
        Delivery.objects.create(notification=row, channel=pager, channel_name="pager")
    first, second = Delivery.objects.order_by("pk")
    assert [each.pk for each in due(timezone.now())] == [first.pk]
    first.delete()
    assert [each.pk for each in due(timezone.now())] == [second.pk]
