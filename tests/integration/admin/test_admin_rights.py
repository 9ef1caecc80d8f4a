"""Histories cannot be edited, by nobody; and looking gives no right to act."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from healing.models import CheckShard, Container, FailureRecord, Heartbeat, Host, SystemState
from tests.integration.asking.rows import make_attempt, make_container, make_failure, make_host

pytestmark = pytest.mark.django_db

HISTORIES = ("failurerecord", "attempt", "healthstatus", "heartbeat", "checkshard", "systemstate", "trouble")


@pytest.fixture
def viewer(client: Client) -> Client:
    """Somebody who may see everything and change nothing."""
    user = User.objects.create_user("viewer", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__startswith="view_"))
    client.force_login(user)
    return client


@pytest.mark.parametrize("name", HISTORIES)
def test_histories_have_no_add_change_or_delete(admin_client: Client, name: str) -> None:
    """Not even a superuser can write a history by hand."""
    container = make_container()
    make_attempt(make_failure(container))
    Heartbeat.objects.create(name="beat", at=timezone.now())
    SystemState.objects.get_or_create(pk=1)
    assert admin_client.get(reverse(f"admin:healing_{name}_add")).status_code == 403
    model = {"healthstatus": container.health, "failurerecord": FailureRecord.objects.first()}.get(name)
    if model is not None:
        assert admin_client.get(reverse(f"admin:healing_{name}_delete", args=(model.pk,))).status_code == 403
        change = reverse(f"admin:healing_{name}_change", args=(model.pk,))
        assert admin_client.post(change, {"reason": "rewritten", "message": "rewritten"}).status_code == 403


def test_the_system_state_cannot_be_written_through_its_form(admin_client: Client) -> None:
    """Who may pause everything still cannot type a revision or a pause into the row."""
    SystemState.objects.update_or_create(pk=1, defaults={"config_revision": 7, "paused_until": None})
    url = reverse("admin:healing_systemstate_change", args=(1,))
    admin_client.post(url, {"config_revision": 1, "paused_until_0": "2030-01-01", "paused_until_1": "00:00"})
    state = SystemState.objects.get(pk=1)
    assert (state.config_revision, state.paused_until) == (7, None)


def test_a_viewer_sees_and_cannot_act(viewer: Client) -> None:
    """Looking at a container gives no button and no right to restart it."""
    container = make_container()
    page = reverse("admin:healing_container_change", args=(container.pk,))
    text = viewer.get(page).content.decode()
    assert "heal_this" not in text
    assert (
        viewer.post(f"{page.removesuffix('change/')}heal_this/", {"_form_submitted": "on"}).status_code == 403
    )
    listing = reverse("admin:healing_container_changelist")
    viewer.post(listing, {"action": "heal_selected", "_selected_action": [container.pk]})
    assert not FailureRecord.objects.exists()


def test_a_container_with_a_history_is_not_deleted(admin_client: Client) -> None:
    """Deleting it would rewrite history; it can be switched off instead."""
    container = make_container()
    make_failure(container)
    admin_client.post(reverse("admin:healing_container_delete", args=(container.pk,)), {"post": "yes"})
    assert Container.objects.filter(pk=container.pk).exists()


def test_a_container_and_a_host_added_by_mistake_can_be_deleted(admin_client: Client) -> None:
    """Rows of our own bookkeeping do not stand in the way."""
    container = make_container()
    admin_client.post(reverse("admin:healing_container_delete", args=(container.pk,)), {"post": "yes"})
    assert not Container.objects.filter(pk=container.pk).exists()
    host = make_host("mistake")
    assert CheckShard.objects.filter(host=host).exists()
    admin_client.post(reverse("admin:healing_host_delete", args=(host.pk,)), {"post": "yes"})
    assert not Host.objects.filter(pk=host.pk).exists()


def test_nobody_gets_in_without_a_login(client: Client) -> None:
    """Every page leads to the login."""
    response = client.get(reverse("admin:healing_container_changelist"))
    assert (response.status_code, "login" in response["Location"]) == (302, True)
