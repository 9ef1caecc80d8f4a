"""Engines and containers that are silent, and overload: what cannot be looked at keeps nothing else from being looked at."""

from __future__ import annotations

from datetime import timedelta
from unittest import mock

import pytest

from healing.core.errors import EngineUnreachable
from healing.core.types import ExecResult, Lifecycle, Snapshot
from healing.core.window import Window
from healing.engines.fake import FakeEngine, Outcome
from healing.models import Attempt, AttemptState, Container, FailureRecord, HealthStatus, Host, Overload
from healing.store import heals
from notifications.models import Notification
from tests.integration.loop.timeline import Timeline

LABELS = {"selfheal.enable": "true", "selfheal.check_interval": "10"}
PROBED = {**LABELS, "selfheal.probe.x": "exec:ok", "selfheal.failure_threshold": "2"}
BROKEN, WELL = ExecResult(1, "broken"), ExecResult(0, "")

pytestmark = pytest.mark.django_db


def health(name: str) -> HealthStatus:
    return HealthStatus.objects.get(container__name=name)


def probed(timeline: Timeline, name: str, **labels: str) -> None:
    """A container whose probe passes."""
    timeline.fake.add(name, labels=PROBED | labels)
    timeline.fake.answer_exec(name, ("ok",), WELL)


def silent(timeline: Timeline, names: set[str], seconds: float) -> mock._patch[object]:
    """Inspections of these containers take so long and bring nothing; the fake's own script has no such fault."""
    answer = FakeEngine.inspect
    ids = {row.id for row in timeline.fake.list() if row.name in names}

    def inspect(self: FakeEngine, container_id: str) -> Snapshot:
        if container_id in ids | names:
            timeline._clock.shift(timedelta(seconds=seconds))
            raise EngineUnreachable("no answer in time")
        return answer(self, container_id)

    return mock.patch.object(FakeEngine, "inspect", inspect)


@pytest.mark.parametrize(("hung", "interval"), [(2, 10), (1, 5), (2, 5)])
def test_a_hung_container_keeps_no_other_from_its_checks(
    timeline: Timeline, hung: int, interval: int
) -> None:
    """Inspections that take a whole interval must not put off the rest of the host, in each sweep anew."""
    stuck = {f"stuck-{number}" for number in range(hung)}
    for name in stuck:
        timeline.fake.add(name, labels={**LABELS, "selfheal.check_interval": str(interval)})
    timeline.fake.add("plain", labels={**LABELS, "selfheal.priority": "non-critical"})
    probed(timeline, "probed")
    timeline.watch()
    timeline.run(60)
    timeline.look_away()
    timeline.at(70, lambda: timeline.fake.exit("plain", 1))
    timeline.at(71, lambda: timeline.fake.answer_exec("probed", ("ok",), BROKEN))
    with silent(timeline, stuck, 10.2):
        HealthStatus.objects.filter(container__name__in=stuck).update(status="unknown")
        timeline.run(240)
    found = set(FailureRecord.objects.filter(is_found=True).values_list("container_name", flat=True))
    assert found == {"plain", "probed"}


def test_what_has_recovered_is_not_restarted_because_of_overload(timeline: Timeline) -> None:
    """An open failure is looked at also when checks of its rank are put off."""
    timeline.fake.add("boss", labels={**LABELS, "selfheal.priority": "critical"})
    probed(timeline, "web")
    timeline.watch()
    timeline.run(60)
    timeline.fake.answer_exec("web", ("ok",), BROKEN)
    with mock.patch.object(Window, "has_room", return_value=False):
        timeline.run(35)
        assert FailureRecord.objects.filter(container_name="web").exists()
        timeline.fake.answer_exec("web", ("ok",), WELL)
        now = timeline.now
        Overload.objects.create(
            queue="", level=2, measured_at=now, calm_since=now, raised_at=now, hold=600, told_at=now
        )
        timeline.run(120)
    timeline.run(10)
    assert timeline.calls_of("web") == []


def test_a_second_attempt_that_cannot_be_verified_keeps_no_other_from_its_own(timeline: Timeline) -> None:
    """The one slot for later attempts is not held for ever by a container whose inspection hangs."""
    for name in ("stuck", "other"):
        timeline.fake.add(name, labels=LABELS)
        timeline.fake.after_starts(name, Outcome("exit", 2.0, 1))
    timeline.watch()
    timeline.run(20)
    timeline.fake.exit("stuck", 1)
    for _ in range(400):
        last = Attempt.objects.filter(container__name="stuck").order_by("-number").first()
        if last is not None and last.row_number > 1 and last.state == AttemptState.VERIFYING:
            break
        timeline.run(0.5)
    with silent(timeline, {"stuck"}, 0.0):
        timeline.fake.exit("other", 1)
        timeline.run(600)
    assert Attempt.objects.filter(container__name="other").count() > 1


def test_an_engine_that_lists_and_does_not_inspect_is_lost_once(timeline: Timeline) -> None:
    """It is not told as back, and as lost again, with each sweep."""
    for name in ("a", "b", "c", "d"):
        timeline.fake.add(name, labels=LABELS)
    timeline.watch()
    timeline.run(60)
    before = Notification.objects.count()
    HealthStatus.objects.exclude(container__name="d").update(status="unhealthy", next_check_at=timeline.now)
    with silent(timeline, {"a", "b", "c"}, 0.05):
        timeline.run(600)
    assert Notification.objects.count() - before <= 2


def test_a_job_that_was_started_and_failed_in_a_gap_of_events_is_found(timeline: Timeline) -> None:
    """The list says `exited` as before, and with which code: it is another end than the one that is known."""
    timeline.fake.add("job", labels=LABELS)
    timeline.watch()
    timeline.run(20)
    timeline.fake.exit("job", 0)
    timeline.run(20)
    assert health("job").lifecycle == Lifecycle.FINISHED
    timeline.lose_the_engine()
    timeline.run(20)
    timeline.fake.start_by_hand("job")
    timeline.run(15)
    timeline.fake.exit("job", 1)
    timeline.find_the_engine(events_lost=True)
    timeline.run(300)
    assert FailureRecord.objects.exists()


def test_what_is_at_rest_keeps_its_message_through_an_outage(timeline: Timeline) -> None:
    """Nobody looks at a stopped container again, so nobody would take `could not look` off it."""
    timeline.fake.add("job", labels=LABELS)
    timeline.watch()
    timeline.run(20)
    timeline.fake.stop_by_hand("job")
    timeline.run(20)
    timeline.lose_the_engine()
    timeline.run(60)
    timeline.find_the_engine(events_lost=False)
    timeline.run(60)
    assert health("job").lifecycle == Lifecycle.STOPPED_BY_HAND
    assert "could not look" not in health("job").message


def test_a_queue_without_workers_keeps_no_heal_of_others_waiting(timeline: Timeline) -> None:
    """Its heals are the oldest, and would be all that a tick sends; one of them is enough to find out who is back."""
    far = Host.objects.create(name="far", engine_kind="fake", address="fake://far", queue="far")
    Container.objects.bulk_create(Container(host=far, name=f"c{n}", engine_id=f"e{n}") for n in range(6))
    near = Container.objects.create(host=timeline.host, name="web", engine_id="x")
    for number, container in enumerate([*Container.objects.filter(host=far), near]):
        FailureRecord.objects.create(
            container=container,
            container_name=container.name,
            failure_type="container_error",
            detected_at=timeline.now,
            due_at=timeline.now - timedelta(seconds=100 - number),
        )
    names = [
        FailureRecord.objects.get(pk=following.failure_id).container_name
        for following in heals.due(timeline.now, limit=5, unserved=["far"])
    ]
    assert names == ["web", "c0"]
