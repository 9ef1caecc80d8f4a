"""What breakers count, told row by row: the fleet's, people's own work, and what fails because another does."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any

import pytest
from django.db import OperationalError
from django.utils import timezone

from healing import commands
from healing.core.breaker import CALM, BreakerMode
from healing.effective import config_book, forget_book
from healing.models import Container, Dependency, FailureRecord, HealthStatus, Host, SystemState
from healing.pipeline import breaking
from healing.store import breakers
from notifications.models import Notification
from tests.integration.asking.rows import make_container, make_failure

pytestmark = pytest.mark.django_db

NOW = timezone.now()
RUNNING = {"status": "healthy", "lifecycle": "running"}


@pytest.fixture(autouse=True)
def fresh_book() -> Iterator[None]:
    forget_book()
    yield
    forget_book()


def running(number: int, host: str = "h1") -> list[Container]:
    return [make_container(f"{host}-{index}", host, health=RUNNING) for index in range(number)]


def failing(containers: list[Container], **fields: Any) -> list[FailureRecord]:
    values: dict[str, Any] = {"detected_at": NOW, "stage": "diagnose", "error_message": "no answer"}
    return [make_failure(each, took=None, **(values | fields)) for each in containers]


def look(seconds: float = 0.0) -> None:
    breaking.evaluate(NOW + timedelta(seconds=seconds))


def is_open(host: str = "h1") -> bool:
    return Host.objects.get(name=host).breaker_since is not None


def pages() -> list[str]:
    return list(Notification.objects.order_by("created_at").values_list("title", flat=True))


def test_it_opens_although_nobody_decides() -> None:
    """A tick is enough: the page names who fails, and what they have in common."""
    failing(running(10)[:6])
    look()
    look(1)
    assert is_open()
    (page,) = Notification.objects.all()
    assert (page.level, page.title) == ("critical", "6 of 10 containers of host h1 fail at once")
    assert "h1-0, h1-1" in page.body
    assert "6 of 6 say: no answer" in page.body
    assert "manage.py breaker set h1 --mode hold" in page.body


@pytest.mark.parametrize(
    "fields",
    [
        {"reason": "held: maintenance nightly until 2030-01-01 00:00:00 UTC"},
        {"reason": "held: waits for db"},
        {"reason": "paused: host h1 is paused"},
        {"is_trial": True},
        {"in_success_rate": False},
    ],
)
def test_what_people_know_of_does_not_count(fields: dict[str, Any]) -> None:
    """Held for maintenance or for another, paused, a trial in quarantine, a wish: none of them makes a storm."""
    containers = running(6)
    failing(containers[:2])
    failing(containers[2:5], **fields)
    look()
    assert not is_open()


@pytest.mark.parametrize("lifecycle", ["quarantined", "stopped_by_hand", "finished", "paused", "gone"])
def test_what_does_not_normally_run_does_not_count(lifecycle: str) -> None:
    """Neither as failing nor as running: three of four that run are a storm, whatever rests beside them."""
    resting = [make_container(f"r{n}", health={"lifecycle": lifecycle}) for n in range(6)]
    failing(resting[:4])
    look()
    assert not is_open()
    failing(running(4)[:3])
    look(1)
    assert is_open()
    assert pages() == ["3 of 4 containers of host h1 fail at once"]


def test_a_window_that_nobody_has_asked_yet_counts_too() -> None:
    """Maintenance that has just begun is known before its failures are decided."""
    failing(running(4)[:3])
    commands.start_maintenance(Host.objects.get(), timezone.now() + timedelta(hours=1), "")
    breaking.evaluate(timezone.now())
    assert not is_open()


def test_what_fails_because_another_does_is_no_storm() -> None:
    """A database and the two that need it are one cause, on the way to being held."""
    db, *needing = running(5)
    for each in needing[:2]:
        Dependency.objects.create(dependant=each, dependency=db)
    forget_book()
    assert config_book().dependencies.needs(needing[0].pk)
    failing([db, *needing[:2]])
    look()
    assert not is_open()
    failing(needing[2:])
    look(1)
    assert is_open()


def test_what_opens_while_it_is_open_belongs_to_it() -> None:
    """The first is the incident; what has another parent keeps it; what comes later is added by the next look."""
    containers = running(6)
    first, *others = failing(containers[:3])
    other = make_failure(make_container("other", "h2"), took=None)
    kept = failing(containers[3:4], parent=other)[0]
    look()
    late = failing(containers[4:5])[0]
    look(1)
    for each in (*others, late):
        each.refresh_from_db()
        assert each.parent == first
    for each in (kept, first):
        each.refresh_from_db()
    assert (kept.parent, first.parent) == (other, None)
    assert Host.objects.get(name="h1").breaker_incident == first


def test_an_incident_outlives_the_record_that_stood_for_it() -> None:
    """Removing one container takes none of the others' records along, and another record stands for the storm."""
    containers = running(5)
    first, second, *_ = failing(containers[:4])
    look()
    first.container.delete()
    assert FailureRecord.objects.filter(resolved_at__isnull=True).count() == 3
    look(1)
    assert Host.objects.get().breaker_incident == second
    assert len(pages()) == 1


def test_it_closes_after_a_minute_of_calm() -> None:
    """One end for one page, and it does not flutter at its edge."""
    failures = failing(running(10)[:6])
    look()
    FailureRecord.objects.filter(pk__in=[each.pk for each in failures[1:]]).update(
        resolved_at=NOW, action_result="success", stage="closed"
    )
    look(1)
    look(1 + CALM.total_seconds() - 1)
    assert is_open()
    look(1 + CALM.total_seconds())
    assert not is_open()
    look(100)
    assert pages() == ["6 of 10 containers of host h1 fail at once", "The storm on host h1 is over"]
    assert "5 healed, 1 still open" in Notification.objects.get(level="info").body


def test_a_storm_on_several_hosts_is_the_fleets() -> None:
    """One page for all of them, and none for each; a storm on one host is not the fleet's, however small the fleet."""
    Host.objects.all().delete()
    three = {name: running(4, name) for name in ("h1", "h2", "h3")}
    for containers in three.values():
        failing(containers[:3])
    look()
    look(1)
    assert pages() == ["9 of 12 containers of the fleet fail at once"]
    assert all(is_open(name) for name in three)
    FailureRecord.objects.update(resolved_at=NOW, action_result="success", stage="closed")
    look(10)
    look(80)
    look(81)
    assert pages() == ["9 of 12 containers of the fleet fail at once", "The storm on the fleet is over"]
    assert not any(is_open(name) for name in three)
    assert SystemState.objects.get().breaker_incident is None


def storm_of_three() -> dict[str, list[FailureRecord]]:
    """The fleet's, of hosts that fail with three of four each; then all is well but on h1."""
    Host.objects.all().delete()
    three = {name: failing(running(4, name)[:3]) for name in ("h1", "h2", "h3")}
    look()
    look(1)
    running(20, "h4")
    for name in ("h2", "h3"):
        well = FailureRecord.objects.filter(container__host__name=name)
        well.update(resolved_at=NOW, action_result="success", stage="closed")
    return three


@pytest.mark.parametrize("quarantined", [0, 1])
def test_who_closes_the_fleets_and_dies_leaves_no_host_within_it(
    monkeypatch: pytest.MonkeyPatch, quarantined: int
) -> None:
    """The host's heals would be held, and its alerts be part of a storm that is over, and nobody would hear of either."""
    three = storm_of_three()
    ids = [each.container_id for each in three["h2"][:quarantined]]
    HealthStatus.objects.filter(pk__in=ids).update(lifecycle="quarantined")
    look(10)
    with monkeypatch.context() as dies:
        dies.setattr(breakers, "leave_fleet", lambda *_: (_ for _ in ()).throw(OperationalError("gone")))
        with pytest.raises(OperationalError):
            look(80)
    assert SystemState.objects.get().breaker_since is None
    for second in range(81, 86):
        look(second)
    own = "3 of 4 containers of host h1 fail at once"
    assert pages().count(own) == 1
    host, system = Host.objects.get(name="h1"), SystemState.objects.get()
    assert host.breaker_since is not None
    assert (system.breaker_incident is None) is not quarantined
    assert host.breaker_incident != system.breaker_incident


def test_a_host_that_was_just_opened_within_the_fleets_is_found() -> None:
    """A decision that began before the fleet's closed may write afterwards: the fleet's incident ends a tick later."""
    storm_of_three()
    incident = SystemState.objects.get().breaker_incident
    look(10)
    look(80)
    late = Host.objects.filter(name="h4")
    late.update(breaker_since=NOW + timedelta(seconds=80), breaker_incident=incident)
    look(81)
    assert not is_open("h4")
    assert SystemState.objects.get().breaker_incident is None


def test_the_end_of_the_fleets_wakes_what_its_hosts_hold() -> None:
    """A host's breaker that was opened within the fleet's incident closes with it: its heals need not ask for a minute."""
    three = storm_of_three()
    Host.objects.update(breaker_mode=BreakerMode.HOLD)
    held = FailureRecord.objects.filter(pk__in=[each.pk for each in three["h1"]])
    later = NOW + timedelta(seconds=120)
    held.update(due_at=later, reason="held: breaker of host h1: 3 of 4 containers fail at once")
    look(10)
    assert set(held.values_list("due_at", flat=True)) == {later}
    look(80)
    assert SystemState.objects.get().breaker_since is None
    assert set(held.values_list("due_at", flat=True)) == {NOW + timedelta(seconds=80)}


def test_a_storm_on_one_host_is_not_the_fleets() -> None:
    """With a single host, or one that is sick among few, the page names the host."""
    failing(running(4)[:4])
    running(1, "h2")
    look()
    assert pages() == ["4 of 4 containers of host h1 fail at once"]
    assert SystemState.objects.get().breaker_since is None


def test_a_host_that_is_down_moves_nothing() -> None:
    """Nothing is known of its containers: its breaker neither opens nor closes."""
    failing(running(4)[:4])
    Host.objects.update(state="down")
    look()
    assert not is_open()
    Host.objects.update(state="up")
    look(1)
    assert is_open()
    Host.objects.update(state="down")
    FailureRecord.objects.update(resolved_at=NOW, stage="closed")
    look(10)
    look(200)
    assert is_open()


def test_the_fleets_mode_holds_every_host() -> None:
    """A host without a failure of its own above its share waits too."""
    Host.objects.all().delete()
    for name in ("h1", "h2"):
        failing(running(4, name)[:2])
    SystemState.objects.update_or_create(pk=1, defaults={"breaker_mode": BreakerMode.HOLD})
    look()
    system = config_book().system
    hold = breaking.hold(Host.objects.get(name="h1"), system, NOW)
    assert hold is not None
    assert hold.reason.startswith("breaker of the fleet: ")


def end_storm(
    failures: list[FailureRecord], seconds: float, *, quarantined: Sequence[FailureRecord] = ()
) -> None:
    """Close these failures, some of them in quarantine, and let the breaker close."""
    ended = FailureRecord.objects.filter(pk__in=[each.pk for each in failures])
    ended.update(resolved_at=NOW + timedelta(seconds=seconds), action_result="success", stage="closed")
    ids = [each.container_id for each in quarantined]
    HealthStatus.objects.filter(pk__in=ids).update(lifecycle="quarantined")
    look(seconds)
    look(seconds + CALM.total_seconds() + 1)
    look(seconds + CALM.total_seconds() + 2)


def test_a_second_storm_keeps_what_the_first_has_left() -> None:
    """It is not over before the containers of both are out of quarantine: their own pages were not sent."""
    containers = running(8)
    first = failing(containers[:5])
    look()
    end_storm(first, 10, quarantined=first[:1])
    assert pages()[-1] == "1 container of host h1 stays quarantined"
    second = failing(containers[4:], detected_at=NOW + timedelta(seconds=200))
    look(200)
    assert is_open()
    end_storm(second, 210)
    assert pages()[-1] == "1 container of host h1 stays quarantined"
    HealthStatus.objects.update(lifecycle="running")
    look(400)
    assert pages()[-1] == "The storm on host h1 is over"
    assert [row.kind for row in Notification.objects.all()].count("resolved") == 1


@pytest.mark.parametrize("taken_out", [Container, Host])
@pytest.mark.parametrize("state", ["up", "down"])
def test_what_is_out_of_care_is_not_left_over(taken_out: type[Container] | type[Host], state: str) -> None:
    """The page would go on for ever: nobody releases a container that nobody looks at."""
    left = failing(running(4))
    look()
    end_storm(left, 10, quarantined=left[:1])
    assert pages()[-1] == "1 container of host h1 stays quarantined"
    if taken_out is Container:
        Container.objects.filter(name="h1-0").update(monitored=False)
    else:
        Host.objects.update(enabled=False, state=state)
    look(100)
    assert pages()[-1] == "The storm on host h1 is over"
    assert Host.objects.get().breaker_incident is None


def test_a_hosts_own_incident_goes_on_within_the_fleets() -> None:
    """A host with containers left in quarantine is told of by itself until they are out, and is the fleet's as well."""
    left = failing(running(4))
    look()
    end_storm(left, 10, quarantined=left[:1])
    own = Host.objects.get(name="h1").breaker_incident
    again = failing(
        [*(each.container for each in left[1:]), *running(4, "h2")],
        detected_at=NOW + timedelta(seconds=200),
    )
    look(200)
    look(201)
    host, system = Host.objects.get(name="h1"), SystemState.objects.get()
    assert host.breaker_incident == own
    assert own is not None
    assert system.breaker_incident is not None
    assert breakers.belongs(own.pk, {system.breaker_incident_id})
    end_storm(again, 210)
    HealthStatus.objects.update(lifecycle="running")
    look(400)
    look(401)
    over = {row.alert_key for row in Notification.objects.filter(kind="resolved")}
    assert over == {row.alert_key for row in Notification.objects.filter(kind="firing")}


def test_an_incident_has_all_that_belongs_to_it_however_far_away() -> None:
    """Who is silenced as part of a storm is also in its lists: the host's within the fleet's, and who waits within that."""
    containers = running(4)
    fleets, hosts, dependency, dependant = failing(containers)
    for child, parent in ((hosts, fleets), (dependency, hosts), (dependant, dependency)):
        FailureRecord.objects.filter(pk=child.pk).update(parent=parent)
    other = make_failure(make_container("other", "h2"))
    HealthStatus.objects.filter(pk=dependant.container_id).update(lifecycle="quarantined")
    assert set(breakers.members(fleets.pk)) == {fleets, hosts, dependency, dependant}
    assert all(breakers.belongs(each.pk, {fleets.pk}) for each in breakers.members(fleets.pk))
    assert not breakers.belongs(other.pk, {fleets.pk})
    assert breakers.quarantined(fleets.pk) == ["h1-3"]
    FailureRecord.objects.filter(pk=fleets.pk).update(parent=dependant)
    assert breakers.members(fleets.pk).count() == 4, "a ring has an end"


def test_an_approval_is_for_one_opening_of_a_breaker() -> None:
    """One that comes when the breaker has closed is refused, and none stands for the next storm."""
    failing(running(4)[:3])
    Host.objects.update(breaker_mode=BreakerMode.APPROVAL)
    look()
    read_before = Host.objects.get()
    Host.objects.update(breaker_since=None)
    with pytest.raises(commands.Refused, match="has closed meanwhile"):
        commands.approve_breaker(read_before, timezone.now() + timedelta(hours=1))
    assert Host.objects.get().approved_until is None
    Host.objects.update(approved_until=NOW + timedelta(hours=1))
    look(1)
    assert is_open()
    assert Host.objects.get().approved_until is None
