"""The seed's Property 8: any container that goes wrong is restarted, and its failure recorded in detail.

Over random fleets, faults and configs, within the limits of safe automation: what works or what a person has stopped
is never touched, no budget is exceeded, every failure has one record with cause, evidence and reason.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from healing.core.errors import ActionFailed
from healing.core.types import (
    ActionKind,
    ActionResult,
    EngineHealth,
    EngineState,
    FailureType,
    Lifecycle,
    RestartPolicy,
)
from healing.effective import config_book
from healing.engines.fake import Outcome
from healing.models import Attempt, AttemptState, Container, FailureRecord, HealthStatus, Stage
from notifications.models import Notification
from tests.integration.loop.timeline import Timeline

LATEST_FAULT = 400.0
FAULTS = ("exit 1", "killed", "out of memory", "unhealthy")
PERSONS = ("stop", "stop and start", "kill", "restart", "pause", "remove")


@dataclass(frozen=True)
class Story:
    """One container's life. `faults` happen by themselves, `persons` are done by somebody; times in seconds.

    `then` is what every later start leads to, "healthy" or a way to fail, some seconds after the start.
    """

    checked: bool
    policy: str
    labels: dict[str, str]
    faults: list[tuple[float, str]] = field(default_factory=list)
    persons: list[tuple[float, str]] = field(default_factory=list)
    then: Outcome = field(default_factory=Outcome)

    @property
    def acts(self) -> bool:
        return self.labels.get("selfheal.auto_restart") != "false"

    @property
    def is_hopeless(self) -> bool:
        """Whether no restart helps; who has no HEALTHCHECK never turns unhealthy."""
        return self.then.word == "exit" or (self.then.word == "unhealthy" and self.checked)


LABELS = st.fixed_dictionaries(
    {"selfheal.enable": st.just("true"), "selfheal.check_interval": st.sampled_from(["10", "30"])},
    optional={
        "selfheal.max_restarts": st.sampled_from(["1", "2", "4"]),
        "selfheal.restart_window": st.sampled_from(["60", "600"]),
        "selfheal.backoff_initial": st.sampled_from(["0", "3"]),
        "selfheal.start_period": st.just("8"),
        "selfheal.verify_timeout": st.sampled_from(["15", "60"]),
        "selfheal.quarantine_release": st.sampled_from(["0", "120"]),
        "selfheal.auto_restart": st.sampled_from(["true", "false"]),
        "selfheal.engine_verdicts": st.just("counted"),
        "selfheal.failure_threshold": st.sampled_from(["1", "2"]),
        "selfheal.success_threshold": st.just("2"),
        "selfheal.always_running": st.just("true"),
    },
)
TIMES = st.integers(20, int(LATEST_FAULT)).map(float)
POLICIES = st.sampled_from(["no", "no", "on-failure", "always", "unless-stopped"])
ENDINGS = st.one_of(
    st.just(Outcome()),
    st.builds(Outcome, st.just("exit"), st.sampled_from([0.5, 15.0]), st.sampled_from([1, 137])),
    st.builds(Outcome, st.just("unhealthy"), st.sampled_from([0.0, 20.0])),
)


def moments(words: tuple[str, ...], longest: int) -> st.SearchStrategy[list[tuple[float, str]]]:
    """What happens when, in order, far enough apart for a `docker restart` to be over."""
    return st.lists(
        st.tuples(TIMES, st.sampled_from(words)), min_size=1, max_size=longest, unique_by=lambda m: m[0] // 20
    ).map(sorted)


QUIET = st.builds(Story, st.booleans(), POLICIES, LABELS)
STEERED = st.builds(Story, st.booleans(), POLICIES, LABELS, persons=moments(PERSONS, 3))
BROKEN = st.builds(Story, st.booleans(), POLICIES, LABELS, faults=moments(FAULTS, 3), then=ENDINGS)
FLEETS = st.lists(st.one_of(BROKEN, BROKEN, QUIET, STEERED), min_size=1, max_size=4)
OUTAGES = st.one_of(st.none(), st.tuples(TIMES, st.sampled_from([3.0, 90.0]), st.booleans()))
MOODS = st.lists(st.sampled_from(["refuses", "answers late", "answers never"]), max_size=2)


class Drama:
    """A fleet's stories on a timeline, and what must be true of them."""

    def __init__(
        self, timeline: Timeline, fleet: list[Story], outage: tuple[float, float, bool] | None
    ) -> None:
        self.timeline, self.fake = timeline, timeline.fake
        self.stories = {f"c{number}": story for number, story in enumerate(fleet)}
        self.happened: dict[str, list[str]] = {name: [] for name in self.stories}
        self.blind_until_restored = False
        for name, story in self.stories.items():
            self._add(name, story)
        timeline.watch()
        if outage is not None:
            self._plan_outage(*outage)

    def _add(self, name: str, story: Story) -> None:
        policy = RestartPolicy(story.policy)
        self.fake.add(name, labels=story.labels, healthcheck=story.checked, restart_policy=policy)
        self.fake.after_starts(name, story.then)
        for at, fault in story.faults:
            self.timeline.at(at, lambda fault=fault: self._fail(name, fault))
        for at, deed in story.persons:
            self.timeline.at(at, lambda deed=deed: self._do(name, deed))

    def _plan_outage(self, at: float, seconds: float, events_lost: bool) -> None:
        def lose() -> None:
            self.blind_until_restored = events_lost
            self.timeline.lose_the_engine()

        def find() -> None:
            self.blind_until_restored = False
            self.timeline.find_the_engine(events_lost=events_lost)

        self.timeline.at(at, lose)
        self.timeline.at(at + seconds, find)

    def _fail(self, name: str, fault: str) -> None:
        """What has no HEALTHCHECK cannot turn unhealthy, and exits instead."""
        if self._state(name) != "running":
            return
        fault = "exit 1" if fault == "unhealthy" and not self.stories[name].checked else fault
        self.happened[name].append(fault)
        match fault:
            case "unhealthy":
                self.fake.make_unhealthy(name, "connection refused")
            case "killed":
                self.fake.kill(name)
            case "out of memory":
                self.fake.oom(name)
            case _:
                self.fake.exit(name, 1)

    def _do(self, name: str, deed: str) -> None:
        """What a person does. While nobody watches and the engine forgets, nobody could tell it from a fault."""
        state = self._state(name)
        if self.blind_until_restored or state is None:
            return
        match deed, state:
            case "stop" | "stop and start", "running":
                self.fake.stop_by_hand(name)
                if deed == "stop and start":
                    self.fake.start_by_hand(name)
            case "kill", "running":
                self.fake.kill_by_hand(name)
            case "restart", "running":
                self.fake.restart_by_hand(name)
            case "pause", "running":
                self.fake.pause(name)
            case "pause", "paused":
                self.fake.unpause(name)
            case "remove", _:
                self.fake.remove(name)

    def _state(self, name: str) -> str | None:
        """The engine's truth, whether it answers or not."""
        found = [c for c in self.fake._world.containers.values() if c.name == name]
        return found[0].status if found else None


def at_every_step() -> None:
    """Never two heals at once: one open failure and one open attempt for each container."""
    open_failures = FailureRecord.objects.filter(is_found=True, resolved_at__isnull=True)
    owners = list(open_failures.values_list("container_id", flat=True))
    assert len(owners) == len(set(owners))
    under_way = (AttemptState.INTENDED, AttemptState.CALLED, AttemptState.VERIFYING)
    owners = list(Attempt.objects.filter(state__in=under_way).values_list("container_id", flat=True))
    assert len(owners) == len(set(owners))


class Property8(TestCase):
    """The property over whole fleets; each example runs in a transaction of its own."""

    @settings(
        max_examples=20,
        phases=[Phase.explicit, Phase.generate],  # shrinking whole fleets would outlast the test's timeout
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    @given(fleet=FLEETS, outage=OUTAGES, moods=MOODS)
    def test_property8(
        self, fleet: list[Story], outage: tuple[float, float, bool] | None, moods: list[str]
    ) -> None:
        """What goes wrong is restarted and recorded in detail; nothing else is touched, and no limit exceeded."""
        with Timeline() as timeline:
            drama = Drama(timeline, fleet, outage)
            queue_moods(timeline, moods)
            timeline.run_until_quiet(3000, at_every_step)
            for name, story in drama.stories.items():
                judge(drama, name, story)
            assert len(drama.stories) == len(fleet), "every container of the fleet has been judged"


def queue_moods(timeline: Timeline, moods: list[str]) -> None:
    """How the engine takes the first restarts that it is asked for."""
    for mood in moods:
        if mood == "refuses":
            timeline.fake.refuse_next_action(ActionFailed("driver failed programming external connectivity"))
        else:
            timeline.fake.hang_next_action(succeeds=mood == "answers late")


def judge(drama: Drama, name: str, story: Story) -> None:
    """All that must be true of one container when nothing moves any more."""
    container = Container.objects.get(name=name)
    failures = list(FailureRecord.objects.filter(container=container, is_found=True).order_by("pk"))
    touched = drama.timeline.calls_of(name)
    assert len(touched) == Attempt.objects.filter(container=container, called_at__isnull=False).count()
    if not story.faults:
        assert not touched, "healthy, or a person's"
        assert not failures
    if not story.acts:
        assert not touched, "auto_restart is off"
    within_budget(container)
    for failure in failures:
        recorded_in_detail(failure)
    if drama.happened[name]:
        went_wrong(drama, container, story, failures)


def within_budget(container: Container) -> None:
    """At most max_restarts in any window, and in a row but for single trials; back-off never shrinks in a failure."""
    config = config_book().config(container)
    attempts = list(Attempt.objects.filter(container=container).order_by("intent_at"))
    window = timedelta(seconds=config.restart_window)
    for first, last in zip(attempts, attempts[config.max_restarts :], strict=False):
        assert last.intent_at - first.intent_at >= window
    for attempt in attempts:
        assert attempt.budget_spent <= config.max_restarts
        assert attempt.row_number <= config.max_restarts or attempt.failure.is_trial
        assert attempt.reason
    for failure_id in {attempt.failure_id for attempt in attempts}:
        pauses = [attempt.backoff for attempt in attempts if attempt.failure_id == failure_id]
        assert pauses == sorted(pauses)


def recorded_in_detail(failure: FailureRecord) -> None:
    """Who, what, why, the evidence, and what was done about it, with a record of its own for each outcome."""
    assert failure.container_name
    assert failure.host_name
    assert failure.engine_id
    assert failure.cause
    assert failure.error_message
    assert failure.reason
    assert {"state", "exit_code", "health", "logs", "restart_policy", "first"} <= set(failure.details)
    attempts = list(failure.attempts.order_by("number"))
    assert [attempt.number for attempt in attempts] == list(range(1, len(attempts) + 1))
    if failure.resolved_at is None:
        assert failure.stage == Stage.OBSERVE
        assert failure.due_at is not None
        return
    assert (failure.stage, failure.due_at) == (Stage.CLOSED, None)
    assert failure.action_result in (ActionResult.SUCCESS, ActionResult.FAILED)
    assert failure.resolved_at >= failure.detected_at
    children = list(failure.children.values_list("failure_type", flat=True))
    healed = [attempt for attempt in attempts if attempt.state == AttemptState.SUCCEEDED]
    assert children.count(FailureType.AUTO_RESTART) == len(healed) <= 1
    refused = [a for a in attempts if a.answer and not a.answer.startswith(("accepted", "no answer"))]
    assert children.count(FailureType.RESTART_FAILED) == len(refused)
    quarantined = failure.reason.startswith("quarantined") and not failure.is_trial
    assert children.count(FailureType.RESTART_LIMIT_EXCEEDED) == quarantined
    told = Notification.objects.filter(failure_id=failure.pk, level="critical", kind="firing").count()
    assert told <= 1
    assert told == 1 or not quarantined
    assert failure.action == (ActionKind.RESTART if attempts else failure.action)


def went_wrong(drama: Drama, container: Container, story: Story, failures: list[FailureRecord]) -> None:
    """It was found; and it runs again, or it is quarantined, watched, or none of our business."""
    health = HealthStatus.objects.get(container=container)
    state = drama.fake.inspect(container.name)
    engine_mends = story.policy != "no" and "unhealthy" not in drama.happened[container.name]
    assert failures or engine_mends, "a failure that nobody has recorded"
    if health.lifecycle == Lifecycle.QUARANTINED:
        assert any(failure.reason.startswith("quarantined") for failure in failures)
    elif any(failure.resolved_at is None for failure in failures):
        assert story.is_hopeless or not story.acts or state.restart_policy.name != "no"
    else:
        assert (health.status, health.lifecycle) == ("healthy", Lifecycle.RUNNING)
        assert state.state is EngineState.RUNNING
        assert state.health in (EngineHealth.NONE, EngineHealth.HEALTHY)
        assert all(failure.action_result == ActionResult.SUCCESS for failure in failures[-1:])
