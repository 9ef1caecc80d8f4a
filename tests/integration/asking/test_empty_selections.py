"""An empty selection means nothing, never everything: each command says so, and changes nothing."""

from __future__ import annotations

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from healing.models import Container, FailureRecord, Host, SystemState
from tests.integration.asking.rows import make_container

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    "words",
    [
        "pause --for 1h",
        "resume",
        "dry_run on",
        "dry_run off",
        "maintenance start --for 1h",
        "maintenance end",
        "breaker approve",
        "breaker approve --all",
        "breaker set --mode hold",
        "check_now",
        "heal_now",
        "release",
        "near",
    ],
)
def test_a_command_without_a_selection_is_refused(words: str) -> None:
    """What a script's empty variable leaves behind must not reach a single container."""
    make_container(health={"lifecycle": "quarantined", "status": "unhealthy"})
    before = _state()
    with pytest.raises(CommandError):
        call_command(*words.split())
    assert _state() == before


@pytest.mark.parametrize(
    "words",
    [
        ["pause", "--for", "1h", "--host", ""],
        ["pause", "--for", "1h", "--container", ""],
        ["dry_run", "on", "--project", ""],
        ["maintenance", "start", "--for", "1h", "--service", ""],
        ["breaker", "set", "", "--mode", "hold"],
        ["check_now", ""],
        ["heal_now", ""],
        ["release", ""],
        ["near", ""],
    ],
)
def test_an_empty_name_is_no_name(words: list[str]) -> None:
    """`--host "$HOST"` with nothing in it selects nothing."""
    make_container(health={"lifecycle": "quarantined", "status": "unhealthy"})
    before = _state()
    with pytest.raises(CommandError):
        call_command(*words)
    assert _state() == before


@pytest.mark.parametrize("words", [[], ["--project", ""], ["--label", ""]])
def test_nothing_to_register_is_refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Neither a file nor a choice of containers: nothing is registered, and the exit status says so."""
    make_container()
    with pytest.raises(SystemExit) as ended:
        call_command("register_containers", *words)
    assert ended.value.code == 1
    assert Container.objects.count() == 1


def _state() -> list[object]:
    """Everything that a command could have changed."""
    return [
        list(Host.objects.values("paused_until", "dry_run", "breaker_mode", "approved_until")),
        list(Container.objects.values("paused_until", "dry_run", "monitored", "health__lifecycle")),
        list(SystemState.objects.values("paused_until", "dry_run", "breaker_mode", "approved_until")),
        FailureRecord.objects.count(),
    ]
