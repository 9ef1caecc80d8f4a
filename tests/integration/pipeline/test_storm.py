"""Two dozen containers of one host fail at once, on the fake engine: slow start, working both ways."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from healing.core.types import ExecResult
from healing.engines.fake import Outcome
from healing.models import Attempt, AttemptState, FailureRecord, Host
from tests.integration.loop.timeline import Timeline

NAMES = [f"web-{number:02}" for number in range(24)]
LABELS = {"selfheal.enable": "true", "selfheal.check_interval": "10"}
UNDER_WAY = (AttemptState.INTENDED, AttemptState.CALLED, AttemptState.VERIFYING)


@pytest.fixture
def timeline(db: None) -> Iterator[Timeline]:
    with Timeline() as started:
        for name in NAMES:
            started.fake.add(name, labels=LABELS, healthcheck=True)
        started.watch()
        yield started


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
    assert FailureRecord.objects.filter(is_found=True, action_result="success").count() == 24
    assert [len(timeline.calls_of(name)) for name in NAMES] == [1] * 24
    assert most > 8
    assert Host.objects.get().heal_window > 8


def test_what_a_restart_does_not_cure_costs_few_restarts(timeline: Timeline) -> None:
    """Beyond the first window few are touched within minutes: the window has closed to one."""
    for name in NAMES:
        timeline.fake.after_starts(name, Outcome("unhealthy", 20.0))
        command = timeline.fake.inspect(name).health_command.argv
        timeline.fake.answer_exec(name, command, ExecResult(1, "still sick"))
    timeline.at(30, lambda: break_all(timeline))
    timeline.run(150)
    touched = [name for name in NAMES if timeline.calls_of(name)]
    assert 8 <= len(touched) <= 14
    assert Host.objects.get().heal_window == 1
    waiting = FailureRecord.objects.filter(resolved_at__isnull=True, reason__startswith="slow start")
    assert waiting.count() >= 8
