"""`manage.py setup`, which prepares an installation of separate processes."""

from __future__ import annotations

from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth import authenticate, get_user_model
from django.core.management import CommandError, call_command
from django_celery_beat.models import PeriodicTask

from healing.models import Host

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _installation(settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.SELFHEAL_HOME = tmp_path
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    monkeypatch.setenv("SELFHEAL_ADMIN_PASSWORD", "first-password")


def setup() -> str:
    output = StringIO()
    call_command("setup", stdout=output)
    return output.getvalue()


def test_it_prepares_all_that_the_processes_need() -> None:
    """Afterwards there are the admin, the periodic tasks and the engine's row, though no engine was asked."""
    told = setup()
    host = Host.objects.get(name="local")
    assert (host.engine_kind, host.address, host.enabled) == ("docker", "unix:///var/run/docker.sock", True)
    assert PeriodicTask.objects.filter(task="healing.tasks.dispatch_checks", enabled=True).exists()
    assert authenticate(None, username="admin", password="first-password")
    assert "first-password" not in told


def test_running_it_again_keeps_what_people_changed() -> None:
    """A changed password, a switched-off host and a switched-off periodic task stay as they are."""
    setup()
    user = get_user_model().objects.get(username="admin")
    user.set_password("changed-password")
    user.save()
    Host.objects.update(enabled=False)
    PeriodicTask.objects.filter(task="healing.tasks.prune_history").update(enabled=False)
    setup()
    assert authenticate(None, username="admin", password="changed-password")
    assert not Host.objects.get(name="local").enabled
    assert not PeriodicTask.objects.get(task="healing.tasks.prune_history").enabled


def test_a_bad_engine_address_is_refused_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    """A DOCKER_HOST that is no address stops the start and registers nothing."""
    monkeypatch.setenv("DOCKER_HOST", "docker.example.com")
    with pytest.raises(CommandError, match=r"DOCKER_HOST cannot be used: .*write an address"):
        setup()
    assert not Host.objects.exists()
