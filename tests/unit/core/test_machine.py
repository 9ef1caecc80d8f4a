"""The rules of safe automation hold in whatever order faults, people, looks and time come."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import datetime, timedelta

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from healing.core.config import Config
from healing.core.limits import LASTING_RECOVERY
from healing.core.types import EngineState, Lifecycle
from tests.unit.core.model import Shell, Try

CONFIGS = st.builds(
    Config,
    max_restarts=st.sampled_from([1, 2, 3, 5]),
    restart_window=st.sampled_from([30.0, 300.0, 5000.0]),
    backoff_initial=st.sampled_from([0.0, 1.0, 10.0]),
    backoff_max=st.sampled_from([5.0, 300.0]),
    verify_timeout=st.sampled_from([3.0, 120.0]),
    start_period=st.sampled_from([0.0, 20.0]),
    quarantine_release=st.sampled_from([0.0, 60.0, 3600.0]),
    auto_restart=st.sampled_from([True, True, True, False]),
)
PAUSES = st.sampled_from([0.5, 1.0, 3.0, 11.0, 61.0, 301.0, 700.0, 3700.0])


class Loop(RuleBasedStateMachine):
    """One container between faults, a person and the shell around the core."""

    @initialize(config=CONFIGS, checked=st.booleans())
    def begin(self, config: Config, checked: bool) -> None:
        self.shell = Shell(config, checked=checked)
        self.by_hand = False

    @property
    def state(self) -> EngineState:
        return self.shell.world.snapshot.state

    @rule(seconds=PAUSES)
    def time_passes(self, seconds: float) -> None:
        self.shell.world.advance(seconds)

    @rule(cured=st.booleans())
    def its_fate_changes(self, cured: bool) -> None:
        """Whether the next starts work."""
        self.shell.world.cured = cured

    @precondition(lambda self: self.state is EngineState.RUNNING)
    @rule(exit_code=st.sampled_from([1, 137, 255]), oom=st.booleans())
    def it_ends(self, exit_code: int, oom: bool) -> None:
        self.shell.world.end(137 if oom else exit_code, oom=oom)

    @precondition(lambda self: self.state is EngineState.RUNNING and self.shell.world.checked)
    @rule()
    def it_turns_unhealthy(self) -> None:
        self.shell.world.turn_unhealthy()

    @precondition(lambda self: self.state is EngineState.RUNNING)
    @rule()
    def a_person_stops_it(self) -> None:
        world = self.shell.world
        self.shell.status = replace(self.shell.status, stop_signal_at=world.now)
        world.advance(0.1)
        if self.state is EngineState.RUNNING:
            world.end(143)
        self.by_hand = True

    @precondition(lambda self: self.state is EngineState.EXITED)
    @rule()
    def a_person_starts_it(self) -> None:
        self.shell.world.start()
        self.by_hand = False

    @precondition(lambda self: self.state in (EngineState.RUNNING, EngineState.PAUSED))
    @rule()
    def a_person_pauses_or_unpauses_it(self) -> None:
        world = self.shell.world
        paused = self.state is EngineState.PAUSED
        world.snapshot = replace(world.snapshot, state=EngineState.RUNNING if paused else EngineState.PAUSED)

    @precondition(lambda self: self.shell.status.lifecycle is Lifecycle.QUARANTINED)
    @rule()
    def a_person_releases_it(self) -> None:
        self.shell.status = replace(self.shell.status, lifecycle=Lifecycle.NEW, quarantine_until=None)
        self.shell.released.append(self.shell.world.now)

    @rule()
    def a_check_looks(self) -> None:
        self.shell.look()

    @rule()
    def a_check_cannot_look(self) -> None:
        """Unknown never counts against the container."""
        before = self.shell.status
        detection = self.shell.look(unknown="could not look")
        assert detection.change is None
        assert detection.status.consecutive_failures == before.consecutive_failures
        assert detection.status.lifecycle is before.lifecycle

    @rule(steps=st.integers(1, 4))
    def the_loop_works(self, steps: int) -> None:
        calls = self.shell.world.calls
        untouchable = self.by_hand or self.state is EngineState.PAUSED or not self.shell.config.auto_restart
        for _ in range(steps):
            self.shell.work()
        if untouchable:
            assert self.shell.world.calls == calls, "acted on what a person has stopped, paused or forbidden"

    @rule(rounds=st.sampled_from([1, 3, 12, 40]))
    def the_loop_goes_on(self, rounds: int) -> None:
        """Looks and work from one due time to the next."""
        for _ in range(rounds):
            self.shell.look()
            self.the_loop_works(3)
            due_at = self.shell.failure.due_at if self.shell.failure else self.shell.world.now
            self.shell.world.advance(max((due_at - self.shell.world.now).total_seconds(), 0.0) + 0.001)

    @precondition(lambda self: self.state is EngineState.RUNNING and self.shell.failure is None)
    @rule(holds=st.sampled_from([30.0, 610.0]))
    def it_fails_and_is_healed(self, holds: float) -> None:
        """One failure that the first restart cures, for as long as said."""
        self.shell.world.cured = True
        self.shell.world.end(1)
        self.the_loop_goes_on(12)
        self.shell.world.advance(holds)
        self.shell.look()

    @invariant()
    def never_two_heals_at_once(self) -> None:
        """At most one attempt is open, and none without its failure."""
        is_open = [attempt for attempt in self.shell.tries if attempt.ended_at is None]
        assert len(is_open) <= 1
        assert not is_open or self.shell.failure is not None

    @invariant()
    def never_over_budget_in_any_window(self) -> None:
        """No stretch of restart_window seconds holds more than max_restarts attempts, trials included."""
        config, tries = self.shell.config, self.shell.tries
        window = timedelta(seconds=config.restart_window)
        for first, last in zip(tries, tries[config.max_restarts :], strict=False):
            assert last.intent_at - first.intent_at >= window

    @invariant()
    def never_over_budget_in_a_row(self) -> None:
        """max_restarts attempts without a lasting recovery or a release, and after them only single trials."""
        for row in self._rows():
            assert len([attempt for attempt in row if not attempt.is_trial]) <= self.shell.config.max_restarts
            detected = [attempt.detected_at for attempt in row if attempt.is_trial]
            assert len(detected) == len(set(detected)), "more than one attempt in a trial"

    @invariant()
    def back_off_grows_within_a_row(self) -> None:
        """Within a row pauses never shrink, and no attempt comes before its pause is over."""
        for row in self._rows():
            pauses = [attempt.spent.backoff for attempt in row]
            assert pauses == sorted(pauses)
            for before, attempt in itertools.pairwise(row):
                assert before.ended_at is not None
                pause = timedelta(seconds=attempt.spent.backoff)
                assert attempt.is_trial or attempt.intent_at - before.ended_at >= pause

    @invariant()
    def an_open_failure_has_a_due_time(self) -> None:
        """What is open is at a stage, and due in less than a restart window, a trial's pause or a check."""
        failure = self.shell.failure
        if failure is None:
            return
        longest = max(self.shell.config.restart_window, self.shell.config.backoff_max, 300.0)
        assert failure.stage in ("diagnose", "observe", "act", "verify")
        assert failure.due_at - self.shell.world.now <= timedelta(seconds=longest)

    def _rows(self) -> list[list[Try]]:
        """All attempts in rows, counted forwards: a lasting recovery or a release begins the next one."""
        rows: list[list[Try]] = [[]]
        for attempt in self.shell.tries:
            before = rows[-1][-1] if rows[-1] else None
            if before is not None and (
                self._lasted(before, attempt.detected_at) or self._released(before, attempt)
            ):
                rows.append([])
            rows[-1].append(attempt)
        return rows

    def _lasted(self, before: Try, next_failure: datetime) -> bool:
        return before.verified_at is not None and next_failure - before.verified_at >= LASTING_RECOVERY

    def _released(self, before: Try, attempt: Try) -> bool:
        return any(before.intent_at <= at <= attempt.intent_at for at in self.shell.released)

    def teardown(self) -> None:
        """Left to itself, every failure ends, or is watched and says when it is looked at again."""
        if not hasattr(self, "shell"):
            return
        shell = self.shell
        for _ in range(60):
            shell.look()
            for _ in range(3):
                shell.work()
            if shell.failure is None:
                return
            wait = (shell.failure.due_at - shell.world.now).total_seconds()
            shell.world.advance(max(wait, 0.0) + 0.001)
        assert shell.failure.stage == "observe" or self.state is EngineState.PAUSED


Loop.TestCase.settings = settings(max_examples=300, stateful_step_count=40)
TestLoop = Loop.TestCase
TestLoop.__doc__ = "Budgets, back-off, one heal at a time, unknown, people: in every order of events."
