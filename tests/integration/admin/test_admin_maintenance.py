"""Maintenance and dry run in the admin: rows that can be used, what they show, and the buttons of each scope."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.messages import get_messages
from django.db.models import Model
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from healing.models import Container, MaintenanceWindow, SystemState, Tenant
from tests.integration.asking.rows import make_container, make_host

pytestmark = pytest.mark.django_db

FORM = {"name": "nightly", "enabled": "on", "time_zone": "Europe/Berlin", "recurrence": "daily"}
NIGHT = {"start_time": "22:00", "end_time": "04:00"}


def add(client: Client, **values: object) -> dict[str, list[str]]:
    """Post the form of a new window; returns its errors."""
    response = client.post(reverse("admin:healing_maintenancewindow_add"), {**FORM, **values})
    return {} if response.status_code == 302 else dict(response.context["adminform"].form.errors)


def press(client: Client, action: str, row: Model, **data: str) -> list[str]:
    """Press a button on a row's page and confirm its dialog; returns the messages shown."""
    url = reverse(f"admin:healing_{row._meta.model_name}_{action}", args=(row.pk,))
    response = client.post(url, {"_form_submitted": "on", **data})
    assert response.status_code == 302, response.content
    return [str(message) for message in get_messages(response.wsgi_request)]


def test_a_window_is_for_one_thing(admin_client: Client) -> None:
    """Nothing chosen means nothing and is refused, as is more than one; one scope, or everything, is saved."""
    host, container = make_host(), make_container()
    assert "nothing means nothing" in add(admin_client, **NIGHT)["__all__"][0]
    both = add(admin_client, host=host.pk, container=container.pk, **NIGHT)
    assert "more than one" in both["__all__"][0]
    assert "more than one" in add(admin_client, host=host.pk, everything="on", **NIGHT)["__all__"][0]
    assert not MaintenanceWindow.objects.exists()
    assert add(admin_client, host=host.pk, **NIGHT) == {}
    assert add(admin_client, name="all", everything="on", **NIGHT) == {}


def test_what_cannot_be_used_is_told_at_its_field(admin_client: Client) -> None:
    """A wrong zone, and a time that is missing, are refused where they were typed."""
    zone = add(admin_client, everything="on", **NIGHT | {"time_zone": "Berlin"})
    assert "Europe/Berlin" in zone["time_zone"][0]
    assert "such as 04:30" in add(admin_client, everything="on", start_time="22:00")["end_time"][0]


def test_the_list_says_what_is_open_and_when_the_next_opens(admin_client: Client) -> None:
    """Per row, in words of now: open for how long, or opening in how long."""
    now = timezone.now()
    spans = {"under way": (-60, 60), "ahead": (125, 180), "over": (-60, -30)}
    for name, (begin, end) in spans.items():
        MaintenanceWindow.objects.create(
            name=name,
            host=make_host(),
            starts_at=now + timedelta(minutes=begin),
            ends_at=now + timedelta(minutes=end),
        )
    text = admin_client.get(reverse("admin:healing_maintenancewindow_changelist")).content.decode()
    assert text.count("sh-ago") == 2
    assert "for 59\xa0minutes more" in text
    assert "in 2\xa0hours, 4\xa0minutes" in text
    assert "host h1" in text


def test_begin_and_end_from_the_pages(admin_client: Client) -> None:
    """A scope's page begins a window, the container's page says that it is held, the window's page ends it."""
    container = make_container()
    (shown,) = press(admin_client, "maintain_this", container.host, minutes="90", reason="new kernel")
    window = MaintenanceWindow.objects.get()
    assert shown == f"Maintenance window {window.name} has begun."
    page = reverse("admin:healing_container_change", args=(container.pk,))
    text = admin_client.get(page).content.decode()
    assert "neither healed nor told" in text
    assert "new kernel" in text
    assert press(admin_client, "end_this", window) == [f"Ended {window.name}."]
    assert "is not open now" in press(admin_client, "end_this", window)[-1]
    assert "neither healed nor told" not in admin_client.get(page).content.decode()


@pytest.mark.parametrize("kind", ["container", "host", "project", "service", "tenant", "systemstate"])
def test_a_dry_run_is_switched_for_each_scope(admin_client: Client, kind: str) -> None:
    """On and off again, for chosen rows or by the button of everything; the container's page tells of it."""
    container = make_container(project="shop", service="web", tenant=Tenant.objects.create(name="acme"))
    rows: dict[str, Model] = {
        "container": container,
        "host": container.host,
        "tenant": Tenant.objects.get(),
        "systemstate": SystemState.objects.get_or_create(pk=1)[0],
    }
    assert container.project is not None and container.service is not None
    rows |= {"project": container.project, "service": container.service}
    row = rows[kind]
    page = reverse("admin:healing_container_change", args=(container.pk,))
    for word in ("on", "off"):
        if kind == "systemstate":
            assert press(admin_client, "dry_run_this", row)[-1] == f"Dry run {word} for 1."
        else:
            listing = reverse(f"admin:healing_{kind}_changelist")
            admin_client.post(listing, {"action": f"dry_run_{word}_selected", "_selected_action": [row.pk]})
        is_shown = "failures are recorded, nothing is touched" in admin_client.get(page).content.decode()
        assert is_shown == (word == "on")


def test_what_is_chosen_is_run_dry_and_maintained(admin_client: Client) -> None:
    """Chosen containers and no others; none chosen means none."""
    one, two = make_container("one"), make_container("two")
    url = reverse("admin:healing_container_changelist")
    admin_client.post(url, {"action": "dry_run_on_selected", "_selected_action": []})
    assert not Container.objects.filter(dry_run=True).exists()
    admin_client.post(url, {"action": "maintain_selected", "_selected_action": [one.pk]})
    assert [window.scope for window in MaintenanceWindow.objects.all()] == [one]
    admin_client.post(url, {"action": "dry_run_on_selected", "_selected_action": [one.pk]})
    assert set(Container.objects.filter(dry_run=True)) == {one}
    admin_client.post(url, {"action": "dry_run_off_selected", "_selected_action": [one.pk, two.pk]})
    assert not Container.objects.filter(dry_run=True).exists()
