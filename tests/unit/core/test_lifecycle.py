"""Who ended a run, and what of the past still holds after a new start."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from healing.core import lifecycle
from healing.core.status import Status
from healing.core.types import Lifecycle, RestartPolicy
from tests.unit.core.build import NOW, STARTED, at, exited, healthy_status, running


@pytest.mark.parametrize(
    ("signal", "own", "is_stop"),
    [
        ("SIGTERM", "", True),
        ("15", "", True),
        ("term", "SIGTERM", True),
        ("9", "", True),
        ("SIGKILL", "SIGQUIT", True),
        ("SIGHUP", "SIGTERM", False),
        ("1", "", False),
        ("HUP", "SIGHUP", True),
        ("3", "SIGQUIT", True),
        ("SIGQUIT", "", False),
        ("SIGUSR1", "", False),
        ("SIGINT", "", False),
        ("SIGINT", "SIGINT", True),
    ],
)
def test_stop_signals(signal: str, own: str, is_stop: bool) -> None:
    """TERM, KILL and the container's own stop signal stop it; a HUP that only reloads does not."""
    assert lifecycle.is_stop_signal(signal, own) is is_stop


@pytest.mark.parametrize(
    ("signal_at", "snapshot", "by_hand"),
    [
        (-11.0, exited(143), True),
        (-20.0, exited(137), True),
        (-25.0, exited(137), True),
        (-26.0, exited(137), False),
        (-70.0, exited(0), True),
        (-70.0, exited(143), True),
        (-70.0, exited(1), False),
        (-70.0, exited(137, stop_timeout=60.0), True),
        (-76.0, exited(137, stop_timeout=60.0), False),
        (-14.0, exited(1), True),
        (-311.0, exited(143), False),
        (-9.5, exited(143), True),
        (-5.0, exited(143), False),
        (-4000.0, exited(143), False),
    ],
)
def test_stopped_by_hand(signal_at: float, snapshot: Any, by_hand: bool) -> None:
    """An exit answers a stop signal within the stop timeout and 5 s, or later where it exits gracefully (`-t 60`)."""
    status = healthy_status(stop_signal_at=at(signal_at))
    assert lifecycle.was_stopped_by_hand(status, snapshot) is by_hand


def test_without_a_stop_signal_nobody_stopped_it() -> None:
    """An exit without any kill event is the container's own."""
    assert not lifecycle.was_stopped_by_hand(healthy_status(), exited(143))


def test_the_kill_after_stop_t_60_is_a_signal_of_its_own() -> None:
    """`docker stop -t 60` ends with a kill event of its own, after which the death comes at once."""
    status = healthy_status(stop_signal_at=at(-10.1))
    assert lifecycle.was_stopped_by_hand(status, exited(137))


def test_a_manual_stop_holds_until_the_next_start() -> None:
    """A remembered manual stop counts for the run that it ended, and no longer after a new start."""
    status = healthy_status(stopped_by_hand_at=at(-20))
    assert lifecycle.was_stopped_by_hand(status, exited(1))
    assert not lifecycle.was_stopped_by_hand(status, exited(1, started_at=at(-15)))


@pytest.mark.parametrize(
    ("signal_at", "started", "stopping"),
    [
        (-1.0, STARTED, True),
        (-59.0, STARTED, True),
        (-299.0, STARTED, True),
        (-301.0, STARTED, False),
        (-5.0, at(-4), False),
    ],
)
def test_is_stopping(signal_at: float, started: Any, stopping: bool) -> None:
    """A running container is stopping for five minutes after its stop signal, unless it was started since."""
    status = healthy_status(stop_signal_at=at(signal_at))
    assert lifecycle.is_stopping(status, running(started_at=started), NOW) is stopping


@pytest.mark.parametrize(
    ("configured", "own", "seconds"),
    [(3.0, 60.0, 3.0), (None, 60.0, 60.0), (None, None, 10.0), (0.0, 60.0, 0.0)],
)
def test_stop_timeout(configured: float | None, own: float | None, seconds: float) -> None:
    """The config's stop timeout goes before the container's own, and that before ten seconds."""
    assert lifecycle.stop_timeout(running(stop_timeout=own), configured) == seconds


@pytest.mark.parametrize(
    ("policy", "exit_code", "restarts", "engine_does"),
    [
        (RestartPolicy("no"), 1, 0, False),
        (RestartPolicy(""), 1, 0, False),
        (RestartPolicy("always"), 0, 0, True),
        (RestartPolicy("unless-stopped"), 1, 99, True),
        (RestartPolicy("on-failure"), 0, 0, False),
        (RestartPolicy("on-failure"), 1, 99, True),
        (RestartPolicy("on-failure", 3), 1, 2, True),
        (RestartPolicy("on-failure", 3), 1, 3, False),
    ],
)
def test_engine_restarts(policy: RestartPolicy, exit_code: int, restarts: int, engine_does: bool) -> None:
    """The engine's own policy tells whether the engine itself restarts after such an exit."""
    assert lifecycle.engine_restarts(policy, exit_code, restarts) is engine_does


MARKS = ("stop_signal_at", "stopped_by_hand_at", "interrupted_at", "unpaused_at")


@pytest.mark.parametrize("mark", MARKS)
def test_a_new_start_ends_old_marks(mark: str) -> None:
    """What was noted of the run before does not hold for a container that was started again."""
    status = lifecycle.follow(healthy_status(**{mark: at(-20)}), running(started_at=at(-10)))
    assert getattr(status, mark) is None


@pytest.mark.parametrize("mark", MARKS)
def test_an_old_mark_does_not_come_back_at_the_second_look(mark: str) -> None:
    """Marks stay in the database: one from before the start is ignored at every look, not only at the first."""
    status = lifecycle.follow(
        healthy_status(**{mark: at(-20), "started_at": at(-10)}), running(started_at=at(-10))
    )
    assert getattr(status, mark) is None


@pytest.mark.parametrize("mark", MARKS)
def test_marks_of_this_run_are_kept(mark: str) -> None:
    """A mark that is newer than the start belongs to this run."""
    status = lifecycle.follow(healthy_status(**{mark: at(-5)}), running(started_at=at(-10)))
    assert getattr(status, mark) == at(-5)


def test_a_new_start_begins_counting_successes_anew() -> None:
    """Successes of the run before say nothing about the new one."""
    status = lifecycle.follow(healthy_status(consecutive_successes=4), running(started_at=at(-1)))
    assert (status.consecutive_successes, status.started_at) == (0, at(-1))


@pytest.mark.parametrize("state", [Lifecycle.STOPPED_BY_HAND, Lifecycle.FINISHED])
def test_a_new_start_ends_the_rest(state: Lifecycle) -> None:
    """A container at rest that was started again is at rest no longer, also where nobody saw it run."""
    status = lifecycle.follow(healthy_status(lifecycle=state), exited(1, started_at=at(-12)))
    assert status.lifecycle not in (Lifecycle.STOPPED_BY_HAND, Lifecycle.FINISHED)


def loop(*runs: tuple[float, float], status: Status | None = None) -> Status:
    """The status after these runs, as (start, end) in seconds from NOW, each seen after its end."""
    status = status or healthy_status()
    for start, end in runs:
        snapshot = exited(1, started_at=at(start), finished_at=at(end))
        status = lifecycle.follow(lifecycle.follow(status, snapshot), snapshot)
    return status


@pytest.mark.parametrize(
    ("runs", "count"),
    [
        ([(-100, -99)], 1),
        ([(-100, -99), (-90, -89), (-80, -79)], 3),
        ([(-200, -141), (-140, -80)], 1),
        ([(-700, -699), (-90, -89), (-80, -79)], 2),
        ([(-600, -600), (-90, -89), (-80, -79)], 3),
        ([(-4000, -400)], 0),
    ],
)
def test_quick_exits(runs: list[tuple[float, float]], count: int) -> None:
    """Runs of less than 60 s that ended in the last ten minutes are counted, each once."""
    status = loop(*runs)
    assert lifecycle.quick_exits(status, NOW) == count
    assert lifecycle.is_crash_loop(status, NOW) is (count >= 3)


def test_an_exit_is_counted_when_it_runs_again() -> None:
    """A run that ended and was restarted by the engine between two looks is a quick exit too."""
    status = healthy_status(started_at=at(-20))
    status = lifecycle.follow(status, running(started_at=at(-10), finished_at=at(-12)))
    assert lifecycle.quick_exits(status, NOW) == 1


@pytest.mark.parametrize(
    "state_after",
    [exited(143, started_at=at(-30), finished_at=at(-12)), running(started_at=at(-11), finished_at=at(-12))],
)
def test_a_stop_by_hand_is_no_quick_exit(state_after: Any) -> None:
    """`docker restart` three times in a minute by a person is no crash loop."""
    status = healthy_status(started_at=at(-30), stop_signal_at=at(-13))
    assert lifecycle.quick_exits(lifecycle.follow(status, state_after), NOW) == 0


def test_no_more_exits_are_kept_than_needed() -> None:
    """A loop of days does not let the row grow."""
    status = loop(*[(-600 + 10 * n, -599 + 10 * n) for n in range(50)])
    assert len(status.exits) == lifecycle.MAX_EXITS


def test_a_container_never_started_is_followed() -> None:
    """A created container has no times, and nothing of the past is lost by looking at it."""
    status = healthy_status(exits=((1.0, 2.0),))
    assert lifecycle.follow(status, running(started_at=None)) == replace(status)
