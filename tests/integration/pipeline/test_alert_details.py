"""What an alert says beside its title: its name, whose it is, what was seen and tried, how it went on, what comes next."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from healing import commands
from healing.core.alertnames import AlertName
from healing.core.errors import ActionFailed
from healing.core.types import AlertLevel
from healing.effective import config_book
from healing.engines.fake import Outcome
from healing.models import Container, Dependency, FailureRecord, HealthStatus, Host, Tenant
from healing.pipeline import alerts, orphans, poison
from healing.pipeline import hosts as host_stage
from healing.store.suspects import DEADLY
from notifications import intake
from notifications.models import ActiveAlert, Notification
from tests.integration.loop.timeline import Timeline

pytestmark = pytest.mark.django_db

LABELS = {"selfheal.enable": "true", "selfheal.check_interval": "10", "team": "shop"}


def started(timeline: Timeline, *names: str, healthcheck: bool = True, **labels: object) -> None:
    """Containers that have been seen healthy for a minute."""
    own = {f"selfheal.{name}": str(value) for name, value in labels.items()}
    for name in names:
        timeline.fake.add(name, labels=LABELS | own, healthcheck=healthcheck)
    timeline.watch()
    timeline.run(60)


def never_well(timeline: Timeline, name: str) -> None:
    """It fails, and no restart helps."""
    timeline.fake.set_logs(name, ["connecting", "no route to db"])
    timeline.fake.after_starts(name, Outcome("exit", 2.0, 1))
    timeline.fake.exit(name, 1)


def told(name: str) -> list[Notification]:
    """Those of the same moment in the order of the words: firing, resolved."""
    return list(Notification.objects.filter(container=name).order_by("created_at", "kind"))


def story(name: str) -> list[tuple[str, str, str, str]]:
    """Name, level, kind and outcome of each alert about a container."""
    return [(row.alertname, row.level, row.kind, row.outcome) for row in told(name)]


def test_a_heal_is_told_with_all_that_a_person_needs(timeline: Timeline) -> None:
    """Where, since when, why, what was done and what comes next; its end has the same name and key, and stands alone."""
    tenant = Tenant.objects.create(name="acme")
    Host.objects.filter(pk=timeline.host.pk).update(tenant=tenant)
    started(timeline, "web")
    timeline.fake.make_unhealthy("web", "no answer from the database")
    timeline.run(40)
    failure = FailureRecord.objects.get(is_found=True)
    begun, ended = told("web")

    assert story("web") == [
        ("container_failed", "warning", "firing", ""),
        ("container_failed", "info", "resolved", "healed_at_first"),
    ]
    assert begun.failure_type == ended.failure_type == "health_check_failed"
    assert (begun.tenant, begun.tenant_id, begun.labels["team"]) == ("acme", tenant.pk, "shop")
    assert begun.depends_on == [f"host:{timeline.host.pk}"]
    assert begun.alert_key == ended.alert_key == f"container:{failure.container_id}"
    details = begun.details
    assert details["since"] == failure.detected_at.isoformat()
    assert details["cause"] == "health check failing"
    assert "no answer from the database" in details["evidence"][0]
    assert details["health_output"] == "no answer from the database"
    assert [(each["action"], each["result"]) for each in details["tried"]] == [("restart", "verifying")]
    assert details["next"].endswith("if not, attempt 2 of at most 5 follows.")
    assert details["path"] == reverse("admin:healing_failurerecord_change", args=(failure.pk,))
    _stands_alone(ended, failure)


def _stands_alone(ended: Notification, failure: FailureRecord) -> None:
    assert failure.resolved_at is not None
    lines = ended.body.splitlines()
    assert lines[1].startswith(
        f"It failed at {failure.detected_at:%Y-%m-%d %H:%M:%S} UTC: health check failing: "
    )
    assert lines[1].endswith(failure.error_message)
    assert lines[2].startswith("Done: restarted at ")
    assert ", worked (" in lines[2]
    seconds = (failure.resolved_at - failure.detected_at).total_seconds()
    assert ended.details["seconds"] == pytest.approx(seconds, abs=0.1)
    assert lines[3].startswith("It was failing for ")
    assert [each["result"] for each in ended.details["tried"]] == ["succeeded"]


def test_a_quarantine_says_what_was_tried_and_ends_when_it_is_released(timeline: Timeline) -> None:
    """One alert about one container: its name changes as it gets worse, its key does not; its end bears the last name."""
    started(timeline, "web", healthcheck=False, max_restarts=3, backoff_initial=5, quarantine_release=0)
    never_well(timeline, "web")
    timeline.run_until_quiet(600)
    assert story("web") == [
        ("container_failed", "warning", "firing", ""),
        ("crash_loop", "error", "firing", ""),
        ("quarantined", "critical", "firing", "gave_up"),
    ]
    page = told("web")[-1]
    assert [each["result"] for each in page.details["tried"]] == ["failed"] * 3
    assert all(each["seconds"] and each["why"] for each in page.details["tried"])
    assert page.details["log_tail"] == ["connecting", "no route to db"]
    assert page.details["next"] == "Nothing more until a person releases it: manage.py release web"

    commands.release(Container.objects.get(name="web"))
    ended = told("web")[-1]
    assert (ended.alertname, ended.kind, ended.outcome) == ("quarantined", "resolved", "")
    assert ended.body.startswith("It was in quarantine from ")
    assert len({row.alert_key for row in told("web")}) == 1


def test_a_quarantine_ends_with_its_container(timeline: Timeline) -> None:
    """Nobody can release what was removed: without an end its alert would fire for ever."""
    started(timeline, "web", max_restarts=1, quarantine_release=0)
    never_well(timeline, "web")
    timeline.run_until_quiet(600)
    timeline.fake.remove("web")
    timeline.run(30)
    assert story("web")[-1] == ("quarantined", "info", "resolved", "gone")


def test_a_trial_that_works_ends_the_quarantine_as_a_heal(timeline: Timeline) -> None:
    """The one silent attempt after a quarantine tells only that it is over."""
    started(timeline, "web", max_restarts=2, backoff_initial=5, quarantine_release=120)
    never_well(timeline, "web")
    timeline.run(60)
    assert HealthStatus.objects.get().lifecycle == "quarantined"
    timeline.fake.after_starts("web", Outcome("healthy", 1.0))
    timeline.run(600)
    assert story("web")[-1] == ("quarantined", "info", "resolved", "healed")


def test_a_refused_restart_has_a_name_of_its_own(timeline: Timeline) -> None:
    """And what follows is healed, though not at first: the outcome is that of the whole failure."""
    started(timeline, "web")
    timeline.fake.refuse_next_action(ActionFailed("no space left"))
    timeline.fake.make_unhealthy("web")
    timeline.run(60)
    assert story("web") == [
        ("restart_failed", "error", "firing", ""),
        ("restart_failed", "info", "resolved", "healed"),
    ]
    begun, ended = told("web")
    assert [each["result"] for each in begun.details["tried"]] == ["failed"]
    assert begun.details["next"] == "Attempt 2 of at most 5 follows after a pause."
    assert [each["result"] for each in ended.details["tried"]] == ["failed", "succeeded"]


def test_who_fails_again_soon_is_not_healed_at_first(timeline: Timeline) -> None:
    """Heals that work and do not last must not vanish into a digest."""
    started(timeline, "web")
    for _ in range(2):
        timeline.fake.make_unhealthy("web")
        timeline.run(120)
    outcomes = [row.outcome for row in told("web") if row.kind == "resolved"]
    assert outcomes == ["healed_at_first", "healed"]


def test_what_is_not_touched_needs_a_person(timeline: Timeline) -> None:
    """Where nothing heals it, whoever is told only what healing gave up is told; it recovers without us."""
    started(timeline, "web", auto_restart="false")
    timeline.fake.make_unhealthy("web")
    timeline.run(30)
    timeline.fake.make_healthy("web")
    timeline.run(30)
    assert story("web") == [
        ("container_failed", "error", "firing", "gave_up"),
        ("container_failed", "info", "resolved", "recovered"),
    ]
    assert "Done: nothing by Selfheal." in told("web")[-1].body


def test_an_alert_names_all_that_it_may_be_a_symptom_of(timeline: Timeline) -> None:
    """The keys of its host, of what it needs, and of what that needs: it is muted while one of them fires."""
    started(timeline, "db", "app", "web")
    by_name = {each.name: each for each in Container.objects.all()}
    for dependant, dependency in (("app", "db"), ("web", "app")):
        Dependency.objects.create(dependant=by_name[dependant], dependency=by_name[dependency])
    timeline.fake.make_unhealthy("web")
    timeline.run(40)
    keys = [f"host:{timeline.host.pk}", *(f"container:{by_name[name].pk}" for name in ("app", "db"))]
    assert told("web")[0].depends_on == keys


def test_a_host_that_is_down_and_back(timeline: Timeline) -> None:
    """Its end says for how long, and why, for whoever gets no more than the end."""
    started(timeline, "web")
    timeline.lose_the_engine()
    timeline.run(90)
    timeline.find_the_engine(events_lost=True)
    timeline.run(90)
    down, up = Notification.objects.filter(alertname=AlertName.HOST_DOWN).order_by("created_at")
    assert (down.alert_key, down.kind, up.kind) == (f"host:{timeline.host.pk}", "firing", "resolved")
    assert down.details["path"] == reverse("admin:healing_host_change", args=(timeline.host.pk,))
    assert up.body.startswith("It did not answer from ")
    assert down.details["cause"] in up.body


def test_an_event_has_no_end(timeline: Timeline) -> None:
    """A container that was found stopped is told once, apart from its failures, as nothing would ever end it."""
    started(timeline, "web")
    timeline.look_away()
    Host.objects.update(stream_since=None)
    timeline.fake.stop_by_hand("web")
    timeline.run(60)
    (row,) = Notification.objects.filter(alertname=AlertName.STOPPED_WHILE_AWAY)
    assert row.is_event
    assert row.alert_key != f"container:{row.container_id}"


def test_what_has_been_loaded_costs_no_statement(timeline: Timeline) -> None:
    """Between a failure and the call that heals it, an alert writes its row and the level told, and reads nothing."""
    started(timeline, "web")
    timeline.fake.make_unhealthy("web")
    timeline.run(0)
    failure = FailureRecord.objects.select_related("container__host", "container__health").get(is_found=True)
    FailureRecord.objects.update(resolved_at=None, alert_level="")
    failure.resolved_at, failure.alert_level = None, ""
    config = config_book().config(failure.container)
    with CaptureQueriesContext(connection) as captured:
        alerts.failure(failure, config, AlertLevel.ERROR, "web fails", attempts=())
    writes = [query["sql"].split()[0] for query in captured.captured_queries]
    assert writes == ["UPDATE", "INSERT"], captured.captured_queries


def test_a_lost_host_has_its_tenant(timeline: Timeline) -> None:
    """Routes by tenant see hosts too."""
    tenant = Tenant.objects.create(name="acme")
    host = Host.objects.get(pk=timeline.host.pk)
    host.tenant = tenant
    host.save()
    host_stage.lost(host, "connection refused", timeline.now)
    row = Notification.objects.get(alertname="host_down")
    assert (row.tenant, row.tenant_id) == ("acme", tenant.pk)


def test_what_is_no_longer_watched_fires_no_longer(timeline: Timeline) -> None:
    """Nothing that is looked at would end the alert of a host that was disabled, or of a container that was taken out."""
    started(timeline, "web", "db", max_restarts=1, quarantine_release=0)
    for name in ("web", "db"):
        never_well(timeline, name)
    timeline.run_until_quiet(600)
    timeline.lose_the_engine()
    timeline.run(30)
    intake.take_in(timeline.now)
    firing = ActiveAlert.objects.filter(ends_at=None)
    assert firing.count() == 3
    assert orphans.end() == 0
    Container.objects.filter(name="web").update(monitored=False)
    assert orphans.end() == 1
    Host.objects.update(enabled=False)
    intake.take_in(timeline.now)
    assert orphans.end() == 2
    intake.take_in(timeline.now)
    assert not firing.exists()
    assert story("web")[-1] == ("quarantined", "info", "resolved", "gone")


def test_a_heal_that_was_set_aside_ends_as_a_quarantine(timeline: Timeline) -> None:
    """Its container waits for a person, whose release ends what was told."""
    started(timeline, "web", auto_restart="false")
    timeline.fake.make_unhealthy("web")
    timeline.run(0)
    FailureRecord.objects.update(alert_level="", lost_claims=DEADLY, lease_until=None)
    failure = FailureRecord.objects.select_related("container__host", "container__health").get(is_found=True)
    Notification.objects.all().delete()
    assert poison.set_aside(failure)
    commands.release(failure.container)
    assert story("web") == [
        ("quarantined", "critical", "firing", "gave_up"),
        ("quarantined", "info", "resolved", ""),
    ]
