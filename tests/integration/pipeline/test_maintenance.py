"""Maintenance windows on the fake engine: checks go on, healing and paging wait, and nothing is forgotten."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from unittest import mock

import pytest
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from healing import commands
from healing.core.errors import EngineUnreachable
from healing.core.types import ExecResult
from healing.effective import config_book, known_book
from healing.engines.fake import FakeEngine, Outcome
from healing.models import (
    Attempt,
    AttemptState,
    Container,
    FailureRecord,
    HealingConfig,
    MaintenanceWindow,
    Project,
    Stage,
    SystemState,
    Tenant,
    Trouble,
)
from healing.pipeline import check, diagnosing, restarting
from notifications.models import Notification
from tests.integration.loop.timeline import Timeline

LABELS = {"selfheal.enable": "true", "selfheal.check_interval": "10"}

pytestmark = pytest.mark.django_db


@pytest.fixture
def web(timeline: Timeline) -> Container:
    """A container that has been up, and seen healthy, for a minute."""
    timeline.fake.add("web", labels=LABELS, healthcheck=True)
    timeline.watch()
    timeline.run(60)
    return Container.objects.get(name="web")


def maintain(timeline: Timeline, seconds: float, **scope: Any) -> datetime:
    """Begin a window now; returns its end."""
    ends_at = timeline.now + timedelta(seconds=seconds)
    MaintenanceWindow.objects.create(
        name=f"window {MaintenanceWindow.objects.count()}", starts_at=timeline.now, ends_at=ends_at, **scope
    )
    return ends_at


def told() -> list[str]:
    """The levels of all alerts, sorted: several can be of one moment here."""
    return sorted(Notification.objects.values_list("level", flat=True))


def titles() -> list[str]:
    return list(Notification.objects.order_by("created_at").values_list("title", flat=True))


class TestWaiting:
    def test_healed_and_told_when_the_window_ends(self, timeline: Timeline, web: Container) -> None:
        """Scenario 30: recorded, nothing done, nobody told; healed within seconds of the end, and told then."""
        ends_at = maintain(timeline, 120, host=timeline.host)
        timeline.fake.make_unhealthy("web")
        timeline.run(60)
        failure = FailureRecord.objects.get()
        assert (failure.action, failure.action_result, failure.stage) == ("none", "pending", Stage.DIAGNOSE)
        assert failure.reason == f"held: maintenance window 0 until {ends_at:%Y-%m-%d %H:%M:%S} UTC"
        assert failure.cause == "health check failing"
        assert not timeline.calls_of("web")
        assert told() == []

        timeline.run(59)
        assert not Attempt.objects.exists()
        timeline.run(12)
        attempt = Attempt.objects.get()
        assert timedelta() <= attempt.intent_at - ends_at <= timedelta(seconds=2)
        assert attempt.state == AttemptState.SUCCEEDED
        assert told() == ["info", "warning"]

    def test_checks_go_on_and_close_silently_what_recovers(self, timeline: Timeline, web: Container) -> None:
        """A container that is healthy again within the window needs no heal, and nobody hears of it."""
        maintain(timeline, 60, everything=True)
        timeline.fake.make_unhealthy("web")
        timeline.run(30)
        timeline.fake.make_healthy("web")
        timeline.run(20)
        failure = FailureRecord.objects.get()
        assert failure.action_result == "success"
        assert failure.reason == "recovered without an action of ours"
        timeline.run(30)
        assert told() == []
        assert not timeline.calls_of("web")

    def test_what_is_held_is_not_looked_at_again_and_again(self, timeline: Timeline, web: Container) -> None:
        """A heal that waits asks the engine nothing; only the sweeps do, as ever."""
        maintain(timeline, 600, container=web)
        timeline.fake.make_unhealthy("web")
        timeline.run(30)
        failure, begin = FailureRecord.objects.get(), len(timeline.fake.calls)
        fence = failure.fence
        FailureRecord.objects.filter(pk=failure.pk).update(due_at=timeline.now)
        diagnosing.run(failure.pk)
        failure.refresh_from_db()
        assert failure.fence > fence
        assert timeline.fake.calls[begin:] == []

    @pytest.mark.parametrize("way", ["command", "disabled", "deleted"])
    def test_an_early_end_is_noticed(self, timeline: Timeline, web: Container, way: str) -> None:
        """Whoever ends, disables or deletes a window sees the heal within ten seconds."""
        maintain(timeline, 3600, host=timeline.host)
        timeline.fake.make_unhealthy("web")
        timeline.run(60)
        window = MaintenanceWindow.objects.get()
        if way == "command":
            call_command("maintenance", "end", window.name)
        elif way == "disabled":
            window.enabled = False
            window.save()
        else:
            window.delete()
        ended = timeline.now
        timeline.run(15)
        assert Attempt.objects.get().intent_at - ended <= timedelta(seconds=10)

    def test_a_window_that_is_extended_goes_on_holding(self, timeline: Timeline, web: Container) -> None:
        """At the old end it is asked again, and the new one holds."""
        maintain(timeline, 30, container=web)
        timeline.fake.make_unhealthy("web")
        timeline.run(15)
        window = MaintenanceWindow.objects.get()
        window.ends_at = timeline.now + timedelta(seconds=300)
        window.save()
        timeline.run(40)
        assert not timeline.calls_of("web")
        assert told() == []

    def test_the_budget_is_judged_at_the_end(self, timeline: Timeline, web: Container) -> None:
        """A hopeless container is neither restarted nor quarantined nor told within the window; afterwards it is."""
        web.config = HealingConfig.objects.create(name="twice", max_restarts=2)
        web.save()
        timeline.fake.after_starts("web", Outcome("unhealthy", 1.0))
        command = timeline.fake.inspect("web").health_command.argv
        timeline.fake.answer_exec("web", command, ExecResult(1, "still sick"))
        timeline.fake.make_unhealthy("web")
        timeline.run(5)
        assert (len(timeline.calls_of("web")), told()) == (1, ["warning"])
        maintain(timeline, 120, container=web)
        timeline.run(115)
        assert (len(timeline.calls_of("web")), told()) == (1, ["warning"])
        timeline.run(120)
        assert len(timeline.calls_of("web")) == 2
        web.health.refresh_from_db()
        assert web.health.lifecycle == "quarantined"
        assert "critical" in told()


class TestAroundTheCall:
    def decided(self, timeline: Timeline, web: Container) -> FailureRecord:
        """A failure whose restart is decided and not yet made."""
        timeline.fake.make_unhealthy("web")
        (found,) = check.check_some(timeline.host.pk, [web.pk], by_event=True)
        diagnosing.run(found.failure_id)
        return FailureRecord.objects.get(stage=Stage.RESTART)

    def test_a_window_that_opens_before_the_call_forbids_it(self, timeline: Timeline, web: Container) -> None:
        """The attempt is withdrawn, and the heal waits like any other."""
        failure = self.decided(timeline, web)
        maintain(timeline, 120, container=web)
        restarting.run(failure.pk)
        attempt = Attempt.objects.get()
        assert attempt.state == AttemptState.WITHDRAWN
        assert attempt.outcome.startswith("held: maintenance window 0 until")
        timeline.run(60)
        failure.refresh_from_db()
        assert failure.reason.startswith("held: maintenance")
        assert not timeline.calls_of("web")
        assert told() == []
        timeline.run(90)
        assert len(timeline.calls_of("web")) == 1

    def test_a_heal_past_its_call_is_verified(self, timeline: Timeline, web: Container) -> None:
        """What was called before the window opened is seen through, and who was told of it hears how it ended."""
        command = timeline.fake.inspect("web").health_command.argv
        timeline.fake.after_starts("web", Outcome("healthy", 5.0))
        timeline.fake.answer_exec("web", command, ExecResult(1, "not yet"))
        failure = self.decided(timeline, web)
        restarting.run(failure.pk)
        maintain(timeline, 120, container=web)
        timeline.run(60)
        failure.refresh_from_db()
        assert failure.action_result == "success"
        assert told() == ["info", "warning"]

    def test_a_persons_demand_goes_through(self, timeline: Timeline, web: Container) -> None:
        """Who asks for a heal during maintenance gets it, and is not paged for it."""
        maintain(timeline, 120, container=web)
        commands.heal_now(web)
        timeline.run(30)
        assert len(timeline.calls_of("web")) == 1
        assert FailureRecord.objects.get(is_found=True).action_result == "success"
        assert told() == []


class TestHosts:
    def test_a_host_that_is_down_in_maintenance_is_told_at_its_end(
        self, timeline: Timeline, web: Container
    ) -> None:
        """Somebody pulled its plug on purpose; if it is still away afterwards, that is told, and so is its return."""
        maintain(timeline, 120, host=timeline.host)
        timeline.run(10)
        timeline.lose_the_engine()
        timeline.run(100)
        assert told() == []
        timeline.run(90)
        assert titles() == [f"Host {timeline.host.name} does not answer"]
        assert f"since {timeline.begin + timedelta(seconds=70):%H:%M}" in Notification.objects.get().body
        timeline.find_the_engine(events_lost=False)
        timeline.run(10)
        assert titles()[1:] == [f"Host {timeline.host.name} answers again"]

    def test_a_host_that_is_back_in_time_is_not_told(self, timeline: Timeline, web: Container) -> None:
        """Neither its silence nor its return; the next silence is told again."""
        maintain(timeline, 60, everything=True)
        timeline.lose_the_engine()
        timeline.run(30)
        timeline.find_the_engine(events_lost=False)
        timeline.run(40)
        assert told() == []
        timeline.lose_the_engine()
        timeline.run(60)
        assert titles() == [f"Host {timeline.host.name} does not answer"]

    def test_that_we_cannot_look_is_told_at_the_end(self, timeline: Timeline, web: Container) -> None:
        """Our own trouble with a container under maintenance waits as well, and is known all the same."""
        maintain(timeline, 60, host=timeline.host)
        timeline.fake.make_unhealthy("web")
        inspect = FakeEngine.inspect

        def hangs(engine: FakeEngine, container_id: str) -> object:
            if container_id in (web.engine_id, "web"):
                raise EngineUnreachable("no answer within 10 s")
            return inspect(engine, container_id)

        with mock.patch.object(FakeEngine, "inspect", hangs):
            timeline.run(50)
            assert list(Trouble.objects.values_list("key", "told")) == [(f"probe:{web.pk}", False)]
            assert told() == []
            timeline.run(60)
            assert titles() == ["Selfheal cannot look at web"]


class TestScopes:
    def test_every_scope_holds_and_asking_costs_nothing(self, timeline: Timeline, web: Container) -> None:
        """Windows, pauses and dry runs reach a container through each scope above it, its tenant's heirs included."""
        shop = Project.objects.create(name="shop", tenant=Tenant.objects.create(name="acme"))
        web.project = shop
        web.save()
        acme, now = Tenant.objects.get(), timezone.now()
        state = SystemState.objects.get_or_create(pk=1)[0]
        for scope, window in (
            (state, {"everything": True}),
            (acme, {"tenant": acme}),
            (timeline.host, {"host": timeline.host}),
            (shop, {"project": shop}),
            (web, {"container": web}),
        ):
            held = MaintenanceWindow.objects.create(
                name="w", starts_at=now, ends_at=now + timedelta(hours=1), **window
            )
            for switch in ("on", "off"):
                call_command("dry_run", switch, *_selection(scope), verbosity=0)
                container = Container.objects.get(name="web")
                book = config_book()
                with CaptureQueriesContext(connection) as queries:
                    hold, dry_run_by = book.maintenance(container, now), book.dry_run_by(container)
                assert not queries.captured_queries
                assert hold is not None and hold.until == now + timedelta(hours=1)
                assert bool(dry_run_by) == (switch == "on")
            held.delete()
            assert config_book().maintenance(web, now) is None

    def test_a_window_for_nothing_means_nothing(self, timeline: Timeline, web: Container) -> None:
        """An empty selection holds nobody, and a row that cannot be used is passed over."""
        now = timezone.now()
        maintain(timeline, 60)
        MaintenanceWindow.objects.create(name="broken", recurrence="weekly", everything=True)
        assert config_book().maintenance(web, now) is None
        assert config_book().host_maintenance(timeline.host, now) is None
        assert known_book() is config_book()

    def test_a_tenants_pause_reaches_its_containers(self, timeline: Timeline, web: Container) -> None:
        """Neither checked nor healed until it ends by itself; then healed."""
        timeline.host.tenant = Tenant.objects.create(name="acme")
        timeline.host.save(update_fields=["tenant"])
        call_command("pause", "--tenant", "acme", "--for", "60s")
        timeline.fake.make_unhealthy("web")
        timeline.run(55)
        assert not FailureRecord.objects.exists()
        timeline.run(30)
        assert FailureRecord.objects.get(is_found=True).action_result == "success"


def _selection(scope: object) -> list[str]:
    if isinstance(scope, SystemState):
        return ["--all"]
    return [f"--{scope._meta.model_name}", scope.name]  # type: ignore[attr-defined]
