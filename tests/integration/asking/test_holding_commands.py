"""`manage.py maintenance` and `manage.py dry_run`: what they begin, show, end, and refuse."""

from __future__ import annotations

import json
from datetime import datetime, time, timedelta
from io import StringIO
from typing import Any

import pytest
import time_machine
from django.core.management import CommandError, call_command
from django.utils import timezone

from healing import commands
from healing.api import container_health
from healing.models import Container, Host, MaintenanceWindow, Project, Service, SystemState, Tenant
from tests.integration.asking.rows import NOON, make_container

pytestmark = pytest.mark.django_db


def run(*arguments: str) -> str:
    out = StringIO()
    call_command(*arguments, stdout=out)
    return out.getvalue()


@pytest.fixture
def web() -> Container:
    """A container in all that a container can be in."""
    return make_container("web", project="shop", service="web", tenant=Tenant.objects.create(name="acme"))


SCOPES: tuple[tuple[str, tuple[str, ...], type[Any]], ...] = (
    ("container web", ("--container", "web"), Container),
    ("service shop/web", ("--service", "shop/web"), Service),
    ("project shop", ("--project", "shop"), Project),
    ("host h1", ("--host", "h1"), Host),
    ("tenant acme", ("--tenant", "acme"), Tenant),
    ("everything", ("--all",), SystemState),
)


@pytest.mark.parametrize(("label", "selection", "model"), SCOPES)
def test_each_scope_can_be_paused_run_dry_and_maintained(
    web: Container, label: str, selection: tuple[str, ...], model: type[Any]
) -> None:
    """What is begun for a scope holds for its container, is shown by name, and ends by its command."""
    run("pause", *selection, "--for", "1h", "--reason", "moving")
    assert model.objects.get(paused_reason="moving").paused_until is not None
    assert container_health("web")["paused"] is not None
    run("resume", *selection)
    assert container_health("web")["paused"] is None

    assert run("dry_run", "on", *selection) == f"{label}: dry run is on\n"
    assert run("dry_run", "status") == f"{label}: dry run is on\n"
    assert container_health("web")["dry_run"] == label
    assert run("dry_run", "off", *selection) == f"{label}: dry run is off\n"
    assert run("dry_run", "status") == "No dry run is on.\n"
    assert container_health("web")["dry_run"] is None

    begun = run("maintenance", "start", *selection, "--for", "2h", "--reason", "new kernel")
    window = MaintenanceWindow.objects.get()
    window.full_clean()
    assert begun.startswith(f"Maintenance of {label} until ")
    assert f"manage.py maintenance end '{window.name}'" in begun
    (shown,) = json.loads(run("maintenance", "--json"))
    assert (shown["for"], shown["comes"], shown["opens_next"]) == (label, "once", None)
    assert container_health("web")["maintenance"]["until"] == window.ends_at
    assert "new kernel" in container_health("web")["maintenance"]["reason"]
    run("maintenance", "end", window.name)
    assert container_health("web")["maintenance"] is None


def test_a_container_under_a_wider_dry_run_says_so(web: Container) -> None:
    """Its own switch is off, and yet nothing is touched."""
    run("dry_run", "on", "--host", "h1")
    text = run("dry_run", "status", "--container", "web")
    assert text == "container web: dry run is off, and yet it is under that of host h1\n"


@time_machine.travel(NOON, tick=False)
def test_a_recurring_window_is_ended_for_this_time(web: Container, monkeypatch: pytest.MonkeyPatch) -> None:
    """It opens again at its next time; one that is not open is not ended."""
    monkeypatch.setattr(commands, "db_now", timezone.now)  # the time of the test, not PostgreSQL's
    whole_day = {"start_time": time(), "end_time": time()}
    window = MaintenanceWindow.objects.create(name="nightly", recurrence="daily", host=web.host, **whole_day)
    run("maintenance", "end", "nightly")
    assert container_health("web")["maintenance"] is None
    window.refresh_from_db()
    tomorrow = NOON + timedelta(hours=12)
    assert window.starts_at == tomorrow
    (shown,) = json.loads(run("maintenance", "list", "--json"))
    assert shown["comes"] == "daily 00:00–00:00 UTC"
    assert datetime.fromisoformat(shown["opens_next"]) == tomorrow
    assert "nightly" in run("maintenance")
    with pytest.raises(CommandError, match="nightly is not open now"):
        run("maintenance", "end", "nightly")


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (("maintenance", "start", "--for", "2h"), "Nothing is selected"),
        (("maintenance", "start", "--all"), "--for 2h"),
        (("maintenance", "start", "--all", "--until", "2020-01-01T00:00"), "in the past"),
        (("maintenance", "start", "--tenant", "acne", "--for", "2h"), "Did you mean 'acme'"),
        (("maintenance", "start", "--all", "--for", "2h", "--name", "x" * 101), "longer than 100"),
        (
            ("maintenance", "start", "--host", "h1", "--project", "shop", "--for", "2h", "--name", "x"),
            "one scope",
        ),
        (("maintenance", "start", "web", "--for", "2h"), "leave it out"),
        (("maintenance", "end"), "Say which window"),
        (("maintenance", "end", "nightly"), "No maintenance window is registered|no maintenance window"),
        (("dry_run", "on"), "Nothing is selected"),
        (("dry_run", "on", "--all", "--tenant", "acme"), "leave one of them out"),
    ],
)
def test_mistakes_get_a_sentence_and_change_nothing(
    web: Container, command: tuple[str, ...], message: str
) -> None:
    """No window begins and no dry run is switched by a wrong name, time or an empty selection."""
    with pytest.raises(CommandError, match=message):
        run(*command)
    assert not MaintenanceWindow.objects.exists()
    assert run("dry_run", "status") == "No dry run is on.\n"


def test_a_name_that_is_taken_is_refused(web: Container) -> None:
    """Two windows of one name could not be told apart."""
    run("maintenance", "start", "--all", "--for", "2h", "--name", "night")
    with pytest.raises(CommandError, match="'night' already"):
        run("maintenance", "start", "--host", "h1", "--for", "2h", "--name", "night")
    assert MaintenanceWindow.objects.count() == 1


def test_windows_go_by_the_databases_clock(web: Container, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process whose clock is wrong by hours begins and ends maintenance when the others do."""
    now = timezone.now() + timedelta(hours=5)
    monkeypatch.setattr(commands, "db_now", lambda: now)
    window = commands.start_maintenance(web.host, now + timedelta(hours=1))
    assert window.starts_at == now
    with pytest.raises(commands.Refused, match="is over already"):
        commands.pause(web.host, now - timedelta(hours=1))
    commands.end_maintenance(window)
    assert window.ends_at == now


@pytest.mark.parametrize("name", ["web", "w" * 200])
def test_containers_of_one_name_get_windows_of_their_own(name: str) -> None:
    """Two hosts have them, and a window's name is cut to its length: both begin in the same second."""
    until = timezone.now() + timedelta(hours=1)
    with time_machine.travel(timezone.now(), tick=False):
        for host in ("h1", "h2"):
            commands.start_maintenance(make_container(name, host), until)
    assert MaintenanceWindow.objects.count() == 2
