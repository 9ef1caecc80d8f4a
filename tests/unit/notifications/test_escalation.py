"""Escalation: which steps are due."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from notifications.core.escalation import Step, due_steps

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
SECOND, THIRD, FOURTH = Step(1, 15 * MINUTE), Step(2, 30 * MINUTE), Step(3, 30 * MINUTE)
STEPS = (FOURTH, THIRD, SECOND)


@pytest.mark.parametrize(
    ("minutes", "done", "expected"),
    [
        (0, [], ()),
        (14, [], ()),
        (15, [], (SECOND,)),
        (20, [1], ()),
        (30, [1], (THIRD, FOURTH)),
        (30, [], (SECOND, THIRD, FOURTH)),
        (30, [1, 2], (FOURTH,)),
        (600, [1, 2, 3], ()),
    ],
)
def test_due(minutes: int, done: list[int], expected: tuple[Step, ...]) -> None:
    """Protects that the next one is told in time, once, and that nobody is left out after a pause of ours."""
    assert due_steps(STEPS, NOW, None, None, done, NOW + minutes * MINUTE) == expected


def test_acknowledged_or_resolved_ends_it() -> None:
    """Protects people from being woken for what another has taken on, or what is over."""
    late = NOW + 600 * MINUTE
    assert due_steps(STEPS, NOW, NOW + 20 * MINUTE, None, [], late) == ()
    assert due_steps(STEPS, NOW, None, NOW + 20 * MINUTE, [1], late) == ()


def test_at_once_and_without_steps() -> None:
    """Protects a step without a wait, and routes without escalation."""
    assert due_steps([Step(0, timedelta(0))], NOW, None, None, (), NOW) == (Step(0, timedelta(0)),)
    assert due_steps([], NOW, None, None, (), NOW) == ()
