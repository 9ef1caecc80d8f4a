"""Which host a registration goes to when none is named."""

from __future__ import annotations

import pytest

from healing.core.errors import ConfigError
from healing.models import Host
from healing.registration.hosts import choose_host

pytestmark = pytest.mark.django_db


def test_local_processes_do_not_make_one_engine_ambiguous() -> None:
    """Where `make up` once found no Docker, its host for local processes stays; the engine is still the one meant."""
    Host.objects.create(name="local-processes", engine_kind="process", address="process:///x")
    assert choose_host(None).name == "local-processes"
    Host.objects.create(name="local", engine_kind="docker", address="unix:///x")
    assert choose_host(None).name == "local"


def test_two_engines_are_to_be_chosen_from() -> None:
    """With two engines nothing is guessed, and the sentence names them."""
    for name in ("east", "west"):
        Host.objects.create(name=name, engine_kind="docker", address=f"unix:///{name}")
    with pytest.raises(ConfigError, match="the hosts are east, west; choose one with --host NAME"):
        choose_host(None)
