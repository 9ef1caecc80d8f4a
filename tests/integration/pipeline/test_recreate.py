"""A container whose network parent was replaced is made anew against the new one: once, guarded, and verified."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from unittest import mock

import pytest
from django.utils import timezone

from healing import tasks
from healing.core.errors import ActionFailed
from healing.core.types import Snapshot
from healing.engines.fake import FakeEngine
from healing.models import Attempt, Container, Dependency, FailureRecord, Host, Stage
from healing.pipeline import check, diagnosing, restarting
from healing.registration.engine import Selection, register_from_engine
from healing.registration.learning import learn_host
from healing.registration.watching import register_started
from healing.store import heals, own_calls
from notifications.models import Notification
from tests.integration.loop.timeline import Timeline

pytestmark = pytest.mark.django_db

LABELS = {"selfheal.enable": "true", "selfheal.check_interval": "10"}


@pytest.fixture
def timeline(db: None) -> Iterator[Timeline]:
    with Timeline() as made:
        vpn = made.fake.add("vpn", labels=LABELS, healthcheck=True)
        made.fake.add("app", labels=LABELS, healthcheck=True, network_mode=f"container:{vpn}")
        made.watch()
        made.run(60)
        yield made


def records() -> list[str]:
    rows = FailureRecord.objects.filter(container_name="app").order_by("pk")
    return [f"{row.failure_type} / {row.action} / {row.action_result}" for row in rows]


def recreates(timeline: Timeline) -> int:
    return sum(call.method == "recreate" for call in timeline.fake.calls)


def replace_the_parent(timeline: Timeline) -> str:
    """Somebody replaces the parent; its dependant loses the network, and shows so."""
    made = timeline.fake.recreate_by_hand("vpn")
    timeline.run(1)
    timeline.fake.make_unhealthy("app")
    return made


def test_an_edge_by_hand_hides_no_shared_network(timeline: Timeline) -> None:
    """Written before the network was shared, it still leads to the parent that was replaced."""
    Dependency.objects.update(origin="manual", on_return="nothing")
    learn_host(timeline.host.pk)
    parent = replace_the_parent(timeline)
    timeline.run(30)
    assert timeline.fake.inspect("app").network_mode == f"container:{parent}"
    assert list(Dependency.objects.values_list("origin", "on_return")) == [("both", "nothing")]


def test_it_is_recreated_against_the_new_parent(timeline: Timeline) -> None:
    """The row follows the new id; the record, the attempt and the alert say what was done."""
    before = Container.objects.get(name="app")
    parent = replace_the_parent(timeline)
    timeline.run(30)
    assert records() == ["container_error / recreate / success", "auto_restart / recreate / success"]
    after = Container.objects.get(name="app")
    snapshot = timeline.fake.inspect("app")
    assert (after.pk, after.engine_id) == (before.pk, snapshot.id)
    assert snapshot.id != before.engine_id
    assert snapshot.network_mode == f"container:{parent}"
    assert recreates(timeline) == 1
    assert timeline.calls_of("app") == []
    failure = FailureRecord.objects.get(container_name="app", is_found=True)
    assert failure.cause == "network parent replaced"
    told = dict(Notification.objects.filter(container="app").values_list("level", "title"))
    assert told == {
        "warning": "app was recreated: network parent replaced",
        "info": "app is healthy again",
    }
    assert {container.name for container in timeline.fake.list()} == {"vpn", "app"}
    assert Dependency.objects.get().origin == "network"


def leave_old_one_over(timeline: Timeline) -> None:
    """As a worker leaves it that dies between the successor's start and the old one's removal."""
    timeline.look_away()
    timeline.fake.add("app.selfheal-old", labels=LABELS)
    timeline.fake.stop_by_hand("app.selfheal-old")


def test_what_a_recreate_has_left_over_is_not_supervised_in_its_successors_place(timeline: Timeline) -> None:
    """When the watcher connects, when all are registered by command, and when it is started: the row is the successor's."""
    replace_the_parent(timeline)
    timeline.run(30)
    leave_old_one_over(timeline)
    is_its_own = Container.objects.filter(name="app", engine_id=timeline.fake.inspect("app").id)
    timeline.watch()
    assert is_its_own.exists()
    register_from_engine(timeline.host, timeline.fake, Selection(all=True))
    assert is_its_own.exists()
    Container.objects.filter(name="app").delete()
    timeline.fake.start_by_hand("app.selfheal-old")
    assert register_started(timeline.host, timeline.fake, timeline.fake.happened[-1]) is None
    assert set(Container.objects.values_list("name", flat=True)) == {"vpn"}


def test_what_is_left_over_alone_is_supervised_under_its_lasting_name(timeline: Timeline) -> None:
    """Without a successor it is the container itself: the next recreate gives it its name again."""
    timeline.fake.rename("app", "app.selfheal-old")
    Container.objects.filter(name="app").delete()
    timeline.watch()
    assert Container.objects.filter(name="app").exists()


def test_flower_shows_it_by_name() -> None:
    """The stage in restart's place is a task of its own."""
    assert tasks._STAGES[Stage.RECREATE].name == "healing.tasks.recreate"


def test_a_recreate_without_an_answer_is_verified_and_not_repeated(timeline: Timeline) -> None:
    """It has worked although nobody heard: the container of that name is the new one."""
    replace_the_parent(timeline)
    timeline.fake.hang_next_action(succeeds=True)
    timeline.run(60)
    assert records() == ["container_error / recreate / success", "auto_restart / recreate / success"]
    assert recreates(timeline) == 1
    assert Container.objects.get(name="app").engine_id == timeline.fake.inspect("app").id


def test_a_refused_recreate_is_tried_again_after_back_off(timeline: Timeline) -> None:
    """The engine's answer is on record; the next attempt heals."""
    replace_the_parent(timeline)
    timeline.fake.refuse_next_action(ActionFailed("the engine answered 500: driver failed"))
    timeline.run(60)
    assert records() == [
        "container_error / recreate / success",
        "restart_failed / recreate / failed",
        "auto_restart / recreate / success",
    ]
    assert [row.state for row in Attempt.objects.order_by("number")] == ["failed", "succeeded"]
    titles = Notification.objects.filter(container="app").values_list("title", flat=True)
    assert "app could not be recreated" in titles


@pytest.mark.parametrize("is_watched", [False, True])
@pytest.mark.parametrize("method", ["recreate", "restart"])
def test_what_a_refused_call_has_stopped_is_not_taken_for_stopped_by_hand(
    timeline: Timeline, method: str, is_watched: bool
) -> None:
    """Looked at in its back-off, with or without the engine's events: the heal goes on, and the next attempt heals."""
    if method == "recreate":
        timeline.fake.recreate_by_hand("vpn")
    if not is_watched:
        timeline.look_away()
        Host.objects.update(stream_since=None)
    timeline.fake.make_unhealthy("app")

    def stops_and_refuses(engine: FakeEngine, container_id: str, *_: object) -> None:
        with engine._world.changed:
            container = engine._world.find(container_id)
            if container.is_running:
                container.stop_signal = "SIGQUIT"  # exit code 0, as a job that has come to its end
                engine._world.stop(container, 1)
        timeline._clock.shift(0.2)
        raise ActionFailed("the engine answered 409: it cannot be started again")

    with mock.patch.object(FakeEngine, method, stops_and_refuses):
        timeline.run(20)
    app = Container.objects.get(name="app")
    check.check_some(timeline.host.pk, [app.pk], by_event=False)
    check.check_some(timeline.host.pk, [app.pk], by_event=False)
    timeline.run(120)
    failure = FailureRecord.objects.get(container_name="app", is_found=True)
    assert (failure.action_result, failure.in_success_rate) == ("success", True)
    assert timeline.fake.inspect("app").is_running
    assert not Notification.objects.filter(title__contains="left alone").exists()


def test_a_parent_without_a_successor_is_told_and_left(timeline: Timeline) -> None:
    """Nothing is known to share instead, and a restart would fail."""
    timeline.fake.remove("vpn")
    timeline.run(1)
    timeline.fake.make_unhealthy("app")
    timeline.run(60)
    assert records() == ["container_error / alert / success"]
    assert recreates(timeline) == 0
    assert timeline.calls_of("app") == []


def called_by_the_dead(timeline: Timeline) -> Attempt:
    """An attempt whose worker has died after it had noted that it calls the engine."""
    timeline.look_away()
    timeline.fake.recreate_by_hand("vpn")
    timeline.fake.make_unhealthy("app")
    app = Container.objects.get(name="app")
    found = check.check_some(timeline.host.pk, [app.pk], by_event=True)
    diagnosing.run(found[0].failure_id)
    attempt = Attempt.objects.get()
    assert (attempt.action, attempt.failure.stage) == ("recreate", "recreate")
    Attempt.objects.filter(pk=attempt.pk).update(state="called", called_at=timezone.now())
    heals.claim(attempt.failure_id, Stage.RECREATE, 1.0)
    FailureRecord.objects.filter(pk=attempt.failure_id).update(
        lease_until=timezone.now() - timedelta(seconds=1)
    )
    return attempt


def test_its_own_kill_is_not_taken_for_a_persons_however_late_it_comes(timeline: Timeline) -> None:
    """A recreate inspects, makes and connects the successor before it stops anything: its whole deadline is its own."""
    attempt = called_by_the_dead(timeline)
    attempt.refresh_from_db()
    assert attempt.called_at is not None
    killed_at = attempt.called_at + timedelta(seconds=attempt.stop_timeout + 12)
    assert own_calls.our_call_covers(attempt.container_id, killed_at)
    assert not own_calls.our_call_covers(attempt.container_id, killed_at + timedelta(seconds=10))
    Attempt.objects.update(action="restart")
    assert not own_calls.our_call_covers(attempt.container_id, killed_at)


def test_a_recreate_whose_worker_died_after_it_is_verified(timeline: Timeline) -> None:
    """The container of that name has been started anew: nothing is called again."""
    attempt = called_by_the_dead(timeline)
    parent = timeline.fake.inspect("vpn").id
    timeline.fake.recreate("app", f"container:{parent}", 1, 10)
    following = restarting.recreate(attempt.failure_id)
    assert following is not None
    assert following.stage is Stage.VERIFY
    assert recreates(timeline) == 1


def test_a_recreate_whose_worker_died_before_it_is_decided_anew(timeline: Timeline) -> None:
    """The old container is still there: this attempt has failed, and the next makes the call."""
    attempt = called_by_the_dead(timeline)
    following = restarting.recreate(attempt.failure_id)
    attempt.refresh_from_db()
    assert attempt.state == "failed"
    assert following is not None
    assert following.stage is Stage.DIAGNOSE
    assert recreates(timeline) == 0
    timeline.watch()
    timeline.run(60)
    assert records()[0] == "container_error / recreate / success"
    assert recreates(timeline) == 1


def test_a_slow_engine_costs_a_recreate_no_claim(timeline: Timeline) -> None:
    """Three inspections go before it: another worker that took it over meanwhile would count as a death of this one."""
    replace_the_parent(timeline)
    web = Container.objects.get(name="app")
    (found,) = check.check_some(timeline.host.pk, [web.pk], by_event=True)
    diagnosing.run(found.failure_id)
    inspect, taken = FakeEngine.inspect, []

    def slowly(engine: FakeEngine, container_id: str) -> Snapshot:
        timeline._clock.shift(timedelta(seconds=9))
        taken.append(heals.claim(found.failure_id, Stage.RECREATE, 60.0))
        return inspect(engine, container_id)

    with mock.patch.object(FakeEngine, "inspect", slowly):
        restarting.recreate(found.failure_id)
    assert len(taken) >= 3
    assert not any(taken)
    assert recreates(timeline) == 1
