"""What ends whoever works on it runs three times at the most, and everything else flows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta

import pytest
from django.db import DatabaseError, ProgrammingError

from healing.core.types import ActionResult, Lifecycle
from healing.engines.fake import FakeEngine
from healing.models import (
    Attempt,
    AttemptState,
    CheckShard,
    Container,
    DeadLetter,
    FailureRecord,
    HealthStatus,
    Host,
    Stage,
)
from healing.pipeline import check, diagnosing, poison, stages
from healing.store import heals, hosts, worker_signs
from healing.store.clock import db_now
from notifications.models import Notification
from tests.integration.loop.timeline import Timeline

LABELS = {"selfheal.enable": "true", "selfheal.check_interval": "10", "selfheal.max_restarts": "10"}

pytestmark = pytest.mark.django_db


class Killed(BaseException):
    """The end of a process: nothing is caught, nothing is given back."""


@pytest.fixture
def timeline(db: None) -> Iterator[Timeline]:
    with Timeline() as made:
        for name in ("web", "other"):
            made.fake.add(name, labels=LABELS, healthcheck=True)
        made.watch()
        made.run(60)
        yield made


def found(timeline: Timeline, name: str = "web") -> FailureRecord:
    timeline.fake.make_unhealthy(name)
    container = Container.objects.get(name=name)
    check.check_some(timeline.host.pk, [container.pk], by_event=True)
    return FailureRecord.objects.get(container=container, is_found=True)


def until_closed(timeline: Timeline, failure: FailureRecord) -> int:
    """Have workers take the heal up, one after the other has died; how many have."""
    deaths = 0
    for _ in range(60):
        failure.refresh_from_db()
        if failure.resolved_at is not None:
            return deaths
        latest = max(at for at in (failure.due_at, failure.lease_until, db_now()) if at is not None)
        timeline._clock.move_to(latest + timedelta(seconds=1))
        try:
            stages.run(Stage(failure.stage), failure.pk)
        except Killed:
            deaths += 1
    raise AssertionError(f"never closed: {failure.stage}, {failure.reason}, {failure.lost_claims}")


def dies(timeline: Timeline, monkeypatch: pytest.MonkeyPatch, *, after: bool, times: int = 99) -> list[str]:
    """The engine's call ends its process, `after` the engine has done it or before; the calls that were made."""
    calls: list[str] = []
    restart = FakeEngine.restart

    def deadly(engine: FakeEngine, container_id: str, stop_timeout: float, deadline: float) -> None:
        calls.append(container_id)
        if after or len(calls) > times:
            restart(engine, container_id, stop_timeout, deadline)
        if len(calls) <= times:
            raise Killed

    monkeypatch.setattr(FakeEngine, "restart", deadly)
    return calls


def test_a_diagnosis_that_ends_its_worker_is_set_aside(
    timeline: Timeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three workers and no fourth: closed with its reason, told once, kept aside, hands off, while another heal goes on."""
    gather = diagnosing.gather

    def deadly(failure: FailureRecord, book: object) -> object:
        if failure.container_name == "web":
            raise Killed
        return gather(failure, book)  # type: ignore[arg-type]

    monkeypatch.setattr(diagnosing, "gather", deadly)
    failure = found(timeline)
    assert until_closed(timeline, failure) == 3
    assert failure.action_result == ActionResult.FAILED
    assert failure.reason == "set aside: it has ended its worker 3 times, at the stage diagnose"
    assert HealthStatus.objects.get(pk=failure.container_id).lifecycle == Lifecycle.QUARANTINED
    assert Notification.objects.get(failure_id=failure.pk).level == "critical"
    assert DeadLetter.objects.get().task == "healing.tasks.diagnose"
    other = found(timeline, "other")
    timeline.run(60)
    other.refresh_from_db()
    assert other.action_result == ActionResult.SUCCESS
    assert FailureRecord.objects.filter(container_name="web", resolved_at=None).count() == 0


def test_a_call_that_ends_its_worker_is_made_three_times(
    timeline: Timeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The diagnoses in between end well, and make nobody forget it: the budget would allow ten."""
    calls = dies(timeline, monkeypatch, after=False)
    failure = found(timeline)
    assert until_closed(timeline, failure) == len(calls) == 3
    assert failure.reason.startswith("set aside")
    assert {one.state for one in failure.attempts.all()} <= {AttemptState.FAILED, AttemptState.WITHDRAWN}


def test_a_plain_crash_is_verified_and_forgotten(timeline: Timeline, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that dies once after its call costs no second call, and counts for nothing later."""
    calls = dies(timeline, monkeypatch, after=True, times=1)
    failure = found(timeline)
    assert until_closed(timeline, failure) == len(calls) == 1
    assert failure.action_result == ActionResult.SUCCESS
    assert Attempt.objects.get().state == AttemptState.SUCCEEDED


def test_a_stage_that_breaks_again_and_again_ends(
    timeline: Timeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A defect met at one container is no heal without an end: three tries, and a person is told which."""

    def breaks(*_: object) -> None:
        raise KeyError("defect")

    monkeypatch.setattr(diagnosing, "gather", breaks)
    failure = found(timeline)
    for _ in range(3):
        with pytest.raises(KeyError):
            stages.run(Stage.DIAGNOSE, failure.pk)
        timeline._clock.shift(heals.BROKEN_PAUSE)
    stages.run(Stage.DIAGNOSE, failure.pk)
    failure.refresh_from_db()
    assert failure.resolved_at is not None
    assert "KeyError: 'defect'" in failure.reason


def test_restarts_of_the_one_process_do_not_count(timeline: Timeline) -> None:
    """Its state folder is locked: who held the lease is known to be dead, of whatever."""
    failure = found(timeline)
    for _ in range(5):
        assert heals.claim(failure.pk, Stage.DIAGNOSE, 60) is not None
        heals.end_leases_of_dead_process()
    failure.refresh_from_db()
    assert failure.lost_claims == 0


def test_a_sweep_that_ends_its_worker_is_paused_longer_and_longer(timeline: Timeline) -> None:
    """Told once after three, tried again after a minute, then two; over when it has been checked to the end."""
    shard = CheckShard.objects.get()
    assert shard.next_due_at is not None
    timeline._clock.move_to(shard.next_due_at)
    for _ in range(3):
        assert len(hosts.claim_due_shards(db_now())) == 1
        with worker_signs.held(shard.host_id, 0) as is_due:
            assert is_due
        timeline._clock.shift(timedelta(seconds=worker_signs.LONGEST_CHECK + 1))
    for longest in (60, 120):
        assert hosts.claim_due_shards(db_now()) == []
        for _ in range(2):
            poison.tell_of_shards(db_now())
        shard.refresh_from_db()
        assert shard.next_due_at is not None
        pause = (shard.next_due_at - db_now()).total_seconds()
        assert 0.75 * longest <= pause <= longest
        timeline._clock.shift(timedelta(seconds=pause - 1))
        assert hosts.claim_due_shards(db_now()) == []
        timeline._clock.shift(timedelta(seconds=1))
        assert len(hosts.claim_due_shards(db_now())) == 1
        with worker_signs.held(shard.host_id, 0):
            pass
        timeline._clock.shift(timedelta(seconds=worker_signs.LONGEST_CHECK + 1))
    told = Notification.objects.filter(alert_key__startswith="self:deadly-check")
    assert [(one.level, one.kind) for one in told] == [("critical", "firing")]
    assert DeadLetter.objects.count() == 1
    hosts.finish_shard(shard.host_id, 0, db_now(), db_now(), 10.0)
    poison.tell_of_shards(db_now())
    assert told.order_by("created_at").last().kind == "resolved"  # type: ignore[union-attr]


def test_a_message_that_was_lost_is_no_death(timeline: Timeline) -> None:
    """A claim that nobody took up, again and again, pauses nothing: there may be no worker."""
    shard = CheckShard.objects.get()
    assert shard.next_due_at is not None
    timeline._clock.move_to(shard.next_due_at)
    for _ in range(6):
        assert len(hosts.claim_due_shards(db_now())) == 1
        timeline._clock.shift(timedelta(seconds=hosts.SHARD_LEASE + 1))
    assert CheckShard.objects.get().lost_claims == 0


def neighbours(number: int, queue: str = "") -> list[CheckShard]:
    """Shards of so many more hosts that are due now."""
    made = [
        Host.objects.create(name=f"n{queue}{index}", address=f"fake://n{queue}{index}", queue=queue)
        for index in range(number)
    ]
    return [CheckShard.objects.update_or_create(host=host, number=0)[0] for host in made]


def taken_up() -> set[int]:
    """The hosts whose checks the tick claims, all taken up by one process."""
    claimed = {host_id for host_id, *_ in hosts.claim_due_shards(db_now())}
    CheckShard.objects.filter(host_id__in=claimed).update(begun_at=db_now())
    return claimed


def test_checks_that_died_together_are_tried_apart(timeline: Timeline) -> None:
    """One ends every process that has it: the seven beside it are checked, and it alone is paused."""
    shards = neighbours(8)
    guilty = shards[3].host_id
    CheckShard.objects.exclude(pk__in=[shard.pk for shard in shards]).delete()
    together: list[int] = []
    for _ in range(60):
        claimed = taken_up()
        together.append(len(claimed))
        if claimed and guilty not in claimed:
            for host_id in claimed:
                hosts.finish_shard(host_id, 0, db_now(), db_now(), 3600.0)
            # Its turn on the grid may come at any moment of the hour, by its key.
            rows = CheckShard.objects.filter(host_id__in=claimed)
            rows.update(next_due_at=db_now() + timedelta(hours=1))
        timeline._clock.shift(timedelta(seconds=hosts.SHARD_LEASE + 1))
    assert together[:10] == [8, 8, *[1] * 8]
    assert {shard.host_id for shard in hosts.deadly_shards()} == {guilty}
    assert CheckShard.objects.filter(lost_claims=0).count() == 7


def test_who_waits_for_a_suspect_is_of_its_queue_and_a_suspect(timeline: Timeline) -> None:
    """Other workers' hosts, and those that nothing is held against, are checked all the while; by a sweeper as well."""
    first, second, clean, far = [*neighbours(3), *neighbours(1, "rack-7")]
    now = db_now()
    CheckShard.objects.exclude(pk__in=[each.pk for each in (first, second, clean, far)]).delete()
    CheckShard.objects.exclude(pk=clean.pk).update(lost_claims=2)
    Host.objects.update(created_at=now - timedelta(hours=1))
    assert hosts.claim_overdue_shards(now, timedelta(), None, 3) == [
        (first.host_id, 0),
        (clean.host_id, 0),
        (far.host_id, 0),
    ]
    assert hosts.claim_due_shards(now) == []
    hosts.finish_shard(first.host_id, 0, now, now, 10.0, begun_at=now)
    assert [host_id for host_id, *_ in hosts.claim_due_shards(now)] == [second.host_id]


def test_what_was_paused_together_comes_back_apart() -> None:
    """Its pause is up to a quarter shorter, another for each, and never longer than it says."""
    shards = neighbours(4)
    now = db_now()
    CheckShard.objects.update(lost_claims=2, begun_at=now, lease_until=now)
    assert hosts.claim_due_shards(now) == []
    pauses = [(each.next_due_at - now).total_seconds() for each in hosts.deadly_shards() if each.next_due_at]
    assert len({round(pause) for pause in pauses}) == len(shards)
    assert all(45 <= pause <= 60 for pause in pauses)


def test_who_finishes_late_gives_back_what_it_has_lost_and_nothing_else() -> None:
    """Its claim ended and another took it up: that one's claim stands, and the slow one counts as no death."""
    (shard,) = neighbours(1)
    began = db_now()
    CheckShard.objects.update(begun_at=began, lease_until=began)
    later = began + timedelta(seconds=130)
    assert len(hosts.claim_due_shards(later)) == 1
    CheckShard.objects.update(begun_at=later)
    shard.refresh_from_db()
    assert shard.lost_claims == 1
    hosts.finish_shard(shard.host_id, 0, began, later, 10.0, begun_at=began)
    shard.refresh_from_db()
    assert (shard.lost_claims, shard.begun_at, shard.checked_at) == (0, later, None)
    assert shard.lease_until is not None
    hosts.finish_shard(shard.host_id, 0, later, later, 10.0, begun_at=later)
    shard.refresh_from_db()
    assert (shard.lease_until, shard.checked_at) == (None, later)


def test_heals_that_died_together_are_tried_apart(timeline: Timeline) -> None:
    """One process had both, twice: the third time each goes alone, so that one is set aside and not the other."""
    pair = [found(timeline, name) for name in ("web", "other")]
    for _ in range(2):
        assert [heals.claim(each.pk, Stage.DIAGNOSE, 60) is not None for each in pair] == [True, True]
        timeline._clock.shift(timedelta(seconds=61))
    assert len(heals.due(db_now())) == 1
    assert len(heals.overdue(db_now(), timedelta(), [], None, 8)) == 1
    assert heals.claim(pair[0].pk, Stage.DIAGNOSE, 60) is not None
    assert heals.claim(pair[1].pk, Stage.DIAGNOSE, 60) is None
    assert heals.due(db_now()) == heals.overdue(db_now(), timedelta(), [], None, 8) == []
    timeline._clock.shift(timedelta(seconds=61))
    assert heals.claim(pair[1].pk, Stage.DIAGNOSE, 60) is not None
    FailureRecord.objects.filter(pk=pair[1].pk).update(lease_until=None, lost_claims=0)
    stages.run(Stage.DIAGNOSE, pair[0].pk)
    assert [each.lifecycle for each in HealthStatus.objects.filter(lifecycle=Lifecycle.QUARANTINED)]
    assert DeadLetter.objects.get().body == f"[{pair[0].pk}]"


@pytest.fixture
def broken(timeline: Timeline, monkeypatch: pytest.MonkeyPatch) -> list[Exception]:
    """The exception with which each diagnosis ends."""
    errors: list[Exception] = []

    def breaks(*_: object) -> None:
        raise errors[0]

    monkeypatch.setattr(diagnosing, "gather", breaks)
    return errors


def try_all(timeline: Timeline, failures: list[FailureRecord], times: int) -> None:
    for _ in range(times):
        for each in failures:
            with suppress(KeyError, DatabaseError):
                stages.run(Stage.DIAGNOSE, each.pk)
        timeline._clock.shift(heals.BROKEN_PAUSE + timedelta(seconds=1))


def test_what_breaks_all_heals_quarantines_none(timeline: Timeline, broken: list[Exception]) -> None:
    """A broken plugin is told once, and over when no heal stands broken; nothing is set aside for it meanwhile."""
    broken.append(KeyError("plugin"))
    pair = [found(timeline, name) for name in ("web", "other")]
    try_all(timeline, pair, 6)
    assert DeadLetter.objects.count() == 0
    poison.tell_of_shards(db_now())
    told = Notification.objects.filter(alert_key="self:heals-break").order_by("created_at")
    assert [one.kind for one in told] == ["firing"]
    FailureRecord.objects.update(reason="")
    poison.tell_of_shards(db_now())
    assert [one.kind for one in told.all()] == ["firing", "resolved"]


def test_what_breaks_while_others_succeed_is_set_aside(timeline: Timeline, broken: list[Exception]) -> None:
    """A defect that two containers meet and the rest do not is these two's, and comes to an end."""
    broken.append(KeyError("these two"))
    pair = [found(timeline, name) for name in ("web", "other")]
    third = Container.objects.create(host=timeline.host, name="third", engine_id="3")
    healed = heals.open_failure(third, db_now())
    for _ in range(4):
        FailureRecord.objects.filter(pk=healed and healed.pk).update(
            resolved_at=db_now(), action_result=ActionResult.SUCCESS
        )
        try_all(timeline, pair, 1)
    assert DeadLetter.objects.count() == 2


def test_a_database_of_another_version_is_no_heals_fault(timeline: Timeline, broken: list[Exception]) -> None:
    """While code and schema differ, the only open heal is tried on and not set aside."""
    broken.append(ProgrammingError("no such column"))
    failure = found(timeline)
    try_all(timeline, [failure], 6)
    failure.refresh_from_db()
    assert (failure.resolved_at, failure.lost_claims) == (None, 0)
