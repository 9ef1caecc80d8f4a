"""The management commands that show and steer, run as people run them."""

from __future__ import annotations

import json
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.utils import timezone

from healing.models import Container, FailureRecord, HealthStatus, Host, Project, Service, SystemState
from tests.integration.asking.rows import make_attempt, make_container, make_failure

pytestmark = pytest.mark.django_db


def run(name: str, *args: str) -> str:
    out = StringIO()
    call_command(name, *args, stdout=out)
    return out.getvalue()


def run_json(name: str, *args: str) -> Any:
    return json.loads(run(name, *args, "--json"))


def test_container_health_as_json_and_as_table() -> None:
    """JSON carries the documented names with ISO times; the table shows fields as people must write them."""
    moment = timezone.now()
    make_container(health={"status": "unhealthy", "last_check_time": moment}, labels={"selfheal.bad": "1"})
    data = run_json("container_health", "web")
    assert (data["status"], data["last_check_time"]) == ("unhealthy", moment.isoformat())
    assert data["config"]["check_interval"] == 30.0
    assert data["config"]["found_stopped"] == "judge"
    text = run("container_health", "web")
    assert "unhealthy" in text
    assert "check_interval" in text
    assert "selfheal.bad" in text


def test_failure_history_limits_and_shows_reasons() -> None:
    """The newest N are shown, each with its reason; attempts and details are in the JSON."""
    container = make_container()
    for number in range(3):
        failure = make_failure(
            container, after=number, reason=f"because {number}", details={"exit_code": 137}
        )
        make_attempt(failure)
    data = run_json("failure_history", "web", "--limit", "2")
    assert [record["reason"] for record in data] == ["because 2", "because 1"]
    assert data[0]["details"] == {"exit_code": 137}
    assert data[0]["attempts"][0]["number"] == 1
    assert "because 0" in run("failure_history", "web")


def test_failure_history_of_a_container_without_failures() -> None:
    """No failure is an answer, not an error."""
    make_container()
    assert run_json("failure_history", "web") == []
    assert "no failure on record" in run("failure_history", "web")


def test_a_hostile_log_line_cannot_steer_the_terminal() -> None:
    """Escape sequences and markup from a container come out as text."""
    container = make_container(health={"message": "\x1b[2J[bold]x[/bold]"})
    make_failure(container, cause="\x1b]0;owned\x07")
    for text in (run("container_health", "web"), run("failure_history", "web")):
        assert "\x1b" not in text
        assert "\x07" not in text
    assert "\\x1b[2J[bold]x[/bold]" in run("container_health", "web")


def test_healing_stats_as_json_and_as_table() -> None:
    """Figures come as numbers of seconds in JSON and as durations in the table."""
    container = make_container()
    make_failure(container, after=0)
    make_attempt(make_failure(container, after=600))
    data = run_json("healing_stats")
    assert (data["mtbf"], data["mttr"], data["restart_success_rate"]) == (600.0, 10.0, 1.0)
    text = run("healing_stats", "--since", "2026-01-01")
    assert "0:10:00" in text
    assert "100.0%" in text


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (("container_health", "wbe"), "Did you mean 'web'"),
        (("failure_history", "wbe"), "Did you mean 'web'"),
        (("check_now", "web", "wbe"), "Did you mean 'web'"),
        (("heal_now", "wbe"), "Did you mean 'web'"),
        (("release", "web"), "not quarantined"),
        (("failure_history", "web", "--limit", "0"), "from 1 up"),
        (("healing_stats", "--since", "yesterday"), "neither a time nor a duration"),
        (("healing_stats", "--host", "h2"), "no host 'h2'"),
        (("pause", "--all", "--for", "soon"), "not a duration"),
        (("pause", "--all", "--for", "0"), "out of range"),
        (("pause", "--all", "--until", "2020-01-01T00:00"), "in the past"),
        (("pause", "--container", "web"), "--for"),
        (("pause", "--for", "1h"), "Nothing is selected"),
        (("pause", "--all", "--container", "web", "--for", "1h"), "leave one of them out"),
        (("pause", "--service", "web", "--for", "1h"), "no service 'web'"),
        (("resume",), "Nothing is selected"),
        (("prune_history", "--keep-days", "0"), "from 1 up"),
    ],
)
def test_mistakes_get_a_sentence_and_change_nothing(command: tuple[str, ...], message: str) -> None:
    """Every wrong name, time or empty selection says what to write, and nothing is paused or healed by it."""
    make_container()
    with pytest.raises(CommandError, match=message):
        run(*command)
    assert not Container.objects.exclude(paused_until=None).exists()
    assert not SystemState.objects.exclude(paused_until=None).exists()
    assert not FailureRecord.objects.exists()


def test_check_now_says_what_it_asked_for() -> None:
    """Several containers can be asked for at once."""
    make_container("web")
    make_container("db")
    assert run("check_now", "web", "db").strip() == "Asked for a check of web, db."


def test_heal_now_opens_a_forced_failure_and_names_it() -> None:
    """A heal by hand is on record, outside the success rate, and the command says where to look."""
    container = make_container()
    text = run("heal_now", "web")
    failure = FailureRecord.objects.get(container=container)
    assert failure.forced
    assert not failure.in_success_rate
    assert f"#{failure.pk}" in text


def test_heal_now_never_goes_through_a_pause() -> None:
    """A person who paused something is not overruled by one who does not know it."""
    make_container()
    run("pause", "--host", "h1", "--for", "1h", "--reason", "moving house")
    with pytest.raises(CommandError, match="moving house.*resume"):
        run("heal_now", "web")
    assert not FailureRecord.objects.exists()


def test_pause_and_resume_every_kind_of_scope() -> None:
    """A container, a service, a project, a host and everything are paused until the same time, and resumed."""
    make_container(project="shop", service="web")
    until = (timezone.now() + timedelta(hours=2)).replace(microsecond=0)
    scopes = (
        (("--container", "web"), Container),
        (("--service", "shop/web"), Service),
        (("--project", "shop"), Project),
        (("--host", "h1"), Host),
        (("--all",), SystemState),
    )
    for selection, model in scopes:
        run("pause", *selection, "--until", until.isoformat(), "--reason", "deploying")
        paused = model.objects.get(paused_until=until)
        assert paused.paused_reason == "deploying"
        run("resume", *selection)
        paused.refresh_from_db()
        assert paused.paused_until is None


def test_host_with_container_says_where_the_container_is() -> None:
    """--host narrows --container to one of two; the host itself is not paused."""
    first, second = make_container(host="h1"), make_container(host="h2")
    run("pause", "--container", "web", "--host", "h2", "--for", "30m")
    first.refresh_from_db()
    second.refresh_from_db()
    assert first.paused_until is None
    assert second.paused_until is not None
    assert Host.objects.get(name="h2").paused_until is None


def test_release_ends_a_quarantine() -> None:
    """A released container is no longer quarantined."""
    container = make_container(health={"lifecycle": "quarantined", "quarantined_at": timezone.now()})
    run("release", "web")
    assert HealthStatus.objects.get(container=container).quarantined_at is None


def test_prune_history_tells_what_it_deleted() -> None:
    """Counts by kind, as text and as JSON."""
    make_failure(make_container())
    assert "1 failure records" in run("prune_history", "--keep-days", "30")
    assert run_json("prune_history")["failure_records"] == 0
