"""The admin's first page: what is wrong now is there with its reason, and nothing that is not."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from healing.admin import front_page
from healing.models import FailureRecord, HealthStatus, Host, SystemState
from healing.store import hosts, signs
from healing.store.clock import db_now
from tests.integration.asking.rows import NOON, make_container, make_failure, make_host

pytestmark = pytest.mark.django_db

INDEX = reverse("admin:index")
HOSTILE = "<img src=x onerror=alert(1)>"
MOST_STATEMENTS = 16


@pytest.fixture
def alive(monkeypatch: pytest.MonkeyPatch) -> None:
    """All parts of Selfheal have shown a sign of life; the hosts of these tests have no watchers that could."""
    monkeypatch.setattr(front_page, "by_signs", list)


def titles(client: Client) -> list[str]:
    return [section.title for section in client.get(INDEX).context["sections"]]


@pytest.mark.usefixtures("alive")
def test_nothing_is_wrong(admin_client: Client) -> None:
    """One green sentence with the size of the fleet, and what ended last."""
    make_failure(make_container("web", health={"status": "healthy", "lifecycle": "running"}))
    make_container("also", health={"status": "healthy", "lifecycle": "running"})
    make_container("job", health={"lifecycle": "finished"})
    make_container("left", monitored=False)
    response = admin_client.get(INDEX)
    assert response.context["is_well"]
    assert response.context["title"] == "What is wrong now"
    assert "Nothing is wrong. Supervised containers: 2 running, 1 finished." in response.content.decode()
    assert titles(admin_client) == ["Ended last"]


def test_a_silent_part_of_selfheal_comes_first(admin_client: Client) -> None:
    """Who looks at the page because nothing is healed reads first that nobody heals, and what to do."""
    make_failure(make_container(), took=None)
    response = admin_client.get(INDEX)
    assert titles(admin_client)[:2] == ["Selfheal itself", "Open failures"]
    page = response.content.decode()
    assert "has never shown a sign of life. See why no worker takes from the queue" in page
    assert "Not all is well: see selfheal itself, open failures." in page


@pytest.mark.usefixtures("alive")
def test_all_that_is_wrong_is_named(admin_client: Client) -> None:
    """Switches, a silent host, an open breaker, a failure and a quarantine: each with its reason and its page."""
    until = timezone.now() + timedelta(hours=1)
    state = {"paused_until": until, "paused_reason": "we move", "dry_run": True, "breaker_since": NOON}
    SystemState.objects.update_or_create(pk=1, defaults=state)
    Host.objects.filter(pk=make_host("dark").pk).update(state="down", error="no route", state_since=NOON)
    Host.objects.filter(pk=make_host("stormy").pk).update(breaker_since=NOON, breaker_mode="approval")
    failure = make_failure(make_container("web"), took=None, reason="held: waits for db")
    lost = make_container("lost")
    HealthStatus.objects.filter(pk=lost.pk).update(quarantined_at=NOON, message="exit code 1")
    page = admin_client.get(INDEX).content.decode()
    assert titles(admin_client) == ["Switches", "Hosts", "Open failures", "Quarantined"]
    for words in (
        "we move", "a dry run", "failing at once", "no route", "the breaker is open (mode: approval)",
        "held: waits for db", "exit code 1", "released by hand",
        reverse("admin:healing_failurerecord_change", args=(failure.pk,)),
        reverse("admin:healing_container_change", args=(lost.pk,)),
    ):  # fmt: skip
        assert words in page, words


@pytest.mark.usefixtures("alive")
def test_what_is_over_or_switched_off_is_not_wrong(admin_client: Client) -> None:
    """A pause that has ended, a host and a container that nobody supervises: no word about them."""
    over = timezone.now() - timedelta(seconds=1)
    SystemState.objects.update_or_create(pk=1, defaults={"paused_until": over})
    Host.objects.filter(pk=make_host("off").pk).update(state="down", enabled=False)
    for out_of_care in (make_container("left", monitored=False), make_container("there", host="off")):
        HealthStatus.objects.filter(pk=out_of_care.pk).update(quarantined_at=NOON)
    assert titles(admin_client) == []


@pytest.mark.usefixtures("alive")
def test_what_containers_say_is_text(admin_client: Client) -> None:
    """Markup and control characters in a reason, a cause or a name do nothing on the page."""
    make_failure(
        make_container("web"), took=None, cause=HOSTILE, reason=f"{HOSTILE}\x1b[2J", host_name=HOSTILE
    )
    page = admin_client.get(INDEX).content.decode()
    assert "<img src=x" not in page
    assert "\x1b" not in page
    assert "&lt;img src=x onerror=alert(1)&gt;\\x1b[2J" in page


@pytest.mark.usefixtures("alive")
def test_the_important_come_first_and_the_rest_is_counted(admin_client: Client) -> None:
    """Of many open failures the most important and oldest are shown, and a link leads to all of them."""
    for number in range(front_page.SHOWN + 3):
        make_failure(make_container(f"web-{number}"), after=-number, took=None, priority=2)
    first = make_failure(make_container("vital"), took=None, priority=0)
    make_failure(make_container("over"))
    section = admin_client.get(INDEX).context["sections"][0]
    assert (section.title, section.more) == ("Open failures", 4)
    assert section.table.index(f"#{first.pk}<") < section.table.index("web-22")
    shown = admin_client.get(section.url).context["cl"].result_list
    assert {record.pk for record in shown} == set(
        FailureRecord.objects.filter(resolved_at=None).values_list("pk", flat=True)
    )


def test_many_wrongs_cost_as_many_statements_as_few(admin_client: Client) -> None:
    """The page is for the worst night: it asks the database as often for forty of each as for five."""
    _fill(5)
    admin_client.get(INDEX)
    with CaptureQueriesContext(connection) as few:
        admin_client.get(INDEX)
    _fill(40)
    with CaptureQueriesContext(connection) as many:
        admin_client.get(INDEX)
    counted = [query for query in many.captured_queries if "COUNT(" in query["sql"].upper()]
    assert len(many) - len(counted) <= len(few), [query["sql"] for query in many.captured_queries]
    assert len(many) <= MOST_STATEMENTS, [query["sql"] for query in many.captured_queries]


def _fill(count: int) -> None:
    for number in range(count):
        name = f"{count}-{number}"
        make_failure(make_container(f"web-{name}", host=f"host-{name}"), took=None)
        lost = make_container(f"lost-{name}", host=f"host-{name}")
        HealthStatus.objects.filter(pk=lost.pk).update(quarantined_at=NOON)
    Host.objects.update(state="down", state_since=NOON)


@pytest.mark.usefixtures("alive")
@pytest.mark.parametrize(
    ("rights", "seen"),
    [
        ((), []),
        (("view_host",), ["Hosts"]),
        (("view_failurerecord",), ["Open failures"]),
        (("view_systemstate", "view_healthstatus"), ["Switches", "Quarantined"]),
    ],
)
def test_only_what_one_may_see(client: Client, rights: tuple[str, ...], seen: list[str]) -> None:
    """The page gives nobody a sight that the lists refuse."""
    SystemState.objects.update_or_create(pk=1, defaults={"dry_run": True})
    Host.objects.filter(pk=make_host("dark").pk).update(state="down")
    container = make_container("web")
    make_failure(container, took=None)
    HealthStatus.objects.filter(pk=container.pk).update(quarantined_at=NOON)
    user = User.objects.create_user("viewer", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=rights))
    client.force_login(user)
    assert titles(client) == seen


def test_parts_that_have_signed_are_alive(admin_client: Client) -> None:
    """The page believes the same signs as /readyz: a part that has just signed is not among the silent."""
    assert "tick" in _silent(admin_client)
    hosts.beat(signs.TICK, db_now())
    assert "tick" not in _silent(admin_client)
    assert "sweeper" in _silent(admin_client)


def _silent(client: Client) -> set[str]:
    table = client.get(INDEX).context["sections"][0].table
    return {part for part in ("tick", "sweeper") if f"<td>{part}</td>" in table}
