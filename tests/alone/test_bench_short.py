"""The benchmarks in short: they run, and Selfheal is not far off the floor. Loose on purpose, for a busy machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import idle, latency, report, trace
from benchmarks.healers import FLOOR
from tests.scenarios.stack import MODES
from tests.testbed.engine import Engine

FAULTS = 3
FAR_OFF = 3.0
SLACK = 700.0
"""Milliseconds that a busy machine may take from either side. A healer that polls is seconds behind."""


@pytest.mark.parametrize("kind", ["unhealthy", "die"])
def test_a_fault_is_answered_about_as_fast_as_the_engine_can(kind: str, own_engine: Engine) -> None:
    """Between fault and start lies the engine's work, and not a poll, a sleep or a queue of ours."""
    plan = latency.Plan(FAULTS, (FLOOR, *MODES), (kind,), turn_back=False)
    found = {row.healer: row for row in latency.rows(latency.measure(own_engine.host, plan))}
    for mode in MODES:
        assert found[mode].p50 < found[FLOOR].p50 * FAR_OFF + SLACK, latency.table(list(found.values()))


def test_a_trace_shows_every_step_of_a_heal(own_engine: Engine) -> None:
    """The records and times that a trace is made of are written, and in their order."""
    (found,) = trace.measure(own_engine.host, "embedded", "unhealthy", 1)
    assert set(found) == set(trace.STEPS)
    steps = [
        "event received by the watcher",
        "evidence is gathered",
        "guard has passed",
        "engine has started it",
        "verified",
    ]
    assert [found[step] for step in steps] == sorted(found[step] for step in steps)


def test_idle_costs_are_measured_of_the_whole_family(own_engine: Engine) -> None:
    """Processor and memory come from the running healer; the engine alone is the first line."""
    assert own_engine.child is not None
    nobody, embedded = idle.measure(own_engine.host, own_engine.child.pid, 3, 2, peer="")
    assert (nobody.processor, nobody.memory) == (0, 0)
    assert embedded.processor < 60
    assert 30 < embedded.memory < 500


def test_a_result_is_written_between_its_markers(tmp_path: Path) -> None:
    """A section is replaced whole, again and again, and the rest of the document stays."""
    document = tmp_path / "page.md"
    document.write_text("before\n<!-- x: begin -->\nold\n<!-- x: end -->\nafter\n")
    for table in ("first", "second"):
        report.write("x", report.section("x", "a machine", table), document)
    assert document.read_text() == (
        "before\n<!-- x: begin -->\nsecond\n\nMeasured on: a machine.\n<!-- x: end -->\nafter\n"
    )


def test_a_document_without_the_markers_is_left_alone(tmp_path: Path) -> None:
    """The message names the document and the markers."""
    document = tmp_path / "page.md"
    document.write_text("nothing")
    with pytest.raises(SystemExit, match=r"page\.md: the markers"):
        report.write("x", "text", document)
    assert document.read_text() == "nothing"
