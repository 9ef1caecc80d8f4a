"""Probes at intervals of their own: turns, and when a check is called for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from healing.core.closely import (
    RETELL,
    Ask,
    Streak,
    is_awake,
    is_close,
    next_turn,
    note,
    phase,
    reconcile,
)
from healing.core.config import Config
from healing.core.detect import detect
from healing.core.probespec import group_options, parse_probe
from healing.core.status import Seen, Status
from healing.core.types import Health, Lifecycle, ProbeResult, ProbeVerdict
from tests.unit.core.build import NOW, exited, running

NOTHING = Streak()
PASSED, FAILED, UNKNOWN = ProbeVerdict.PASSED, ProbeVerdict.FAILED, ProbeVerdict.UNKNOWN


def asks(*results: tuple[str, ProbeVerdict], threshold: int = 3, begin: Streak = NOTHING) -> list[Ask | None]:
    """What each of these results calls for, in their order."""
    found, streak = [], begin
    for second, (probe, verdict) in enumerate(results):
        streak, ask = note(streak, probe, verdict, threshold, float(second))
        found.append(ask)
    return found


@pytest.mark.parametrize(
    ("interval", "close"), [(None, False), (0.2, True), (29.9, True), (30, False), (60, False)]
)
def test_close_is_what_runs_oftener_than_checks(interval: float | None, close: bool) -> None:
    """A probe without an interval, or with one that checks keep anyway, costs no loop."""
    assert is_close(parse_probe("web", "tcp://:1", {"interval": interval}), Config()) is close


def test_failures_in_a_row_call_for_one_check() -> None:
    """At the threshold, once, with what the check need not see again; a blip below it calls for nothing."""
    blip = [("web", FAILED), ("web", FAILED), ("web", PASSED)]
    assert asks(*blip) == [None] * 3
    assert asks(*blip, *[("web", FAILED)] * 5) == [None] * 5 + [Ask(2), None, None]
    assert asks(("web", FAILED), threshold=1) == [Ask(0)]


def test_unknown_neither_counts_nor_ends_a_streak() -> None:
    """What could not be looked at says nothing about the container."""
    assert asks(*[("web", UNKNOWN)] * 9) == [None] * 9
    assert asks(("web", FAILED), ("web", UNKNOWN), ("web", FAILED), ("web", UNKNOWN), ("web", FAILED))[
        -1
    ] == Ask(2)


def test_each_probe_counts_for_itself_and_recovery_needs_all() -> None:
    """Two probes that fail in turns are no streak; the container is well when none fails any more."""
    assert asks(("a", FAILED), ("b", FAILED), ("a", PASSED), ("b", FAILED), ("a", FAILED)) == [None] * 5
    told = Streak({"a": 3, "b": 1}, told_at=0.0)
    assert asks(("a", PASSED), ("b", PASSED), ("a", PASSED), begin=told) == [None, Ask(), None]


def test_what_a_check_has_not_found_is_told_again_later() -> None:
    """A lost check costs RETELL seconds, and twice as many each time; a failure that checks know of is not told."""
    told = Streak({"web": 3}, told_at=100.0, tells=1)
    assert reconcile(told, is_failing=False, now=100.0 + RETELL - 0.1) is told
    forgotten = reconcile(told, is_failing=False, now=100.0 + RETELL)
    again, ask = note(forgotten, "web", FAILED, 3, 106.0)
    assert ask == Ask(2)
    assert reconcile(again, is_failing=False, now=106.0 + 2 * RETELL - 0.1) is again
    assert reconcile(again, is_failing=False, now=106.0 + 2 * RETELL) != again
    known = reconcile(Streak({"web": 2}), is_failing=True, now=5.0)
    assert note(known, "web", FAILED, 3, 6.0)[1] is None
    assert asks(("web", PASSED), begin=known) == [Ask()]


@given(
    st.floats(1e9, 2e9),
    st.sampled_from([0.1, 0.2, 1 / 3, 1.0, 7.5, 59.0]),
    st.integers(1, 10**6),
)
def test_turns_are_the_same_whoever_counts(now: float, interval: float, container: int) -> None:
    """The next turn lies ahead, within one interval, and asking again at it gives the one after."""
    offset = phase(container, interval)
    assert 0 <= offset < interval
    turn = next_turn(now, interval, offset)
    assert -1e-5 * interval < turn - now <= interval * 1.00001
    assert next_turn(turn, interval, offset) == pytest.approx(turn + interval, abs=interval / 100)


def test_who_is_left_in_peace() -> None:
    """Stopped, paused, quarantined and removed containers are not asked."""
    assert [state for state in Lifecycle if is_awake(state)] == [
        Lifecycle.NEW,
        Lifecycle.STARTING,
        Lifecycle.RUNNING,
        Lifecycle.RESTARTING,
    ]


def test_counted_failures_count_once_the_check_has_seen_one() -> None:
    """What the loop has counted makes the failure, not the check's own count; its own greater count stands."""
    seen = Seen(snapshot=running(), probes=(ProbeResult("web", FAILED, "refused"),), counted=2)
    found = detect(Status(health=Health.HEALTHY, lifecycle=Lifecycle.RUNNING), seen, Config(), NOW)
    assert (found.status.health, found.status.consecutive_failures) == (Health.UNHEALTHY, 3)
    assert found.change is not None
    more = detect(Status(consecutive_failures=7), seen, Config(), NOW)
    assert more.status.consecutive_failures == 8


@pytest.mark.parametrize("lifecycle", [Lifecycle.RUNNING, Lifecycle.STOPPING])
def test_counted_failures_mean_nothing_where_the_container_was_stopped(lifecycle: Lifecycle) -> None:
    """A container that somebody stops fails its probes too: it must not look like a known failure afterwards."""
    status = Status(health=Health.HEALTHY, lifecycle=lifecycle)
    seen = Seen(snapshot=exited(143, ago=0.2), stream_since=NOW.replace(year=2020), counted=2)
    found = detect(status, seen, Config(), NOW)
    assert (found.change, found.status.consecutive_failures) == (None, 0)


def test_options_stand_beside_their_probe() -> None:
    """A dot makes an option only where its probe is there; other names with dots stay names of probes."""
    assert group_options({"web.interval": "1", "web": "tcp://:1", "a.b": "tcp://:2", "x.timeout": "3"}) == {
        "a.b": ("tcp://:2", {}),
        "web": ("tcp://:1", {"interval": "1"}),
        "x.timeout": ("3", {}),
    }
