"""The Python functions that answer what people and scripts ask."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from healing.api import LookupFailed, container_health, failure_history, healing_stats
from healing.commands import pause
from healing.core.config import FIELD_NAMES
from healing.models import HealingConfig, Project
from healing.store import overload
from notifications.models import Notification
from tests.integration.asking.rows import NOON, make_attempt, make_container, make_failure, make_host

pytestmark = pytest.mark.django_db

SEED_HEALTH = {
    "container_id", "status", "last_check_time", "consecutive_failures", "total_restarts", "last_restart_time",
    "message",
}  # fmt: skip
SEED_FAILURE = {
    "id", "container_id", "service_name", "project_name", "failure_type", "error_message", "details", "action",
    "action_result", "detected_at", "resolved_at", "tenant_id",
}  # fmt: skip


def test_health_has_the_documented_fields() -> None:
    """Scripts find the documented names; container_id is the engine's id, and every config field has its origin."""
    container = make_container(
        project="shop",
        service="web",
        engine_id="4f" * 32,
        health={
            "status": "unhealthy",
            "lifecycle": "running",
            "consecutive_failures": 2,
            "message": "HTTP 500",
        },
    )
    health = container_health("web")
    assert set(health) >= SEED_HEALTH
    assert health["container_id"] == container.engine_id
    assert (health["status"], health["consecutive_failures"], health["message"]) == (
        "unhealthy",
        2,
        "HTTP 500",
    )
    assert (health["name"], health["host"], health["project_name"], health["service_name"]) == (
        "web", "h1", "shop", "web",
    )  # fmt: skip
    assert set(health["config"]) == set(health["config_origins"]) == set(FIELD_NAMES)
    assert health["quarantine"] is health["paused"] is health["open_failure"] is None


def test_health_tells_where_values_come_from_and_what_was_wrong() -> None:
    """The nearest config wins, is named, and a bad label shows as a warning beside the check's own."""
    config = HealingConfig.objects.create(name="strict", failure_threshold=1)
    Project.objects.create(name="shop", config=config)
    make_container(
        project="shop",
        labels={"selfheal.check_interval": "1", "selfheal.max_restarts": "many"},
        health={"warnings": ["the probe has no address"]},
    )
    health = container_health("web")
    assert (health["config"]["failure_threshold"], health["config"]["check_interval"]) == (1, 1.0)
    assert "strict" in health["config_origins"]["failure_threshold"]
    assert "selfheal.check_interval" in health["config_origins"]["check_interval"]
    assert health["warnings"][0] == "the probe has no address"
    assert "selfheal.max_restarts" in health["warnings"][1]


def test_health_shows_quarantine_pause_and_the_open_failure() -> None:
    """What keeps Selfheal from acting, and what is wrong now, are part of the answer."""
    now = timezone.now()
    container = make_container(health={"lifecycle": "quarantined", "quarantined_at": now})
    failure = make_failure(container, took=None, cause="out of memory")
    pause(container.host, now + timedelta(hours=1), "moving house")
    health = container_health("web")
    assert health["quarantine"] == {"since": now, "until": None}
    assert health["paused"]["until"] == now + timedelta(hours=1)
    assert "moving house" in health["paused"]["reason"]
    assert (health["open_failure"]["id"], health["open_failure"]["cause"]) == (failure.pk, "out of memory")


def test_unknown_name_offers_close_ones() -> None:
    """A typing error is answered with the names that were probably meant."""
    make_container("shop-web-1")
    with pytest.raises(LookupFailed, match="no container 'shop-wbe-1'.*Did you mean 'shop-web-1'"):
        container_health("shop-wbe-1")


def test_ambiguous_name_asks_for_the_host() -> None:
    """A name on two hosts is never guessed."""
    first = make_container(host="h1")
    second = make_container(host="h2")
    with pytest.raises(LookupFailed, match=r"more than one host \(h1, h2\).*--host h1"):
        container_health("web")
    assert container_health("web", "h1")["container_id"] == first.engine_id
    assert container_health("web", host="h2")["container_id"] == second.engine_id


def test_engine_id_is_a_name_too() -> None:
    """What `docker ps` shows can be pasted; a shorter piece could hit anything and finds nothing."""
    make_container(engine_id="abcdef0123456789" * 4)
    assert container_health("abcdef012345")["name"] == "web"
    with pytest.raises(LookupFailed):
        container_health("abcdef")


def test_history_is_newest_first_with_parents_and_attempts() -> None:
    """A history shows found failures and what was done about them, under the documented names."""
    container = make_container(project="shop", service="web")
    old = make_failure(container, after=0)
    new = make_failure(container, after=100, details={"log": ["bye"]})
    make_attempt(new, answered=0.5, answer="204")
    done = make_failure(container, after=110, took=0, failure_type="auto_restart", is_found=False, parent=new)
    make_failure(make_container("other"))
    history = failure_history("web")
    assert [record["id"] for record in history] == [done.pk, new.pk, old.pk]
    assert set(history[0]) >= SEED_FAILURE
    assert history[0]["parent"] == new.pk
    assert history[1]["details"] == {"log": ["bye"]}
    assert history[1]["attempts"][0]["answer"] == "204"
    assert [record["id"] for record in failure_history("web", limit=1)] == [done.pk]


def test_history_refuses_a_limit_below_one() -> None:
    """A limit of 0 is a mistake and not an empty history."""
    make_container()
    with pytest.raises(ValueError, match="from 1 up"):
        failure_history("web", limit=0)


def test_history_costs_the_same_for_many(django_assert_max_num_queries: Any) -> None:
    """Fifty failures with attempts need no more queries than one."""
    container = make_container()
    for number in range(50):
        make_attempt(make_failure(container, after=number))
    with django_assert_max_num_queries(4):
        assert len(failure_history("web")) == 50


def test_statistics_take_found_failures_only() -> None:
    """MTBF and counts leave out what automation did and what was outside the success rate."""
    container = make_container()
    for after, took in ((0, 10.0), (100, 20.0), (400, None)):
        failure = make_failure(container, after=after, took=took)
        make_failure(container, after=after + 1, failure_type="auto_restart", is_found=False, parent=failure)
    make_failure(container, after=9000, in_success_rate=False, action_result="failed")
    figures = healing_stats()
    assert (figures["failures"], figures["open_failures"]) == (3, 1)
    assert figures["mtbf"] == 200.0
    assert figures["mttr"] == 15.0
    assert figures["failure_types"] == {
        "health_check_failed": 3,
        "container_stopped": 0,
        "container_error": 0,
    }
    assert figures["automation_records"]["auto_restart"] == 3


def test_statistics_of_restarts_and_latency() -> None:
    """Restarts count by attempt, heals by failure, latency from detection to the engine's first answer."""
    container = make_container()
    for number, answered in enumerate((1.0, 2.0, 3.0)):
        failure = make_failure(container, after=number * 100)
        make_attempt(failure, 1, answered, state="failed")
        make_attempt(failure, 2, answered + 50)
    lost = make_failure(container, after=900, action_result="failed")
    make_attempt(lost, 1, 4.0, state="withdrawn", answered_at=None)
    figures = healing_stats()
    assert (figures["restarts_succeeded"], figures["restarts_failed"]) == (3, 3)
    assert figures["restart_success_rate"] == 0.5
    assert figures["heal_success_rate"] == 0.75
    assert figures["healing_latency"] == {"count": 3, "p50": 2.0, "p90": 3.0}


def test_alerting_alone_heals_nothing() -> None:
    """A failure that was only told, and ended by itself, is no heal in MTTR."""
    make_failure(make_container(), took=500, action="alert")
    assert healing_stats()["mttr"] is None


def test_what_was_put_off_is_counted() -> None:
    """Checks by host and hour, heals by failure, each by priority; a project's checks are not told apart."""
    mine = make_container("a", host="h1", project="shop")
    make_failure(mine, priority=2, put_off_at=NOON)
    make_failure(mine, after=600)
    overload.count(mine.host_id, {1: 3, 2: 4}, NOON + timedelta(minutes=59))
    overload.count(mine.host_id, {2: 5}, NOON)
    overload.count(make_host("h2").pk, {2: 100}, NOON + timedelta(hours=1))
    assert healing_stats(host="h1")["put_off"] == {
        "checks": {"critical": 0, "default": 3, "non-critical": 9},
        "heals": {"critical": 0, "default": 0, "non-critical": 1},
    }
    assert healing_stats()["put_off"]["checks"]["non-critical"] == 109
    assert healing_stats(since=NOON + timedelta(hours=1))["put_off"]["checks"]["non-critical"] == 100
    assert healing_stats(since=NOON + timedelta(minutes=30))["put_off"]["checks"]["non-critical"] == 109
    assert healing_stats(project="shop")["put_off"]["checks"] is None


def test_statistics_can_be_narrowed() -> None:
    """Time, project and host each narrow every figure, alerts and health among them."""
    mine = make_container("a", host="h1", project="shop", health={"status": "healthy"})
    other = make_container("b", host="h2", project="blog", health={"status": "unhealthy"})
    for container in (mine, other):
        make_failure(container, after=0)
        make_failure(container, after=600)
        Notification.objects.create(
            level="warning", title="t", host=container.host.name, project=container.project.name,
            container=container.name, created_at=NOON,
        )  # fmt: skip
    assert healing_stats()["failures"] == 4
    assert healing_stats(since=NOON + timedelta(seconds=1))["failures"] == 2
    assert healing_stats(since=NOON + timedelta(seconds=1))["alerts_by_level"]["warning"] == 0
    for narrowed in (healing_stats(project="shop"), healing_stats(host="h1")):
        assert (narrowed["containers"], narrowed["failures"]) == (1, 2)
        assert narrowed["alerts_by_level"] == {"info": 0, "warning": 1, "error": 0, "critical": 0}
        assert narrowed["health_distribution"] == {"healthy": 1, "unhealthy": 0, "unknown": 0}
    with pytest.raises(LookupFailed, match="no project 'shpo'.*'shop'"):
        healing_stats(project="shpo")


def test_statistics_of_nothing() -> None:
    """An empty installation has no figures, and no division by zero."""
    figures = healing_stats()
    assert figures["mtbf"] is figures["mttr"] is figures["restart_success_rate"] is None
    assert figures["healing_latency"] == {"count": 0, "p50": None, "p90": None}
