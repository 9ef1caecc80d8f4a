"""Forty containers of one host fail at once, on the fake engine: slow start, working both ways, with one page."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from healing.core.decide import SLOW_START
from healing.core.types import ExecResult, FailureType
from healing.engines.fake import Outcome
from healing.models import Attempt, AttemptState, Container, FailureRecord, Host
from healing.store import heals, windows
from notifications.models import Notification
from tests.integration.loop.timeline import Timeline

NAMES = [f"web-{number:02}" for number in range(40)]
LABELS = {"selfheal.enable": "true", "selfheal.check_interval": "10"}
UNDER_WAY = (AttemptState.INTENDED, AttemptState.CALLED, AttemptState.VERIFYING)


@pytest.fixture
def timeline(db: None) -> Iterator[Timeline]:
    with Timeline() as started:
        for name in NAMES:
            started.fake.add(name, labels=LABELS, healthcheck=True)
        started.watch()
        yield started


def pages() -> list[str]:
    """The kinds of everything that was told of the storm itself, in their order."""
    told = Notification.objects.filter(alert_key__startswith="breaker:")
    return list(told.order_by("created_at").values_list("kind", flat=True))


def break_all(timeline: Timeline) -> None:
    for name in NAMES:
        timeline.fake.make_unhealthy(name)


def test_what_a_restart_cures_is_healed_at_the_engines_speed(timeline: Timeline) -> None:
    """All are healed with one restart each, never more at once than the window allows, which grows."""
    for name in NAMES:
        timeline.fake.after_starts(name, Outcome("healthy", 1.0))
        command = timeline.fake.inspect(name).health_command.argv
        timeline.fake.answer_exec(name, command, ExecResult(1, "not ready yet"))
    timeline.at(30, lambda: break_all(timeline))
    most = 0

    def watch() -> None:
        nonlocal most
        under_way = Attempt.objects.filter(state__in=UNDER_WAY).count()
        assert under_way <= max(8, int(Host.objects.get().heal_window))
        most = max(most, under_way)

    timeline.run(32)
    timeline.run(60, watch)
    assert FailureRecord.objects.filter(is_found=True, action_result="success").count() == 40
    assert [len(timeline.calls_of(name)) for name in NAMES] == [1] * 40
    assert most > 8
    assert Host.objects.get().heal_window > 8
    timeline.run(60)
    assert pages() == ["firing", "resolved"]
    (page,) = Notification.objects.filter(level__in=("error", "critical"))
    first = FailureRecord.objects.filter(is_found=True).earliest("detected_at", "pk")
    assert page.failure_id == first.pk
    assert first.children.filter(is_found=True).count() == 39
    assert Notification.objects.filter(level="warning").count() <= 8, "those that were restarted before"


def test_what_a_restart_does_not_cure_costs_few_restarts(timeline: Timeline) -> None:
    """Beyond the first window few are touched within minutes: the window has closed to one."""
    for name in NAMES:
        timeline.fake.after_starts(name, Outcome("unhealthy", 20.0))
        command = timeline.fake.inspect(name).health_command.argv
        timeline.fake.answer_exec(name, command, ExecResult(1, "still sick"))
    timeline.at(30, lambda: break_all(timeline))
    timeline.run(100)
    touched = [name for name in NAMES if timeline.calls_of(name)]
    assert 8 <= len(touched) <= 14
    assert Host.objects.get().heal_window == 1
    waiting = FailureRecord.objects.filter(resolved_at__isnull=True, reason__startswith="slow start")
    assert waiting.count() >= 20
    assert pages() == ["firing"]
    assert Notification.objects.filter(level="critical").count() == 1


def test_a_look_for_which_nobody_waits_may_come_later(timeline: Timeline) -> None:
    """While the engine is at work on others and no heal waits for a place, verification need not hurry; else it must."""
    timeline.run(15)
    first, second, third = (open_failure(timeline, name) for name in NAMES[:3])
    host_id = timeline.host.pk
    assert not windows.may_verify_later(host_id, first.pk), "nothing else is under way"
    Attempt.objects.create(**attempt_of(second), state=AttemptState.CALLED)
    assert windows.may_verify_later(host_id, first.pk)
    assert not windows.may_verify_later(host_id, second.pk), "its own call is no other"
    FailureRecord.objects.filter(pk=third.pk).update(reason=f"{SLOW_START}: 8 heals are under way")
    assert not windows.may_verify_later(host_id, first.pk), "somebody waits for a place"


def open_failure(timeline: Timeline, name: str) -> FailureRecord:
    container = Container.objects.select_related("host").get(name=name)
    opened = heals.open_failure(container, timeline.now, failure_type=FailureType.HEALTH_CHECK_FAILED)
    assert opened is not None
    return opened


def attempt_of(failure: FailureRecord) -> dict[str, Any]:
    return {
        "failure": failure,
        "container_id": failure.container_id,
        "number": 1,
        "fence": 1,
        "budget_spent": 1,
        "budget_limit": 5,
        "guard_engine_id": failure.engine_id,
        "intent_at": failure.detected_at,
    }
