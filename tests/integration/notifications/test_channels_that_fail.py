"""Limits, slow channels, and channels that fail for long, on real receivers."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from django.utils import timezone

from notifications import dispatch, failover
from notifications.channels import fake
from notifications.core.alert import Alert, AlertKind, AlertLevel
from notifications.models import Channel, Delivery, Notification
from tests.contract.channels.receiver import NEVER, Receiver
from tests.integration.notifications.conftest import fake_channel, state_of, webhook, written

pytestmark = pytest.mark.usefixtures("at_once")

ALERT = Alert(AlertLevel.ERROR, "web failed", alert_key="container:1", container="web", alertname="x")
MINUTE = timedelta(minutes=1)


def storm(count: int) -> list[Notification]:
    return [
        written(replace(ALERT, alert_key=f"container:{number}", container=f"web-{number}"))
        for number in range(count)
    ]


def deliver_until(at: datetime, end: datetime, step: timedelta = timedelta(seconds=30)) -> None:
    while at <= end:
        dispatch.deliver_due(at)
        at += step


def test_overflow_is_one_summary_and_nothing_is_lost() -> None:
    """Protects people from sixty messages: the first are told, all others come in one, each accounted for."""
    fake_channel(rate_limit=10, rate_window=60)
    rows = storm(60)
    at = timezone.now()
    dispatch.deliver_due(at)
    assert len(fake.sent()) == 10
    dispatch.deliver_due(at + timedelta(seconds=30))
    assert len(fake.sent()) == 10
    dispatch.deliver_due(at + timedelta(seconds=61))
    assert len(fake.sent()) == 11
    summary = fake.sent()[-1]
    assert "50 messages over the limit of 10" in summary.reason
    assert {told.id for message in fake.sent() for told in message.all} == {str(row.pk) for row in rows}
    assert {state_of(row) for row in rows} == {("sent", "")}


def test_summary_names_an_end_and_not_its_begin_beside_it() -> None:
    """Protects from reading of one container both that it fails and that it is well again; the payload has both."""
    fake_channel(rate_limit=1, rate_window=60)
    storm(3)
    at = timezone.now()
    dispatch.deliver_due(at)
    last = replace(ALERT, alert_key="container:2", container="web-2", title="web-2 is well again")
    written(replace(last, level=AlertLevel.INFO, kind=AlertKind.RESOLVED))
    dispatch.deliver_due(at + timedelta(seconds=30))
    dispatch.deliver_due(at + timedelta(seconds=61))
    summary = fake.sent()[-1]
    assert summary.text is not None
    shown = [line for line in summary.text.body.splitlines() if "web-2" in line]
    assert shown == ["- [RESOLVED] web-2 is well again – web-2"]
    assert sorted(told.alert.container for told in summary.all) == ["web-1", "web-2", "web-2"]


def test_channel_that_never_answers_delays_no_other(receiver: Receiver) -> None:
    """Protects people on working channels from a receiver that hangs: theirs is told at once."""
    webhook(receiver, "a hangs")
    receiver.status = NEVER
    fake_channel("works")
    notification = written(ALERT)
    begun = time.monotonic()
    told: list[float] = []
    dispatch.deliver_due(timezone.now(), seconds=2)
    told.append(time.monotonic() - begun)
    assert [message.id for message in fake.sent()] == [str(notification.pk)]
    assert told[0] < 5
    receiver.closing.set()


def test_backup_takes_over_after_five_minutes_and_others_are_told() -> None:
    """Protects alerts from a channel that is dead for long: its backup has them, and says that the channel fails."""
    backup = fake_channel("backup")
    failing = fake_channel("failing", config={"fail": "temporary"}, backup=backup, min_level="error")
    Channel.objects.filter(pk=backup.pk).update(min_level="critical")
    notification = written(ALERT)
    at = timezone.now()
    deliver_until(at, at + timedelta(minutes=4))
    assert fake.sent() == []
    deliver_until(at + failover.PATIENCE, at + failover.PATIENCE + MINUTE)
    titles = [message.alert.title for message in fake.sent()]
    assert sorted(titles) == ["Channel failing is failing", "web failed"]
    assert state_of(notification) == ("sent", "")
    diverted = Delivery.objects.get(notification=notification, channel=failing)
    assert (diverted.state, diverted.answer) == ("diverted", "left to backup")


def test_refused_for_good_goes_to_the_backup_at_once() -> None:
    """Protects alerts from a receiver that answers 404: nothing is gained by waiting."""
    backup = fake_channel("backup", min_level="critical")
    fake_channel("refuses", config={"fail": "permanent"}, backup=backup)
    notification = written(ALERT)
    at = timezone.now()
    deliver_until(at, at + MINUTE)
    assert [message.id for message in fake.sent()] == [str(notification.pk)]
    assert state_of(notification)[0] == "sent"


def test_recovered_channel_is_told_and_goes_on() -> None:
    """Protects people from doubts: the end of a channel's failure is told, and what waited for it is sent."""
    fake_channel("other", min_level="critical")
    failing = fake_channel("failing", config={"fail": "temporary"})
    written(ALERT)
    at = timezone.now()
    deliver_until(at, at + 6 * MINUTE)
    Channel.objects.filter(pk=failing.pk).update(config={})
    deliver_until(at + 6 * MINUTE, at + 30 * MINUTE, 5 * MINUTE)
    titles = [message.alert.title for message in fake.sent()]
    assert "web failed" in titles
    assert "Channel failing works again" in titles
    assert Channel.objects.get(pk=failing.pk).failing_since is None


def test_disabled_after_a_week_with_a_page() -> None:
    """Protects from channels that are dead and look alive: after a week it is off, and that is critical."""
    fake_channel("other")
    failing = fake_channel("failing", config={"fail": "temporary"})
    written(ALERT)
    at = timezone.now()
    deliver_until(at, at + failover.GIVE_UP_AFTER, timedelta(hours=6))
    deliver_until(at + failover.GIVE_UP_AFTER, at + failover.GIVE_UP_AFTER + MINUTE)
    failing.refresh_from_db()
    assert not failing.enabled
    assert "failed for 7 days" in failing.disabled_reason
    pages = [message.alert.title for message in fake.sent() if message.alert.level is AlertLevel.CRITICAL]
    assert pages == ["Channel failing is disabled"]


@pytest.mark.parametrize("fault", ["permanent", "temporary"])
def test_one_message_refused_in_a_quiet_week_disables_nothing(fault: str) -> None:
    """Protects a pager that is rarely used: it is off after a week of failures, not a week after one of them."""
    fake_channel("other")
    pager = fake_channel("pager", config={"fail": fault}, min_level="critical")
    page = replace(ALERT, level=AlertLevel.CRITICAL, is_event=True)
    written(page)
    at = timezone.now()
    later = at + failover.GIVE_UP_AFTER + timedelta(days=1)
    deliver_until(at, later, timedelta(hours=12))
    written(page)
    deliver_until(later + MINUTE, later + 3 * MINUTE)
    pager.refresh_from_db()
    assert (pager.enabled, pager.failing_since) == (True, later + MINUTE)


def test_secrets_are_encrypted_in_the_database_and_read_with_a_former_key(settings: object) -> None:
    """Protects secrets from whoever reads a backup, and channels from a change of the key."""
    from django.db import connection

    channel = fake_channel(config={"fail": "temporary"})
    with connection.cursor() as cursor:
        cursor.execute("SELECT config FROM notifications_channel WHERE id = %s", [channel.pk])
        stored = cursor.fetchone()[0]
    assert "temporary" not in stored
    former = settings.SECRET_KEY  # type: ignore[attr-defined]
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "new", [former]  # type: ignore[attr-defined]
    assert Channel.objects.get(pk=channel.pk).config == {"fail": "temporary"}
    settings.SECRET_KEY_FALLBACKS = []  # type: ignore[attr-defined]
    lost = Channel.objects.get(pk=channel.pk)
    with pytest.raises(Exception, match="SELFHEAL_SECRET_KEY_FALLBACKS"):
        lost.build()
    with pytest.raises(Exception, match="would be lost"):
        lost.save()
