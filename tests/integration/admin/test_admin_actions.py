"""What people do in the admin: check, heal, pause, resume, release, switch on and off, test a connection."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.messages import get_messages
from django.db.models import Model
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from healing.models import Container, FailureRecord, HealthStatus, Host, SystemState
from tests.integration.asking.rows import make_container, make_host

pytestmark = pytest.mark.django_db

SUBMITTED = {"_form_submitted": "on"}


def run_action(client: Client, action: str, *rows: Model) -> list[str]:
    """Choose rows in a list and an action; returns the messages shown."""
    name = rows[0]._meta.model_name
    data = {"action": action, "_selected_action": [row.pk for row in rows]}
    response = client.post(reverse(f"admin:healing_{name}_changelist"), data)
    return [str(message) for message in get_messages(response.wsgi_request)]


def press(client: Client, action: str, row: Model, **data: str) -> list[str]:
    """Press a button on a row's page and confirm its dialog; returns the messages shown."""
    url = reverse(f"admin:healing_{row._meta.model_name}_{action}", args=(row.pk,))
    response = client.post(url, {**SUBMITTED, **data})
    assert response.status_code == 302, response.content
    return [str(message) for message in get_messages(response.wsgi_request)]


def test_disable_and_enable(admin_client: Client) -> None:
    """Chosen containers, and only they, are left alone and taken up again; all processes are told."""
    one, two = make_container("one"), make_container("two")
    before = SystemState.objects.get(pk=1).config_revision
    assert run_action(admin_client, "disable_selected", one) == ["Disabled 1 containers."]
    assert set(Container.objects.filter(monitored=True)) == {two}
    assert SystemState.objects.get(pk=1).config_revision > before
    run_action(admin_client, "enable_selected", one, two)
    assert Container.objects.filter(monitored=True).count() == 2


def test_an_empty_choice_does_nothing(admin_client: Client) -> None:
    """No row chosen means no row, never all rows."""
    make_container()
    data = {"action": "disable_selected", "_selected_action": []}
    admin_client.post(reverse("admin:healing_container_changelist"), data)
    assert Container.objects.get().monitored


def test_heal_now_from_the_list_and_from_the_page(admin_client: Client) -> None:
    """A heal asked for by hand is on record, and the admin's own history says by whom."""
    one, two = make_container("one"), make_container("two")
    assert run_action(admin_client, "heal_selected", one) == ["Healing one."]
    assert press(admin_client, "heal_this", two)[-1] == "Healing two."
    assert FailureRecord.objects.filter(forced=True).count() == 2
    noted = LogEntry.objects.filter(change_message="Heal asked for by hand.")
    assert {entry.object_id for entry in noted} == {str(one.pk), str(two.pk)}


def test_a_refused_heal_says_why_and_stops_nothing_else(admin_client: Client) -> None:
    """Of two chosen containers the paused one is refused with its reason, the other healed."""
    paused, free = make_container("paused"), make_container("free")
    run_action(admin_client, "pause_selected", paused)
    shown = run_action(admin_client, "heal_selected", paused, free)
    assert "Healing free." in shown
    assert any(line.startswith("paused: ") and "resume it first" in line for line in shown)
    assert [record.container for record in FailureRecord.objects.all()] == [free]


def test_a_link_cannot_heal(admin_client: Client) -> None:
    """Following a link asks first: a page on another site cannot make a browser restart a container."""
    container = make_container()
    url = reverse("admin:healing_container_heal_this", args=(container.pk,))
    assert b"Heal now" in admin_client.get(url).content
    guarded = Client(enforce_csrf_checks=True)
    guarded.cookies = admin_client.cookies
    assert guarded.post(url, SUBMITTED).status_code == 403
    assert not FailureRecord.objects.exists()


def test_pause_for_an_hour_and_resume(admin_client: Client) -> None:
    """The list's pause ends by itself after an hour and names who did it."""
    host = make_host()
    start = timezone.now()
    run_action(admin_client, "pause_selected", host)
    host.refresh_from_db()
    assert host.paused_until is not None
    assert start + timedelta(hours=1) <= host.paused_until <= timezone.now() + timedelta(hours=1)
    assert "admin" in host.paused_reason
    run_action(admin_client, "resume_selected", host)
    host.refresh_from_db()
    assert host.paused_until is None


def test_pause_from_the_page_takes_minutes_and_a_reason(admin_client: Client) -> None:
    """The dialog's values are what is paused, and a wrong one is refused in the dialog."""
    container = make_container()
    start = timezone.now()
    press(admin_client, "pause_this", container, minutes="15", reason="deploying")
    container.refresh_from_db()
    assert container.paused_until is not None
    assert timedelta(minutes=15) <= container.paused_until - start < timedelta(minutes=16)
    assert container.paused_reason == "deploying"
    url = reverse("admin:healing_container_pause_this", args=(container.pk,))
    refused = admin_client.post(url, {**SUBMITTED, "minutes": "0"})
    assert refused.status_code == 200
    assert b"greater than or equal to 1" in refused.content


def test_pause_everything_and_resume(admin_client: Client) -> None:
    """One page stops all automation, and starts it again."""
    admin_client.get(reverse("admin:healing_systemstate_changelist"))
    state = SystemState.objects.get(pk=1)
    press(admin_client, "pause_this", state, minutes="30", reason="storm")
    state.refresh_from_db()
    assert state.paused_until is not None
    press(admin_client, "resume_this", state)
    state.refresh_from_db()
    assert state.paused_until is None


def test_release_and_its_refusal(admin_client: Client) -> None:
    """A quarantined container is released; one that is not says so."""
    locked = make_container("locked", health={"lifecycle": "quarantined", "quarantined_at": timezone.now()})
    free = make_container("free")
    shown = run_action(admin_client, "release_selected", locked, free)
    assert "Released locked." in shown
    assert any("free is not quarantined" in line for line in shown)
    assert HealthStatus.objects.get(container=locked).quarantined_at is None


def test_check_now(admin_client: Client) -> None:
    """The button and the list ask for a check and say so."""
    container = make_container()
    assert run_action(admin_client, "check_selected", container) == ["Asked for a check of 1 containers."]
    assert press(admin_client, "check_this", container)[-1] == "Asked for a check of 1 containers."


def test_hosts_are_switched_and_tested(admin_client: Client, docker_host: str) -> None:
    """A real engine answers the test, a missing one is told with what to do; switching keeps to the choice."""
    there = Host.objects.create(name="there", address=docker_host)
    gone = Host.objects.create(name="gone", address="unix:///nonexistent/docker.sock")
    (answer,) = press(admin_client, "test_this", there)
    assert answer.startswith("there: docker ")
    there.refresh_from_db()
    assert there.latency is not None
    assert there.latency_at is not None
    assert there.version
    shown = run_action(admin_client, "test_selected", there, gone)
    assert any(line.startswith("gone: ") and "start the engine" in line for line in shown)
    run_action(admin_client, "disable_selected", gone)
    assert list(Host.objects.filter(enabled=True)) == [there]


@pytest.mark.parametrize(
    ("kind", "address", "words"),
    [
        ("docker", "docker.sock", "begins with one of"),
        ("docker", "tcp://engine", "add the port"),
        ("docker", "process:///tmp/x", "unix://"),
        ("process", "unix:///var/run/docker.sock", "process://"),
    ],
)
def test_a_bad_address_is_told_at_its_field(
    admin_client: Client, kind: str, address: str, words: str
) -> None:
    """A host that could never be reached is not saved, and the field says what to write."""
    data = {
        "name": "h",
        "engine_kind": kind,
        "address": address,
        "auto_register": "labelled",
        "start_grace": "60",
    }
    response = admin_client.post(reverse("admin:healing_host_add"), data)
    assert response.status_code == 200
    (message,) = response.context["adminform"].form.errors["address"]
    assert words in message
    assert not Host.objects.exists()


def test_a_good_address_is_saved(admin_client: Client) -> None:
    """Saving connects to nothing: an engine that is down can be entered."""
    data = {
        "name": "h", "engine_kind": "docker", "address": "tcp://127.0.0.1:1", "auto_register": "labelled",
        "start_grace": "60", "enabled": "on", "tls_verify": "on",
        "breaker_mode": "slow_start", "breaker_share": "0.4",
    }  # fmt: skip
    response = admin_client.post(reverse("admin:healing_host_add"), data)
    assert response.status_code == 302, response.context["adminform"].form.errors
    assert Host.objects.get().address == "tcp://127.0.0.1:1"
