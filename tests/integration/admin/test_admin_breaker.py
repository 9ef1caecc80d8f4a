"""Breakers in the admin: how they stand, a person's approval, the fleet's setting; and empty selections in any list."""

from __future__ import annotations

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from healing.models import Container, Host, Project, SystemState
from tests.integration.admin.test_admin_actions import press, run_action
from tests.integration.asking.rows import make_container, make_failure, make_host

pytestmark = pytest.mark.django_db


def test_a_host_in_a_storm_says_so_and_is_approved(admin_client: Client) -> None:
    """The page shows who fails and the incident; the approval is for the minutes that were written, and noted."""
    failure = make_failure(make_container(health={"lifecycle": "running"}), took=None)
    other = make_failure(make_container("other"), took=None, parent=failure)
    host = Host.objects.get()
    Host.objects.update(breaker_mode="approval", breaker_since=timezone.now(), breaker_incident=failure)
    page = admin_client.get(reverse("admin:healing_host_change", args=(host.pk,))).content.decode()
    assert "1 of 1 containers fail" in page
    assert f"incident #{failure.pk}" in page
    assert press(admin_client, "approve_this", host, minutes="10") == ["Healing approved for 10 minutes."]
    host.refresh_from_db()
    assert host.approved_until is not None
    assert LogEntry.objects.get().change_message == "Healing approved for 10 minutes."
    incident = admin_client.get(reverse("admin:healing_failurerecord_change", args=(failure.pk,)))
    assert other.container_name in incident.content.decode()


def test_a_closed_breaker_is_not_approved(admin_client: Client) -> None:
    """From the list as from the page, and of several all or none."""
    assert "there is nothing to approve" in run_action(admin_client, "approve_selected", make_host())[0]
    assert Host.objects.get().approved_until is None


def test_the_fleets_breaker_is_set(admin_client: Client) -> None:
    """Its row is read-only but for this: mode and share, within their bounds."""
    system = SystemState.objects.get_or_create(pk=1)[0]
    assert press(admin_client, "set_breaker_this", system, mode="hold", share="0.5") == [
        "Set the breaker: hold, share 0.5."
    ]
    system.refresh_from_db()
    assert (system.breaker_mode, system.breaker_share) == ("hold", 0.5)


@pytest.mark.parametrize(
    ("model", "action"),
    [
        (Container, "heal_selected"),
        (Container, "disable_selected"),
        (Container, "release_selected"),
        (Container, "check_selected"),
        (Host, "disable_selected"),
        (Host, "pause_selected"),
        (Host, "approve_selected"),
        (Project, "resume_selected"),
    ],
)
def test_all_of_an_empty_list_is_nothing(admin_client: Client, model: type, action: str) -> None:
    """ "Select all" of a search that finds nothing is told as an error, and changes nothing."""
    make_container(project="shop", service="web")
    name = model.__name__.lower()
    url = reverse(f"admin:healing_{name}_changelist") + "?q=no-such-name"
    data = {"action": action, "select_across": "1", "_selected_action": ["0"]}
    shown = admin_client.post(url, data, follow=True).content.decode()
    assert "nothing was done" in shown
    assert Container.objects.get().monitored
    assert Host.objects.filter(enabled=True, paused_until=None).count() == 1
