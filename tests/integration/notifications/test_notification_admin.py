"""The admin of channels, notifications and deliveries."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth import get_user_model
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from notifications.models import Channel, Delivery, Notification

pytestmark = pytest.mark.django_db


@pytest.fixture
def admin() -> Client:
    user = get_user_model().objects.create_superuser("root", "root@example.org", "x")
    client = Client()
    client.force_login(user)
    return client


def page(name: str, *args: Any) -> str:
    return reverse(f"admin:notifications_{name}", args=args)


@pytest.fixture(autouse=True)
def log() -> Channel:
    """The channel that the migration makes; other tests may have emptied the table."""
    Channel.objects.all().delete()
    import_module("notifications.migrations.0002_log_channel").create(apps, None)
    return Channel.objects.get()


def test_log_channel_is_there_from_the_start(log: Channel) -> None:
    """Protects the first look: alerts are seen in the log without any set-up."""
    assert (log.name, log.kind, log.config, log.min_level, log.enabled) == ("log", "log", {}, "info", True)
    log.full_clean()


def test_bad_config_is_told_at_its_field(admin: Client) -> None:
    """Protects people from finding out only when the first alert is lost."""
    fields = {"name": "hook", "kind": "webhook", "config": "{}", "min_level": "info", "enabled": "on"}
    answer = admin.post(page("channel_add"), fields)
    assert answer.status_code == 200
    assert "url" in answer.context["adminform"].form.errors["config"][0]
    answer = admin.post(page("channel_add"), {**fields, "config": '{"url": "https://example.org/"}'})
    assert answer.status_code == 302
    assert Channel.objects.get(name="hook").config == {"url": "https://example.org/"}


def test_emptied_config_means_no_settings(admin: Client, log: Channel) -> None:
    """Protects the log channel, which has none."""
    fields = {"name": "log", "kind": "log", "config": "", "min_level": "error", "enabled": "on"}
    assert admin.post(page("channel_change", log.pk), fields).status_code == 302
    log.refresh_from_db()
    assert (log.config, log.min_level) == ({}, "error")


def test_unknown_kind_is_refused(admin: Client) -> None:
    """Protects from channels that nothing can send through; the fake is for tests and not offered."""
    for kind in ("pigeon", "fake"):
        fields = {"name": "x", "kind": kind, "config": "{}", "min_level": "info"}
        assert admin.post(page("channel_add"), fields).context["adminform"].form.errors["kind"]


def history(count: int) -> Notification:
    channel = Channel.objects.get()
    for number in range(count):
        notification = Notification.objects.create(
            level="critical", title=f"web {number} <b>down</b>", state="sent"
        )
        Delivery.objects.create(notification=notification, channel=channel, channel_name="log", state="sent")
    return notification


@pytest.mark.parametrize("name", ["channel", "notification", "delivery"])
def test_list_takes_the_same_queries_for_more_rows(name: str, admin: Client) -> None:
    """Protects the lists from one query a row."""
    counts = []
    for rows in (2, 20):
        history(rows)
        with CaptureQueriesContext(connection) as queries:
            assert admin.get(page(f"{name}_changelist"), {"q": "e"}).status_code == 200
        counts.append(len(queries))
    assert counts[0] == counts[1]


@pytest.mark.parametrize("name", ["notification", "delivery"])
def test_history_is_read_only(name: str, admin: Client) -> None:
    """Protects the history from being edited."""
    notification = history(1)
    row = notification if name == "notification" else notification.deliveries.get()
    answer = admin.get(page(f"{name}_change", row.pk))
    assert answer.status_code == 200
    assert b"<b>down</b>" not in answer.content
    assert admin.post(page(f"{name}_change", row.pk), {"title": "x"}).status_code == 403
    assert admin.get(page(f"{name}_add")).status_code == 403
    assert admin.post(page(f"{name}_delete", row.pk), {"post": "yes"}).status_code == 403
