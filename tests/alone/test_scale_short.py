"""The scale benchmark in short: it measures all that it tells, and the cost follows engines and changes, not containers."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import scale
from benchmarks.scaling.scene import Plan

PLAN = Plan(
    containers=400, hosts=2, minutes=0.1, quiet_minutes=0.13, failing=0.15, interval=2.0, health_interval=1.0
)


@pytest.mark.timeout(240)
def test_a_small_fleet_is_watched_cheaply_and_healed(tmp_path: Path) -> None:
    """Every fault is healed, and hundreds of containers that are well cost neither inspections nor statements each."""
    result = scale.measure(PLAN)
    quiet, looks = result.quiet, PLAN.containers * result.quiet.seconds / PLAN.interval
    assert quiet.statements is not None
    assert quiet.calls.lists
    assert quiet.calls.inspects < looks / 4, quiet.calls
    assert quiet.statements["calls"] < looks / 2, quiet.statements
    assert result.heals.faults == result.heals.started == result.heals.work_again > 0, result.heals
    assert {"web", "worker-heal", "beat", "watch", "flower"} <= set(result.memory)
    assert quiet.selfheal > 0
    assert quiet.around["postgres"] > 0
    assert quiet.broker
    scale.save(result, tmp_path)
    (again,) = scale.load(tmp_path)
    assert scale.table([again]) == scale.table([result])
