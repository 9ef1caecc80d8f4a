"""A form that is saved writes what is in it, and not what the row was when the form was read."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.admin import ModelAdmin
from django.db.models import Model
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from healing.admin.base import HealingAdmin
from healing.effective import config_book
from healing.models import Container, Host
from tests.integration.asking.rows import make_container, make_host

pytestmark = pytest.mark.django_db

HOST = {
    "name": "renamed", "engine_kind": "fake", "address": "fake://h1", "auto_register": "all", "start_grace": "1",
    "breaker_mode": "hold", "breaker_share": "0.4", "enabled": "on",
}  # fmt: skip
NO_ROWS = {
    f"{prefix}-{name}": "0"
    for prefix in ("dependencies", "probes")
    for name in ("TOTAL_FORMS", "INITIAL_FORMS")
}


def meanwhile(monkeypatch: pytest.MonkeyPatch, model: type[Model], **values: Any) -> None:
    """Have others write this into all rows after the form was read, and before it is saved."""

    def save_form(self: HealingAdmin, request: Any, form: Any, change: bool) -> Any:
        model._default_manager.update(**values)
        return ModelAdmin.save_form(self, request, form, change)

    monkeypatch.setattr(HealingAdmin, "save_form", save_form, raising=False)


def test_saving_a_host_leaves_what_watchers_and_heals_wrote(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A breaker that has opened meanwhile stays open, and an engine that has gone stays down and untold."""
    host = make_host()
    now = timezone.now()
    found = {
        "breaker_since": now, "state": "down", "down_untold": True, "heal_window": 2.0, "last_event_at": now,
        "paused_until": now, "error": "gone",
    }  # fmt: skip
    meanwhile(monkeypatch, Host, **found)
    before = config_book().revision
    url = reverse("admin:healing_host_change", args=(host.pk,))
    assert admin_client.post(url, HOST).status_code == 302
    host.refresh_from_db()
    assert {name: getattr(host, name) for name in found} == found
    assert (host.name, host.breaker_mode, host.start_grace) == ("renamed", "hold", 1.0)
    assert config_book().revision > before


def test_saving_a_container_leaves_what_registration_wrote(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A container that was made anew meanwhile keeps its new id: heals would act on one that is gone."""
    container = make_container()
    found = {"engine_id": "f" * 64, "image_id": "sha256:2", "labels": {"a": "b"}, "registered_by": "label"}
    meanwhile(monkeypatch, Container, **found)
    url = reverse("admin:healing_container_change", args=(container.pk,))
    fields = {"name": "web", "host": container.host_id, **NO_ROWS}
    response = admin_client.post(url, fields)
    assert response.status_code == 302
    container.refresh_from_db()
    assert {name: getattr(container, name) for name in found} == found
    assert not container.monitored


def test_a_host_and_a_container_are_added_whole(admin_client: Client) -> None:
    """What is new is written with all that its model says."""
    assert admin_client.post(reverse("admin:healing_host_add"), HOST).status_code == 302
    host = Host.objects.get(name="renamed")
    fields = {"name": "web", "host": host.pk, "monitored": "on", **NO_ROWS}
    assert admin_client.post(reverse("admin:healing_container_add"), fields).status_code == 302
    assert Container.objects.get(name="web").health.status == "unknown"
