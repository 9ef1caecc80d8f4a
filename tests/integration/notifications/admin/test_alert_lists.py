"""Lists and pages of alerting: they open, many rows cost as many queries as few, histories cannot be edited."""

from __future__ import annotations

import pytest
from django.contrib import admin
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from tests.integration.notifications.admin.rows import fill, page, staff

pytestmark = pytest.mark.django_db

OURS = {
    str(model._meta.model_name): model
    for model in admin.site._registry
    if model._meta.app_label == "notifications"
}
HISTORIES = ("notification", "groupmessage", "delivery", "activealert", "alertgroup")


def test_all_is_there() -> None:
    """Every table that people look at or write has its page."""
    assert set(OURS) == {
        *HISTORIES, "channel", "receiver", "route", "silence", "inhibitrule", "timeinterval", "messagetemplate",
    }  # fmt: skip


def test_every_list_and_page_opens(admin_client: Client) -> None:
    """No list and no page breaks on rows that have everything, nor the form of a new one."""
    fill(2)
    for name, model in OURS.items():
        assert admin_client.get(page(f"{name}_changelist"), {"q": "1"}).status_code == 200, name
        row = model._default_manager.first()
        assert row is not None, name
        assert admin_client.get(page(f"{name}_change", row.pk)).status_code == 200, name
        added = 403 if name in HISTORIES else 200
        assert admin_client.get(page(f"{name}_add")).status_code == added, name


def test_pages_open_for_who_may_only_look() -> None:
    """Read-only pages show rows without a form, and no secret with them."""
    fill(1)
    viewer = staff(*(f"view_{name}" for name in OURS))
    for name, model in OURS.items():
        row = model._default_manager.first()
        assert row is not None
        assert viewer.get(page(f"{name}_changelist")).status_code == 200, name
        assert viewer.get(page(f"{name}_change", row.pk)).status_code == 200, name
        assert viewer.post(page(f"{name}_change", row.pk), {"name": "x"}).status_code == 403, name


def test_more_rows_cost_no_more_queries(admin_client: Client) -> None:
    """No list asks the database again for each row."""
    costs: dict[str, list[int]] = {name: [] for name in OURS}
    for start, count in ((0, 2), (2, 8)):
        fill(count, start=start)
        for name in OURS:
            admin_client.get(page(f"{name}_changelist"))  # content types and the like are cached from here on
            with CaptureQueriesContext(connection) as queries:
                assert admin_client.get(page(f"{name}_changelist")).status_code == 200
            costs[name].append(len(queries))
    assert {name: cost for name, cost in costs.items() if cost[0] != cost[1]} == {}


def test_histories_cannot_be_edited(admin_client: Client) -> None:
    """Not even a superuser writes a history by hand."""
    fill(1)
    for name in HISTORIES:
        row = OURS[name]._default_manager.first()
        assert row is not None
        assert admin_client.post(page(f"{name}_change", row.pk), {"title": "x"}).status_code == 403, name
        assert admin_client.post(page(f"{name}_delete", row.pk), {"post": "yes"}).status_code == 403, name


def test_what_alerts_say_is_escaped(admin_client: Client) -> None:
    """A container's text runs nothing in the browser of who looks at it."""
    from notifications.models import Notification

    Notification.objects.create(level="error", title="<b>down</b>", body="<script>alert(1)</script>")
    row = Notification.objects.get()
    for url in (page("notification_changelist"), page("notification_change", row.pk)):
        content = admin_client.get(url).content
        assert b"<b>down" not in content and b"<script>alert(1)" not in content
