"""Hosts with a queue of their own: where their work goes, and what is told when nobody takes it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest
import time_machine
from django.core.exceptions import ValidationError

from healing import eventchecks, tasks
from healing.core.types import FailureType, Health
from healing.effective import forget_book
from healing.engines.fake import FakeEngine, fake_engine
from healing.models import (
    CheckShard,
    Container,
    Dependency,
    FailureRecord,
    HealthStatus,
    Host,
    Stage,
    Trouble,
)
from healing.pipeline import unserved as unserved_stage
from healing.store import clock, heals, hosts, queues, worker_signs
from healing.watchers import Supervisor
from notifications.models import Notification

pytestmark = pytest.mark.django_db

_numbers = count()


@pytest.fixture(autouse=True)
def separate(settings: Any) -> None:
    """As in processes of their own."""
    settings.EMBEDDED = False


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """(task, queue) of every message."""
    messages: list[tuple[str, str]] = []

    def note(task: Any, *_: Any, queue: str, **__: Any) -> None:
        messages.append((task.name.rpartition(".")[2], queue))

    monkeypatch.setattr(tasks, "send", note)
    return messages


def _host(name: str, queue: str = "") -> Host:
    return Host.objects.create(name=name, engine_kind="fake", address=f"fake://{name}", queue=queue)


def _container(host: Host, name: str = "web") -> Container:
    return Container.objects.create(host=host, name=name, engine_id=name)


def _failure(container: Container, due: datetime, **fields: Any) -> FailureRecord:
    opened = heals.open_failure(
        container, due, failure_type=FailureType.HEALTH_CHECK_FAILED, error_message="it fails", **fields
    )
    assert opened is not None
    return opened


def test_work_goes_to_the_hosts_queue(sent: list[tuple[str, str]]) -> None:
    """Checks, heals and hints of a host with a queue go there; those of the others to the common queues."""
    common, near = _container(_host("common")), _container(_host("near", "rack-7"))
    for container in (common, near):
        _failure(container, clock.db_now() - timedelta(seconds=1))
    tasks.dispatch_checks()
    tasks.check_now([common.pk, near.pk], by_event=True)
    tasks.check_now([near.pk])
    assert sorted(sent) == sorted(
        [
            ("check_containers", "checks"),
            ("check_containers", "checks.rack-7"),
            ("diagnose", "heal"),
            ("diagnose", "heal.rack-7"),
            ("check_containers", "heal"),
            ("check_containers", "heal.rack-7"),
            ("check_containers", "checks.rack-7"),
        ]
    )


def test_one_process_serves_all(sent: list[tuple[str, str]], settings: Any) -> None:
    """Nobody else could take work from the broker inside a process."""
    settings.EMBEDDED = True
    _failure(_container(_host("near", "rack-7")), clock.db_now() - timedelta(seconds=1))
    tasks.dispatch_checks()
    assert sorted(sent) == [("check_containers", "checks"), ("diagnose", "heal")]


@pytest.mark.parametrize("name", ["Rack", "a b", "a.b", "ä", "a\n", "x" * 41])
def test_a_queue_has_a_strict_name(name: str) -> None:
    """A name that a command line or a broker could misread is refused where the host is saved by people."""
    with pytest.raises(ValidationError) as caught:
        Host(name="h", address="unix:///x", queue=name).full_clean()
    assert "queue" in caught.value.message_dict


def test_who_watches_which_host(settings: Any) -> None:
    """The common watcher leaves hosts with a queue to the watcher near them; in one process it takes all."""
    common, near = Host(name="common"), Host(name="near", queue="rack-7")

    def of(*arguments: Any) -> list[str]:
        supervisor = Supervisor(*arguments)
        return [host.name for host in (common, near) if supervisor._is_asked_for(host)]

    assert of(None) == ["common"]
    assert of(None, ["rack-7"]) == ["near"]
    assert of(None, ["rack-8"]) == []
    assert of(["near"]) == ["near"]
    settings.EMBEDDED = True
    assert of(None) == ["common", "near"]


class Time:
    """The dispatcher's ticks, a second apart; what is claimed is taken up only by `work`."""

    def __init__(self, clock: Any, begin: datetime) -> None:
        self.now, self._clock = begin, clock
        self.served: set[str] = set()
        self._work = worker_signs.Keeping()

    def run(self, seconds: int) -> None:
        for _ in range(seconds):
            self.now += timedelta(seconds=1)
            self._clock.move_to(self.now)
            for queue in self.served:
                self._work.serve(queue)
            self._work.write(self.now)
            unserved_stage.look_after(self.now)
            for host_id, number, _ in hosts.claim_due_shards(self.now):
                if self.served:
                    hosts.finish_shard(host_id, number, self.now, self.now, 10.0)


@pytest.fixture
def time() -> Any:
    begin = datetime.now(UTC)  # of this test: PostgreSQL's clock, which the tick asks, is not moved
    with time_machine.travel(begin, tick=False) as traveller:
        yield Time(traveller, begin)


def _told() -> list[tuple[str, str]]:
    return [(n.kind, n.title) for n in Notification.objects.order_by("created_at")]


def test_a_queue_without_a_worker_is_told_once(time: Time) -> None:
    """Within a minute: one trouble, one alert, containers unknown; and once when a worker takes from it."""
    container = _container(_host("near", "rack-7"))
    HealthStatus.objects.filter(pk=container.pk).update(status=Health.HEALTHY)
    time.run(60)
    assert [t.key for t in Trouble.objects.filter(resolved_at=None)] == ["queue:checks.rack-7"]
    assert _told() == [("firing", "No worker serves the queue checks.rack-7")]
    status = HealthStatus.objects.get(pk=container.pk)
    assert (status.status, status.message) == (
        Health.UNKNOWN,
        "could not look: no worker serves the queue checks.rack-7",
    )
    time.run(60)
    assert len(_told()) == 1
    time.served = {"checks.rack-7"}
    time.run(15)
    assert not Trouble.objects.filter(resolved_at=None).exists()
    assert [kind for kind, _ in _told()] == ["firing", "resolved"]
    time.served = set()
    time.run(15)
    assert len(_told()) == 2


def test_no_messages_pile_up_where_nobody_takes_them(time: Time, sent: list[tuple[str, str]]) -> None:
    """One message at a time finds out when a worker is back; an hour of all others would have to be thrown away first."""
    for number in range(5):
        _failure(_container(_host(f"near-{number}", "rack-7")), time.now)
    tasks.dispatch_checks()
    assert sent.count(("check_containers", "checks.rack-7")) == 5
    time.run(80)
    CheckShard.objects.update(lease_until=None)
    sent.clear()
    tasks.dispatch_checks()
    assert sorted(sent) == [("check_containers", "checks.rack-7"), ("diagnose", "heal.rack-7")]


def test_one_lost_message_is_no_trouble(time: Time) -> None:
    """A broker that was bounced has lost what waited; the next message is taken up, and nobody is told."""
    _host("near", "rack-7")
    for _ in range(3):
        time.served = set()
        time.run(20)
        time.served = {"checks.rack-7"}
        time.run(20)
    assert _told() == []


def test_heals_that_nobody_takes_are_told(time: Time) -> None:
    """Checks may be served while heals are not; the containers' health is known then, and stays."""
    container = _container(_host("common"))
    HealthStatus.objects.filter(pk=container.pk).update(status=Health.UNHEALTHY)
    _failure(container, time.now)
    time.served = {"checks"}
    time.run(50)
    assert _told() == []
    time.run(20)
    assert _told() == [("firing", "No worker serves the queue heal")]
    assert HealthStatus.objects.get(pk=container.pk).status == Health.UNHEALTHY


def test_a_queue_that_no_host_names_any_more(time: Time) -> None:
    """The trouble ends when the host goes back to the common workers, or is disabled."""
    host = _host("near", "rack-7")
    time.run(60)
    host.enabled = False
    host.save()
    time.run(1)
    assert [kind for kind, _ in _told()] == ["firing", "resolved"]


def test_what_was_finished_meanwhile_is_not_checked_again() -> None:
    """A message that waited while its shard was checked by another finds no claim."""
    host = _host("h")
    with worker_signs.held(host.pk, 0) as held:
        assert not held
    hosts.claim_due_shards(clock.db_now())
    with worker_signs.held(host.pk, 0) as held:
        assert held


def test_a_claim_is_renewed_while_it_is_held() -> None:
    """However long an engine hangs, one task asks it; and after a worker's death another soon may."""
    host, kept = _host("h"), worker_signs.Keeping()
    now = clock.db_now()
    assert hosts.claim_due_shards(now) == [(host.pk, 0, 0)]
    CheckShard.objects.update(begun_at=now)
    kept.hold((host.pk, 0, now))
    for seconds in range(4, 60, 4):
        kept.write(now + timedelta(seconds=seconds))
        assert hosts.claim_due_shards(now + timedelta(seconds=seconds + 3)) == []
    kept.release((host.pk, 0, now))
    later = now + timedelta(seconds=60)
    kept.write(later)
    assert hosts.claim_due_shards(later + timedelta(seconds=hosts.SHARD_LEASE)) == [(host.pk, 0, 0)]


def test_the_queues_of_failures_that_are_gone(sent: list[tuple[str, str]]) -> None:
    """A failure that was deleted meanwhile costs its own message and no other."""
    assert queues.of_failures([4711]) == {}
    tasks.send_next(heals.Next(Stage.DIAGNOSE, 4711))
    assert sent == [("diagnose", "heal")]


@dataclass
class _Across:
    """`db`, near queue a, works again, which its heal has yet to find; `app`, near queue b, waits for it."""

    back: FailureRecord
    woken: FailureRecord
    engine: FakeEngine
    """That of `app`."""


def _across(on_return: str = "hold") -> _Across:
    forget_book()
    number = next(_numbers)
    hosts_of = {queue: _host(f"across-{number}-{queue}", queue) for queue in ("a", "b")}
    engines = {queue: fake_engine(host.name) for queue, host in hosts_of.items()}
    engines["a"].add("db", healthcheck=True)
    engines["a"].make_healthy("db")
    database, app = _container(hosts_of["a"], "db"), _container(hosts_of["b"], "app")
    Dependency.objects.create(dependant=app, dependency=database, on_return=on_return)
    now = clock.db_now()
    woken = _failure(app, now, reason="held: waits for db")
    return _Across(_failure(database, now), woken, engines["b"])


@pytest.mark.parametrize("on_return", ["hold", "restart"])
def test_what_another_hosts_recovery_wakes_goes_to_its_own_queue(
    sent: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch, on_return: str
) -> None:
    """The address of its engine means another one where the recovery was found."""
    back = _across(on_return).back
    monkeypatch.setattr(tasks, "_queue_here", lambda: "heal.a")
    tasks.diagnose.run(back.pk)
    back.refresh_from_db()
    assert back.resolved_at is not None
    assert set(sent) == {("diagnose", "heal.b")}


def test_what_a_watchers_own_check_wakes_elsewhere_goes_there(
    sent: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of all that it finds, only what is on the host of the event is sent to that host's queue without asking."""
    across = _across()
    found = [
        heals.Next(Stage.VERIFY, across.back.pk),
        heals.Next(Stage.DIAGNOSE, across.woken.pk, elsewhere=True),
    ]
    monkeypatch.setattr(eventchecks.check, "check_some", lambda *_, **__: found)
    monkeypatch.setattr(eventchecks, "close_old_connections", lambda: None)  # it would close the test's own
    checks = eventchecks.EventChecks(threads=1)
    checks._run(across.back.container, clock.db_now())
    checks.stop()
    assert sent == [("verify", "heal.a"), ("diagnose", "heal.b")]


@pytest.mark.parametrize("queue", ["heal", "heal.a", "checks.a"])
def test_a_message_in_another_hosts_queue_is_left_to_the_tick(
    sent: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch, queue: str
) -> None:
    """A host may have been given another queue since it was sent: its engine is not asked from where it came."""
    across = _across()
    moved = across.woken
    monkeypatch.setattr(tasks, "_queue_here", lambda: queue)
    tasks.diagnose.run(moved.pk)
    moved.refresh_from_db()
    assert (moved.lease_until, moved.stage, moved.resolved_at) == (None, Stage.DIAGNOSE, None)
    assert [following.failure_id for following in heals.due(clock.db_now())].count(moved.pk) == 1
    assert across.engine.calls == []
    assert sent == []
    monkeypatch.setattr(tasks, "_queue_here", lambda: "heal.b")
    tasks.diagnose.run(moved.pk)
    assert across.engine.calls != []


def test_the_heal_of_a_disabled_host_is_ended_wherever_its_message_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No engine is asked for that, and near its own there may be no worker left."""
    left = _across().woken
    Host.objects.update(enabled=False)
    monkeypatch.setattr(tasks, "_queue_here", lambda: "heal")
    tasks.diagnose.run(left.pk)
    left.refresh_from_db()
    assert left.resolved_at is not None
