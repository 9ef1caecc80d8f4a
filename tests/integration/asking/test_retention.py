"""Histories are deleted when they are old, and never while they still matter."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from healing.models import (
    Attempt,
    Container,
    Dependency,
    FailureRecord,
    HealingConfig,
    Heartbeat,
    Host,
    PutOff,
    Trouble,
)
from healing.retention import prune
from healing.store import overload
from notifications.models import ActiveAlert, DigestRun, GroupMessage, Notification, Silence
from tests.integration.asking.rows import NOON, make_attempt, make_container, make_failure, make_host

pytestmark = pytest.mark.django_db

LATER = NOON + timedelta(days=100)


@pytest.fixture(autouse=True)
def _nothing_of_others(db: None) -> None:
    """Threads that outlive an earlier test can have written rows of their own since."""
    for model in (ActiveAlert, Notification, Heartbeat):
        model._default_manager.all().delete()


def test_old_failures_go_with_their_attempts_and_children() -> None:
    """What belongs to a deleted failure does not stay behind; a younger failure stays whole."""
    container = make_container()
    old = make_failure(container, after=0)
    make_attempt(old)
    make_failure(container, after=1, failure_type="auto_restart", is_found=False, parent=old)
    young = make_failure(container, after=60 * 86_400)
    make_attempt(young)
    assert prune(LATER, keep_days=50)["failure_records"] == 1
    assert list(FailureRecord.objects.all()) == [young]
    assert Attempt.objects.get().failure == young


def test_an_old_incident_takes_none_of_its_failures_along() -> None:
    """What belongs to an incident is open, or younger: it stays, and stands by itself."""
    first = make_failure(make_container())
    still_open = make_failure(make_container("a"), took=None, parent=first)
    young = make_failure(make_container("b"), after=60 * 86_400, parent=first)
    make_failure(make_container("c"), parent=first)
    assert prune(LATER, keep_days=50)["failure_records"] == 2
    assert set(FailureRecord.objects.all()) == {still_open, young}
    assert not FailureRecord.objects.exclude(parent=None).exists()


def test_old_counts_of_what_was_put_off_go() -> None:
    """Counters by the hour are a history too."""
    host = make_host()
    for days in (0, 60):
        overload.count(host.pk, {1: 7}, NOON + timedelta(days=days))
    assert prune(LATER, keep_days=50)["checks_put_off"] == 1
    assert PutOff.objects.get().hour == NOON + timedelta(days=60)


def test_open_failures_stay_whatever_their_age() -> None:
    """An open failure is never history."""
    failure = make_failure(make_container(), took=None)
    make_failure(failure.container, after=1, took=0, is_found=False, parent=failure)
    assert prune(LATER, keep_days=1)["failure_records"] == 0
    assert FailureRecord.objects.count() == 2


def test_attempts_that_may_count_against_a_budget_stay() -> None:
    """A short retention cannot give a container its spent budget back."""
    failure = make_failure(make_container())
    make_attempt(failure)
    assert prune(NOON + timedelta(days=3), keep_days=1)["failure_records"] == 0
    assert prune(NOON + timedelta(days=8), keep_days=1)["failure_records"] == 1


def test_batches_delete_everything(django_assert_max_num_queries: Any) -> None:
    """More rows than a batch are deleted in several, without a query for each row."""
    container = make_container()
    for number in range(25):
        make_failure(container, after=number)
    with django_assert_max_num_queries(60):
        assert prune(LATER, keep_days=1, batch=10)["failure_records"] == 25


def test_notifications_and_heartbeats_of_gone_workers_go_too() -> None:
    """Sent notifications age out, pending ones and the heartbeats of beat and watchers stay."""
    for state in ("sent", "pending"):
        Notification.objects.create(level="info", title=state, state=state, created_at=NOON)
    for name in ("queue:gone", "beat", "watch:h1"):
        Heartbeat.objects.create(name=name, at=NOON)
    counts = prune(LATER, keep_days=30)
    assert (counts["notifications"], counts["heartbeats"]) == (1, 1)
    assert [row.title for row in Notification.objects.all()] == ["pending"]
    assert {row.name for row in Heartbeat.objects.all()} == {"beat", "watch:h1"}


def test_the_last_sign_of_a_sweeper_stays_while_one_is_wanted() -> None:
    """Without it a dead sweeper is no part any more, and told as back. Those of former ones go."""
    Host.objects.create(name="near", engine_kind="fake", address="fake://near", queue="rack-7")
    signs = ("sweep:a:1", "sweep:a:2", "sweep.rack-7:b:1", "sweep.rack-7.rack-8:b:2", "sweep.rack-9:b:3")
    for minutes, name in enumerate(signs):
        Heartbeat.objects.create(name=name, at=NOON + timedelta(minutes=minutes))
    assert prune(LATER)["heartbeats"] == 3
    assert {row.name for row in Heartbeat.objects.all()} == {"sweep:a:2", "sweep.rack-7.rack-8:b:2"}
    Heartbeat.objects.create(name="sweep.rack-7:b:4", at=LATER)
    assert prune(LATER)["heartbeats"] == 1


@pytest.mark.parametrize(("keep_days", "batch"), [(0, 10), (-1, 10), (1, 0)])
def test_a_retention_of_nothing_is_refused(keep_days: int, batch: int) -> None:
    """A mistyped 0 must not empty the history."""
    with pytest.raises(ValueError, match="from 1 up"):
        prune(LATER, keep_days, batch)


def test_a_retention_longer_than_time_deletes_nothing() -> None:
    """Any large number means: keep everything."""
    make_failure(make_container())
    assert prune(LATER, keep_days=10**12)["failure_records"] == 0


def test_what_fires_stays_whatever_its_age() -> None:
    """An alert is known by its notification: deleting that would end it unseen. Old digests, messages and silences go."""
    fires, over = (
        Notification.objects.create(level="error", title=title, state="sent", created_at=NOON)
        for title in ("fires", "over")
    )
    ActiveAlert.objects.create(alert_key="host:1", notification=fires, level="error", starts_at=NOON)
    GroupMessage.objects.create(created_at=NOON, lead=over)
    Silence.objects.create(matchers='host="h1"', starts_at=NOON, ends_at=NOON + timedelta(hours=1))
    DigestRun.objects.create(kind="daily", period_start=NOON, made_at=NOON)
    counts = prune(LATER, keep_days=30)
    assert {kind: counts[kind] for kind in ("notifications", "silences", "digests")} == {
        "notifications": 1,
        "silences": 1,
        "digests": 1,
    }
    assert list(Notification.objects.all()) == [fires]
    assert not GroupMessage.objects.exists()


def test_an_incident_that_is_not_over_stays_whole() -> None:
    """Its alert ends when none of its containers is in quarantine any more, which only its records can tell."""
    first = make_failure(make_container(health={"lifecycle": "quarantined"}))
    member = make_failure(make_container("a"), parent=first)
    make_failure(make_container("b"))
    Host.objects.update(breaker_incident=first)
    assert prune(LATER, keep_days=50)["failure_records"] == 1
    assert set(FailureRecord.objects.all()) == {first, member}
    Host.objects.update(breaker_incident=None)
    assert prune(LATER, keep_days=50)["failure_records"] == 2


LABELLED = {"selfheal.enable": "true"}
GONE = {"lifecycle": "gone", "last_check_time": NOON}


def gone(name: str, **fields: Any) -> Container:
    made = make_container(name, **{"labels": LABELLED, "health": GONE, **fields})
    Container.objects.update(created_at=NOON)
    return made


def test_containers_that_are_gone_go_with_the_last_of_their_history() -> None:
    """Each run of `docker compose run` leaves one behind, which every sweep would read for ever."""
    gone("once")
    kept = {
        gone("not for long", health={**GONE, "last_check_time": LATER}),
        gone("there", health={**GONE, "lifecycle": "running"}),
        gone("by hand", labels={}),
        gone("configured", config=HealingConfig.objects.create(name="own")),
        gone("in a dry run", dry_run=True),
        gone("paused", paused_until=LATER + timedelta(days=1)),
        gone("has a history"),
    }
    Dependency.objects.create(dependant=gone("there too", health={}), dependency=gone("needed too"))
    kept |= set(Container.objects.filter(name__in=("there too", "needed too")))
    Container.objects.filter(name="has a history").update(paused_until=NOON)
    make_failure(Container.objects.get(name="has a history"), after=60 * 86_400)
    assert prune(LATER, keep_days=50)["containers"] == 1
    assert set(Container.objects.all()) == kept
    assert prune(LATER + timedelta(days=90), keep_days=50)["containers"] == 3


def test_troubles_that_are_over_go_but_those_that_are_counted() -> None:
    """The ids of alerts about a silent database are made of how often it was silent: a smaller number would repeat one."""
    for key, resolved_at in (("probe:1", NOON), ("probe:2", None), ("down:database", NOON)):
        Trouble.objects.create(key=key, message="", since=NOON, resolved_at=resolved_at)
    assert prune(LATER, keep_days=50)["troubles"] == 1
    assert set(Trouble.objects.values_list("key", flat=True)) == {"probe:2", "down:database"}
