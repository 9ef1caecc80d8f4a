"""`manage.py breaker`: how breakers stand, a person's approval, and their settings."""

from __future__ import annotations

import json
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.utils import timezone

from healing.models import FailureRecord, Host, SystemState
from tests.integration.asking.rows import make_container, make_failure

pytestmark = pytest.mark.django_db


def run(*words: str) -> str:
    out = StringIO()
    call_command("breaker", *words, stdout=out)
    return out.getvalue()


def open_one(mode: str = "approval") -> FailureRecord:
    """An open breaker of host h1, with one heal that it holds for an hour."""
    now = timezone.now()
    failure = make_failure(
        make_container(health={"lifecycle": "running"}),
        took=None,
        stage="diagnose",
        due_at=now + timedelta(hours=1),
        reason="held: breaker of host h1 waits for approval",
    )
    Host.objects.update(breaker_mode=mode, breaker_since=now, breaker_incident=failure)
    return failure


def status(**wanted: Any) -> dict[str, Any]:
    found = {row["breaker"]: row for row in json.loads(run("status", "--json"))}
    assert set(found) == {"the fleet", "host h1"}
    return {key: found["host h1"][key] for key in wanted}


def test_it_shows_how_they_stand() -> None:
    """The fleet's and each host's, with what is failing, held and approved."""
    failure = open_one()
    wanted = {
        "state": "open",
        "mode": "approval",
        "failing": 1,
        "running": 1,
        "held": 1,
        "incident": failure.pk,
    }
    assert status(**wanted) == wanted
    assert "host h1" in run()


def test_an_approval_wakes_what_waits() -> None:
    """For an hour unless said otherwise; the held heal is due at once."""
    failure = open_one()
    assert "Approved host h1 until" in run("approve", "h1")
    host = Host.objects.get()
    assert host.approved_until is not None
    assert timedelta(minutes=59) < host.approved_until - timezone.now() <= timedelta(hours=1)
    failure.refresh_from_db()
    assert failure.due_at is not None
    assert failure.due_at <= timezone.now()
    assert status(state="approved") == {"state": "approved"}


def test_all_means_all_that_wait() -> None:
    """`--all` takes those that wait for approval, and goes with no other selection."""
    open_one()
    assert run("approve", "--all", "--for", "10m").count("Approved") == 1
    with pytest.raises(CommandError, match="goes with no other selection"):
        run("approve", "h1", "--all")


@pytest.mark.parametrize(("mode", "expected"), [("hold", "does not wait for approval"), ("", "is closed")])
def test_what_does_not_wait_is_not_approved(mode: str, expected: str) -> None:
    """An approval beforehand, or of what holds without asking, would surprise somebody later."""
    make_container()
    if mode:
        Host.objects.update(breaker_mode=mode, breaker_since=timezone.now())
    with pytest.raises(CommandError, match=expected):
        run("approve", "h1")


def test_mode_and_share_are_set_together_or_alone() -> None:
    """One host, the fleet, or all of them; what is not given stays; what is held is decided anew."""
    failure = open_one()
    run("set", "h1", "--mode", "slow_start")
    failure.refresh_from_db()
    assert failure.due_at is not None
    assert failure.due_at <= timezone.now()
    run("set", "--fleet", "--mode", "hold")
    run("set", "--all", "--share", "0.25")
    host, system = Host.objects.get(), SystemState.objects.get(pk=1)
    assert (host.breaker_mode, host.breaker_share) == ("slow_start", 0.25)
    assert (system.breaker_mode, system.breaker_share) == ("hold", 0.25)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["set", "h1", "--share", "1.5"], "from 0 to 1"),
        (["set", "h1", "--share", "nan"], "from 0 to 1"),
        (["set", "h1"], "Nothing is to be set"),
        (["set", "h2", "--mode", "hold"], "Did you mean 'h1'"),
        (["set", "h1", "--all", "--mode", "hold"], "goes with no other selection"),
    ],
)
def test_a_wrong_setting_is_refused_with_a_sentence(words: list[str], expected: str) -> None:
    """What was wrong, and what to write instead; nothing is changed."""
    make_container()
    with pytest.raises(CommandError, match=expected):
        run(*words)
    assert (Host.objects.get().breaker_mode, Host.objects.get().breaker_share) == ("slow_start", 0.4)
