"""What is needed is healed first; what needs it is held, looked at again, and restarted only where that is still due."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db.models import QuerySet
from django.utils import timezone

from healing.core.types import EngineHealth, ExecResult, Snapshot
from healing.effective import config_book
from healing.engines.fake import FakeEngine, Outcome
from healing.models import (
    Attempt,
    Container,
    Dependency,
    FailureRecord,
    HealingConfig,
    HealthStatus,
    Host,
    Project,
    Service,
    Stage,
)
from healing.pipeline import check, dependencies, diagnosing, restarting, stages
from healing.store import heals
from healing.store.heals import Next
from notifications.models import Notification
from tests.integration.loop.timeline import Timeline

pytestmark = pytest.mark.django_db

LABELS = {"selfheal.enable": "true", "selfheal.check_interval": "10"}


def started(timeline: Timeline, *names: str) -> None:
    """Containers with a HEALTHCHECK that have been seen healthy for a minute."""
    for name in names:
        timeline.fake.add(name, labels=LABELS, healthcheck=True)
    timeline.watch()
    timeline.run(60)


def needs(dependant: str, dependency: str, on_return: str = "hold") -> None:
    Dependency.objects.create(
        dependant=Container.objects.get(name=dependant),
        dependency=Container.objects.get(name=dependency),
        on_return=on_return,
    )


def failure_of(name: str) -> FailureRecord:
    return FailureRecord.objects.filter(container_name=name, is_found=True).latest("pk")


def alerts_about(name: str) -> list[str]:
    return list(
        Notification.objects.filter(container=name).order_by("created_at").values_list("level", flat=True)
    )


def comes_up_slowly(timeline: Timeline, name: str) -> None:
    """Its health command fails until the engine too says that it is healthy, 20 s after a start."""

    def answer(_: tuple[str, ...]) -> ExecResult:
        return ExecResult(0 if timeline.fake.inspect(name).health is EngineHealth.HEALTHY else 1, "")

    timeline.fake.after_starts(name, Outcome("healthy", 20.0))
    timeline.fake.answer_exec(name, timeline.fake.inspect(name).health_command.argv, answer)


def both_fail(timeline: Timeline) -> None:
    """The database is back 20 s after it was restarted; the application fails with it."""
    comes_up_slowly(timeline, "db")
    timeline.fake.make_unhealthy("app")
    timeline.fake.make_unhealthy("db")


def test_a_dependant_waits_and_needs_no_restart(timeline: Timeline) -> None:
    """One incident: the dependency is restarted, the dependant is not, and comes back by itself."""
    started(timeline, "db", "app")
    needs("app", "db")
    both_fail(timeline)
    timeline.run(10)
    held, first = failure_of("app"), failure_of("db")
    assert (held.action, held.action_result, held.reason) == ("none", "pending", "held: waits for db")
    assert held.parent_id == first.pk
    assert first.parent_id is None
    timeline.at(85, lambda: timeline.fake.make_healthy("app"))
    timeline.run(60)
    held.refresh_from_db()
    assert (held.action, held.action_result) == ("none", "success")
    assert timeline.calls_of("app") == []
    assert len(timeline.calls_of("db")) == 1
    assert alerts_about("app") == []
    assert alerts_about("db") == ["warning", "info"]
    assert "Waiting for it: app." in Notification.objects.filter(container="db").earliest("created_at").body


def test_a_dependant_that_still_fails_is_restarted_soon_after(timeline: Timeline) -> None:
    """It is woken by the end of the other's failure, is given a few seconds, and then healed by the usual rules."""
    started(timeline, "db", "app")
    needs("app", "db")
    both_fail(timeline)
    timeline.run(60)
    app, database = failure_of("app"), failure_of("db")
    attempt = Attempt.objects.get(container__name="app")
    assert (app.action, app.action_result) == ("restart", "success")
    assert database.resolved_at is not None
    assert attempt.called_at is not None
    assert timedelta(seconds=5) <= attempt.called_at - database.resolved_at <= timedelta(seconds=7)


def test_the_dependency_is_looked_at_before_its_dependant_is_restarted(timeline: Timeline) -> None:
    """The dependant's failure is found first, before anybody has seen that the dependency has died."""
    started(timeline, "db", "app")
    needs("app", "db")
    timeline.look_away()
    timeline.fake.kill("db")
    timeline.fake.make_unhealthy("app")
    app = Container.objects.get(name="app")
    found = check.check_some(timeline.host.pk, [app.pk], by_event=True)
    assert not FailureRecord.objects.filter(container_name="db").exists()
    diagnosing.run(found[0].failure_id)
    assert failure_of("app").reason.startswith("held: waits for db")
    timeline.watch()
    timeline.run(10)
    assert [call.method for call in timeline.calls_of("db")] == ["start"]
    assert failure_of("app").parent_id in (failure_of("db").pk, None)


def test_the_call_is_withdrawn_when_a_dependency_fails_meanwhile(timeline: Timeline) -> None:
    """Decided while all was well; the guard before the engine call looks again."""
    started(timeline, "db", "app")
    needs("app", "db")
    timeline.look_away()
    timeline.fake.make_unhealthy("app")
    ids = {row.name: row.pk for row in Container.objects.all()}
    found = check.check_some(timeline.host.pk, [ids["app"]], by_event=True)
    decided = diagnosing.run(found[0].failure_id)
    assert isinstance(decided, Next)
    timeline.fake.make_unhealthy("db")
    check.check_some(timeline.host.pk, [ids["db"]], by_event=True)
    restarting.run(decided.failure_id)
    attempt = Attempt.objects.get(container__name="app")
    assert (attempt.state, attempt.outcome) == ("withdrawn", "held: waits for db")
    assert timeline.calls_of("app") == []


@pytest.mark.parametrize("fails_too", [False, True])
def test_restart_on_return_restarts_once_even_what_is_healthy(timeline: Timeline, fails_too: bool) -> None:
    """The edge says so: one restart along with the dependency, within budget, with its reason, without an alert."""
    started(timeline, "db", "app", "web")
    needs("app", "db", "restart")
    needs("web", "app", "restart")
    comes_up_slowly(timeline, "db")
    timeline.fake.make_unhealthy("db")
    if fails_too:
        timeline.fake.make_unhealthy("app")
    timeline.run(120)
    app, attempt = failure_of("app"), Attempt.objects.get(container__name="app")
    assert (app.cause, app.action, app.action_result) == ("dependency came back", "restart", "success")
    assert app.parent_id == failure_of("db").pk
    assert app.in_success_rate == fails_too
    assert "dependency came back; attempt 1 of" in attempt.reason
    assert app.error_message.startswith("db has come back from a failure")
    assert [len(timeline.calls_of(name)) for name in ("db", "app", "web")] == [1, 1, 1]
    assert alerts_about("app") == []


def test_restart_on_return_keeps_to_the_limits(timeline: Timeline) -> None:
    """A container that works is not quarantined, nor anybody paged, because its budget is spent on another's account."""
    started(timeline, "db", "app")
    needs("app", "db", "restart")
    app = Container.objects.get(name="app")
    app.config = HealingConfig.objects.create(name="two", max_restarts=1, restart_window=3600)
    app.save()
    for _ in range(2):
        timeline.fake.make_unhealthy("db")
        timeline.run(60)
    assert len(timeline.calls_of("app")) == 1
    last = failure_of("app")
    assert last.reason.startswith("not restarted along: budget spent")
    app.health.refresh_from_db()
    assert (app.health.lifecycle, app.health.status) == ("running", "healthy")
    assert alerts_about("app") == []


@pytest.mark.parametrize("is_replaced", [False, True])
def test_restart_on_return_follows_a_quarantine_that_a_person_has_mended(
    timeline: Timeline, is_replaced: bool
) -> None:
    """Its failure was closed when it was quarantined, and has come back from all the same: one restart along."""
    started(timeline, "db", "app")
    needs("app", "db", "restart")
    config = HealingConfig.objects.create(name="one", max_restarts=1, quarantine_release=0)
    Container.objects.filter(name="db").update(config=config)
    config.save()
    timeline.fake.after_starts("db", Outcome("unhealthy"))
    timeline.fake.make_unhealthy("db")
    timeline.run_until_quiet(600)
    assert HealthStatus.objects.get(container__name="db").lifecycle == "quarantined"
    assert timeline.calls_of("app") == []
    timeline.fake.after_starts("db", Outcome("healthy", 1.0))
    if is_replaced:
        timeline.look_away()
        timeline.fake.recreate_by_hand("db")
    else:
        timeline.fake.restart_by_hand("db")
    timeline.run(120)
    assert len(timeline.calls_of("app")) == 1
    assert failure_of("app").parent_id == failure_of("db").pk


def test_an_edge_of_nothing_holds_nothing(timeline: Timeline) -> None:
    """Both are healed at once."""
    started(timeline, "db", "app")
    needs("app", "db", "nothing")
    both_fail(timeline)
    timeline.run(5)
    assert len(timeline.calls_of("app")) == 1


def test_one_healthy_container_of_a_service_is_enough(timeline: Timeline) -> None:
    """Where a service has several containers, the loss of one holds nobody."""
    compose = {"com.docker.compose.project": "shop"}
    for name, service in (("db-1", "db"), ("db-2", "db"), ("app-1", "app")):
        labels = LABELS | compose | {"com.docker.compose.service": service}
        if service == "app":
            labels["com.docker.compose.depends_on"] = "db:service_healthy:false"
        timeline.fake.add(name, labels=labels, healthcheck=True)
    timeline.watch()
    timeline.run(60)
    assert Dependency.objects.count() == 2
    comes_up_slowly(timeline, "db-1")
    timeline.fake.make_unhealthy("db-1")
    timeline.fake.make_unhealthy("app-1")
    timeline.run(5)
    assert len(timeline.calls_of("app-1")) == 1


def test_who_needs_what_is_quarantined_stays_held(timeline: Timeline) -> None:
    """Restarting it would not help either: it belongs to the incident, and nobody is told of it by itself."""
    started(timeline, "db", "app")
    needs("app", "db")
    config = HealingConfig.objects.create(name="one", max_restarts=1, quarantine_release=0)
    Container.objects.filter(name="db").update(config=config)
    config.save()
    timeline.fake.after_starts("db", Outcome("unhealthy"))
    timeline.fake.make_unhealthy("db")
    timeline.run(30)
    timeline.fake.make_unhealthy("app")
    timeline.run(300)
    held = failure_of("app")
    assert held.reason == "held: waits for db (quarantined)"
    assert held.parent_id == failure_of("db").pk
    assert timeline.calls_of("app") == []
    assert alerts_about("app") == []
    timeline.fake.make_healthy("db")
    timeline.run(20)
    held.refresh_from_db()
    assert held.action_result == "success"


def test_who_stops_by_hand_what_others_need_is_told_once(timeline: Timeline) -> None:
    """The stop is respected; after a minute the first of those that fail for want of it tells, for all of them."""
    started(timeline, "db", "app", "web")
    needs("app", "db")
    needs("web", "db")
    timeline.fake.stop_by_hand("db")
    timeline.fake.make_unhealthy("app")
    timeline.fake.make_unhealthy("web")
    timeline.run(40)
    assert alerts_about("app") == alerts_about("web") == []
    timeline.run(200)
    first, second = sorted((failure_of("app"), failure_of("web")), key=lambda failure: failure.pk)
    assert first.reason == second.reason == "held: waits for db (stopped by hand)"
    assert (first.parent_id, second.parent_id) == (None, first.pk)
    assert (alerts_about(first.container_name), alerts_about(second.container_name)) == (["warning"], [])
    assert timeline.calls_of("app") == timeline.calls_of("web") == []
    timeline.fake.start_by_hand("db")
    timeline.run(15)
    assert [len(timeline.calls_of(name)) for name in ("db", "app", "web")] == [0, 1, 1]


def test_its_own_health_command_is_asked_where_the_engine_asks_seldom(timeline: Timeline) -> None:
    """An old verdict does not get a container restarted that works again since its dependency is back."""
    started(timeline, "db", "app")
    needs("app", "db")
    both_fail(timeline)
    command = timeline.fake.inspect("app").health_command.argv
    timeline.fake.answer_exec("app", command, ExecResult(0, "ok"))
    timeline.run(45)
    held = failure_of("app")
    assert "its health command passes" in held.reason
    assert timeline.calls_of("app") == []
    timeline.fake.make_healthy("app")
    timeline.run(10)
    held.refresh_from_db()
    assert (held.action, held.action_result) == ("none", "success")


def test_two_that_are_held_do_not_wake_each_other(timeline: Timeline) -> None:
    """Both look at what else they need, which works: that is no news, and nobody waits for it."""
    started(timeline, "db", "cache", "app", "web")
    for name in ("app", "web"):
        needs(name, "db")
        needs(name, "cache")
    timeline.fake.stop_by_hand("db")
    timeline.run(1)
    for name in ("app", "web"):
        timeline.fake.make_unhealthy(name)
    timeline.run(1)
    assert failure_of("app").reason == failure_of("web").reason == "held: waits for db (stopped by hand)"
    FailureRecord.objects.update(due_at=timezone.now())
    app, web = failure_of("app"), failure_of("web")
    assert diagnosing.run(app.pk) is None
    web.refresh_from_db()
    assert web.due_at is not None
    assert web.due_at <= timezone.now()


def test_only_what_waits_for_it_is_woken(timeline: Timeline) -> None:
    """A container that has come back is no news to one that waits for another; its service stands for each of its own."""
    started(timeline, "db", "cache", "cache-2", "app")
    shop = Project.objects.create(name="shop")
    service = Service.objects.create(project=shop, name="cache")
    Container.objects.filter(name__startswith="cache").update(service=service)
    for name in ("db", "cache", "cache-2"):
        needs("app", name)
    timeline.fake.make_unhealthy("app")
    ids = {row.name: row.pk for row in Container.objects.all()}
    (found,) = check.check_some(timeline.host.pk, [ids["app"]], by_event=True)
    later = timezone.now() + timedelta(seconds=60)
    for waits_for, back, is_woken in (
        ("db", "cache", False),
        ("cache", "cache", True),
        ("cache (stopped)", "cache-2", True),
        ("cache-2", "db", False),
    ):
        FailureRecord.objects.update(reason=f"held: waits for {waits_for}", due_at=later)
        woken = dependencies.back(ids[back], config_book(), timezone.now())
        assert [following.failure_id for following in woken] == [found.failure_id] * is_woken
        assert (failure_of("app").due_at != later) == is_woken


def test_waking_waits_for_no_row_that_another_holds(
    timeline: Timeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two that come back at once, each with its own row locked, would wait for each other for ever."""
    started(timeline, "db", "app")
    needs("app", "db")
    timeline.fake.stop_by_hand("db")
    timeline.run(1)
    timeline.fake.make_unhealthy("app")
    timeline.run(1)
    locks: list[dict[str, object]] = []
    lock = QuerySet.select_for_update

    def noted(rows: QuerySet[Container], **how: bool) -> QuerySet[Container]:
        locks.append({"of": rows.model, **how})
        return lock(rows, **how)

    monkeypatch.setattr(QuerySet, "select_for_update", noted)
    database = Container.objects.get(name="db")
    assert dependencies.back(database.pk, config_book(), timezone.now())
    assert locks == [{"of": model, "skip_locked": True} for model in (HealthStatus, FailureRecord)]


def test_an_unknown_dependency_holds_nobody(timeline: Timeline) -> None:
    """Nothing is known of a container on a host that does not answer."""
    started(timeline, "app")
    away = Host.objects.create(name="away", engine_kind="fake", address="fake://away", state="down")
    Container.objects.create(host=away, name="db")
    needs("app", "db")
    timeline.fake.make_unhealthy("app")
    timeline.run(5)
    assert len(timeline.calls_of("app")) == 1
    assert failure_of("app").detected_at <= timezone.now()


def test_slow_looks_at_many_dependencies_outlast_no_lease(
    timeline: Timeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An engine that is slow and answers: another worker that took the heal over would count as a death of the first."""
    names = [f"d{number}" for number in range(20)]
    started(timeline, "web", *names)
    for name in names:
        needs("web", name)
    timeline.fake.make_unhealthy("web")
    web = Container.objects.get(name="web")
    (found,) = check.check_some(timeline.host.pk, [web.pk], by_event=True)
    inspect, taken = FakeEngine.inspect, []

    def slowly(engine: FakeEngine, container_id: str) -> Snapshot:
        timeline._clock.shift(timedelta(seconds=3.5))
        taken.append(heals.claim(found.failure_id, Stage.DIAGNOSE, 60.0))
        return inspect(engine, container_id)

    monkeypatch.setattr(FakeEngine, "inspect", slowly)
    following = stages.run(Stage.DIAGNOSE, found.failure_id)
    assert len(taken) == 21
    assert taken == [None] * 21
    assert [each.stage for each in following] == [Stage.RESTART]
