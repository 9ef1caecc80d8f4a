"""The admin's form of the channel that is there from the start."""

from __future__ import annotations

from importlib import import_module

import pytest
from django.apps import apps
from django.test import Client
from django.urls import reverse

from notifications.models import Channel

pytestmark = pytest.mark.django_db


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


def test_a_channel_without_settings_can_be_changed(admin_client: Client, log: Channel) -> None:
    """Protects the log channel, which has none."""
    fields = {
        "name": "log", "min_level": "error", "enabled": "on", "tell": "all", "digest": "none", "language": "en",
        "rate_limit": "0", "rate_window": "60",
    }  # fmt: skip
    url = reverse("admin:notifications_channel_change", args=(log.pk,))
    assert admin_client.post(url, fields).status_code == 302
    log.refresh_from_db()
    assert (log.config, log.min_level, log.rate_limit) == ({}, "error", 0)
