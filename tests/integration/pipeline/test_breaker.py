"""The breaker on the fake engine in moved time: one page for a storm, and what each mode does in it."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

import pytest

from healing.api import breakers
from healing.core.breaker import BreakerMode
from healing.core.types import ExecResult
from healing.engines.fake import Outcome
from healing.models import Attempt, Container, FailureRecord, HealthStatus, Host
from notifications.models import Notification
from tests.integration.loop.timeline import Timeline

LABELS = {"selfheal.enable": "true", "selfheal.check_interval": "10"}


def fleet_of(timeline: Timeline, number: int, *, cured: bool = True, **labels: object) -> list[str]:
    """So many containers on the host; `cured`: a restart makes them healthy within a second."""
    names = [f"web-{index:02}" for index in range(number)]
    values = LABELS | {f"selfheal.{name}": str(value) for name, value in labels.items()}
    for name in names:
        timeline.fake.add(name, labels=values, healthcheck=True)
        timeline.fake.after_starts(name, Outcome("healthy", 1.0) if cured else Outcome("unhealthy", 20.0))
        command = timeline.fake.inspect(name).health_command.argv
        timeline.fake.answer_exec(name, command, ExecResult(1, "not well"))
    timeline.watch()
    return names


def break_at(timeline: Timeline, seconds: float, names: list[str]) -> None:
    for name in names:
        timeline.at(seconds, partial(timeline.fake.make_unhealthy, name))


def set_mode(timeline: Timeline, mode: BreakerMode) -> None:
    breakers.configure([Host.objects.get(pk=timeline.host.pk)], mode)


def pages() -> list[tuple[str, str]]:
    """(kind, title) of everything that was told of the breaker, oldest first."""
    rows = Notification.objects.filter(alert_key__startswith="breaker:").order_by("created_at")
    return list(rows.values_list("kind", "title"))


def restarts(timeline: Timeline, names: list[str]) -> int:
    return sum(len(timeline.calls_of(name)) for name in names)


def test_held_nothing_is_healed_until_it_closes(timeline: Timeline) -> None:
    """Mode hold: from the opening on no engine call; what recovers by itself closes it, and the end is told."""
    names = fleet_of(timeline, 10)
    set_mode(timeline, BreakerMode.HOLD)
    break_at(timeline, 90, names[:8])
    timeline.run(150)
    before = restarts(timeline, names)
    assert before == 4, "those before the fifth of ten"
    waiting = FailureRecord.objects.filter(resolved_at__isnull=True)
    assert waiting.filter(reason__startswith=f"held: breaker of host {timeline.host.name}: ").count() == 4
    timeline.run(100)
    assert restarts(timeline, names) == before
    for name in names:
        timeline.fake.make_healthy(name)
    timeline.run(90)
    assert [kind for kind, _ in pages()] == ["firing", "resolved"]
    assert Host.objects.get().breaker_since is None
    assert restarts(timeline, names) == before


def test_an_approval_lets_it_heal_for_its_time(timeline: Timeline) -> None:
    """Mode approval: nothing is healed before a person says so; then slow start heals all, and it closes."""
    names = fleet_of(timeline, 10)
    set_mode(timeline, BreakerMode.APPROVAL)
    break_at(timeline, 90, names[:6])
    timeline.run(150)
    assert restarts(timeline, names) == 4
    (row,) = breakers.approve([Host.objects.get()], timeline.now + timedelta(hours=1))
    timeline.run(30)
    assert restarts(timeline, names) == 6
    timeline.run(120)
    assert [kind for kind, _ in pages()] == ["firing", "resolved"]
    row.refresh_from_db()
    assert (row.breaker_since, row.approved_until) == (None, None)


def test_an_approval_that_runs_out_is_told(timeline: Timeline) -> None:
    """Automation does not stop silently: when the time is over and the storm is not, people are paged again."""
    names = fleet_of(timeline, 4, cured=False)
    set_mode(timeline, BreakerMode.APPROVAL)
    break_at(timeline, 90, names)
    timeline.run(100)
    breakers.approve([Host.objects.get()], timeline.now + timedelta(seconds=60))
    timeline.run(70)
    calls = restarts(timeline, names)
    assert [title.split(",")[0] for _, title in pages()][1:] == [
        f"The approval for host {timeline.host.name} is over"
    ]
    timeline.run(60)
    assert restarts(timeline, names) == calls


def test_no_call_follows_an_intent_from_before_the_opening(timeline: Timeline) -> None:
    """A heal whose attempt was written before the breaker opened is withdrawn, and waits as the others do."""
    fleet_of(timeline, 4)
    timeline.run(90)
    Host.objects.update(breaker_mode=BreakerMode.HOLD)
    timeline.fake.make_unhealthy("web-00")

    from healing.pipeline import check, diagnosing, restarting

    (found,) = check.check_some(timeline.host.pk, [Container.objects.get(name="web-00").pk], by_event=True)
    assert diagnosing.run(found.failure_id) is not None
    Host.objects.update(breaker_since=timeline.now, breaker_incident=found.failure_id)
    restarting.run(found.failure_id)
    assert timeline.calls_of("web-00") == []
    assert Attempt.objects.get().state == "withdrawn"
    diagnosing.run(found.failure_id)
    assert FailureRecord.objects.get().reason.startswith("held: breaker of host")


def test_an_engine_that_comes_back_is_no_storm(timeline: Timeline) -> None:
    """What is stopped in the grace after a host's first sight does not open it; what is still stopped afterwards does."""
    names = fleet_of(timeline, 5)
    for name in names[:3]:
        timeline.at(20, partial(timeline.fake.exit, name, 1))
    Host.objects.update(breaker_mode=BreakerMode.HOLD)
    timeline.run(30)
    assert FailureRecord.objects.filter(is_found=True).count() == 3
    assert Host.objects.get().breaker_since is None


def test_what_stays_quarantined_is_told_with_its_list(timeline: Timeline) -> None:
    """Quarantines of a storm are not paged one by one: its end names those that are left, and is over with the last."""
    names = fleet_of(timeline, 5, cured=False, max_restarts=1, quarantine_release=0)
    break_at(timeline, 90, names[:3])
    timeline.run(600)
    assert [kind for kind, _ in pages()] == ["firing", "firing"]
    update = pages()[-1][1]
    assert update == f"3 containers of host {timeline.host.name} stay quarantined"
    body = Notification.objects.get(title=update).body
    assert all(name in body for name in names[:3])
    assert Notification.objects.filter(level="critical").count() == 2
    for name in names[:3]:
        timeline.fake.make_healthy(name)
    timeline.run(60)
    assert [kind for kind, _ in pages()] == ["firing", "firing", "resolved"]


@pytest.mark.parametrize("belongs", [False, True])
def test_only_what_belongs_to_the_storm_is_told_by_it(timeline: Timeline, belongs: bool) -> None:
    """A quarantine in a storm that is part of another incident is in nobody's list: it is paged, and so is its end."""
    names = fleet_of(timeline, 4, cured=False, max_restarts=1, quarantine_release=0)
    timeline.run(90)
    others = FailureRecord.objects.create(
        container=Container.objects.get(name=names[1]),
        failure_type="container_error",
        detected_at=timeline.now,
        resolved_at=timeline.now,
        stage="closed",
    )
    Host.objects.update(breaker_since=timeline.now, breaker_incident=others)
    timeline.fake.make_unhealthy(names[0])
    timeline.run(5)
    if not belongs:
        elsewhere = FailureRecord.objects.create(
            container=others.container,
            failure_type="container_error",
            detected_at=timeline.now,
            resolved_at=timeline.now,
            stage="closed",
        )
        FailureRecord.objects.filter(container_name=names[0], is_found=True).update(parent=elsewhere)
    while not HealthStatus.objects.filter(lifecycle="quarantined").exists():
        Host.objects.update(breaker_since=timeline.now, breaker_calm_since=None)
        timeline.run(5)
    timeline.fake.make_healthy(names[0])
    timeline.run(30)
    levels = Notification.objects.filter(container=names[0]).values_list("level", flat=True)
    assert sorted(levels) == ([] if belongs else ["critical", "info"])
