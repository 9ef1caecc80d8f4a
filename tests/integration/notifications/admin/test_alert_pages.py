"""What fires, and what became of it: acknowledged, silenced, tried again, with its reason on its page."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from notifications.models import ActiveAlert, Channel, Delivery, GroupMessage, MessageItem, Silence
from tests.integration.notifications.admin.rows import make_alert, page, press, staff, text_of

pytestmark = pytest.mark.django_db


def test_what_fires_is_shown_with_what_mutes_it(admin_client: Client) -> None:
    """The list shows what fires, not what has ended, and names the silence that keeps it quiet."""
    make_alert("web-1")
    ended = make_alert("old-1")
    ActiveAlert.objects.filter(pk=ended.pk).update(ends_at=timezone.now())
    silence = Silence.objects.create(
        matchers='container="web-1"',
        ends_at=timezone.now() + timedelta(hours=1),
        created_by="ann",
        comment="moving",
    )
    shown = text_of(admin_client.get(page("activealert_changelist")))
    assert "web-1 fails" in shown and "old-1" not in shown
    assert f"silence {silence.pk} by ann" in shown
    assert "old-1 fails" in text_of(admin_client.get(page("activealert_changelist"), {"state": "ended"}))


def test_acknowledging_notes_who(admin_client: Client) -> None:
    """Who has taken an alert on stands in the list; it can be taken back."""
    alert = make_alert("web-1")
    assert press(admin_client, "acknowledge_this", alert) == ["Acknowledged 1 alerts."]
    alert.refresh_from_db()
    assert alert.acknowledged_by == "admin"
    assert "1 were left" in press(admin_client, "acknowledge_this", alert)[-1]
    press(admin_client, "unacknowledge_this", alert)
    alert.refresh_from_db()
    assert alert.acknowledged_at is None


def test_an_hour_of_silence_in_one_click(admin_client: Client) -> None:
    """One press mutes the thing that fires, and says until when and by whom."""
    alert = make_alert("web-1")
    (shown,) = press(admin_client, "silence_hour_this", alert)
    silence = Silence.objects.get()
    assert shown.startswith(f"Silence #{silence.pk} until")
    assert silence.created_by == "admin" and 'container="web-1"' in silence.matchers
    assert silence.ends_at - silence.starts_at == timedelta(hours=1)


def test_looking_gives_no_right_to_act() -> None:
    """Who may see alerts can neither acknowledge, silence nor send again."""
    alert = make_alert("web-1")
    delivery = Delivery.objects.create(notification=alert.notification, channel_name="log", state="failed")
    viewer = staff("view_activealert", "view_delivery")
    assert viewer.get(page("activealert_changelist")).status_code == 200
    for url in (
        page("activealert_acknowledge_this", alert.pk),
        page("activealert_silence_hour_this", alert.pk),
        page("activealert_silence_this", alert.pk),
        page("delivery_retry_this", delivery.pk),
    ):
        assert viewer.post(url, {"_form_submitted": "on"}).status_code == 403
    assert not Silence.objects.exists()


def test_a_delivery_that_failed_is_tried_again(admin_client: Client) -> None:
    """It is due at once; one that has arrived is not sent twice."""
    alert = make_alert("web-1")
    channel = Channel.objects.create(name="hook", kind="log")
    rows = [
        Delivery.objects.create(
            message=GroupMessage.objects.create(created_at=timezone.now(), lead=alert.notification),
            notification=alert.notification, channel=channel, channel_name="hook", state=state,
            next_try_at=timezone.now() - timedelta(days=1),
        )
        for state in ("failed", "sent")
    ]  # fmt: skip
    assert press(admin_client, "retry_this", rows[0]) == ["1 deliveries are tried again now."]
    assert "Only deliveries that have failed" in press(admin_client, "retry_this", rows[1])[-1]
    failed, sent = Delivery.objects.order_by("pk")
    assert failed.state == "pending" and failed.next_try_at > timezone.now() - timedelta(minutes=1)
    assert sent.state == "sent"


def test_a_notification_shows_its_messages_and_deliveries(admin_client: Client) -> None:
    """One page says by which messages it was told, through which channels, and what they answered."""
    alert = make_alert("web-1")
    message = GroupMessage.objects.create(
        created_at=timezone.now(), lead=alert.notification, reason="new alerts fire"
    )
    MessageItem.objects.create(message=message, notification=alert.notification)
    Delivery.objects.create(
        message=message,
        notification=alert.notification,
        channel_name="hook",
        state="failed",
        error="answered 403",
    )
    shown = text_of(admin_client.get(page("notification_change", alert.notification_id)))
    for said in ("new alerts fire", "hook", "failed", "answered 403"):
        assert said in shown
