"""Probes with intervals of their own, against a real HTTP server, the fake engine and the real database."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from healing import tasks
from healing.effective import config_book, forget_book
from healing.engines.fake import FakeEngine, fake_engine
from healing.models import CheckShard, ConfigCeiling, Container, FailureRecord, HealthStatus, Host, Stage
from healing.pipeline import closely, closely_members
from healing.registration.adoption import adopt
from healing.store import closely as store
from healing.store.clock import db_now

pytestmark = pytest.mark.django_db
LONG = 20.0
_numbers = itertools.count()


class Service:
    """A real HTTP server that works, or answers 500, as it is told."""

    def __init__(self) -> None:
        self.works = True
        self.answers: list[int] = []
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status = 200 if service.works else 500
                service.answers.append(status)
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class Enough(Exception):
    """What the test waited for has happened."""


def new_engine() -> FakeEngine:
    """An engine whose containers have been up for long: its clock is behind."""
    return fake_engine(f"closely-{next(_numbers)}", lambda: timezone.now() - timedelta(minutes=1))


@pytest.fixture
def service() -> Iterator[Service]:
    made = Service()
    yield made
    made.close()


@pytest.fixture
def fake() -> Iterator[FakeEngine]:
    forget_book()
    yield new_engine()
    forget_book()


def register(fake: FakeEngine, service: Service, name: str = "web", **labels: str) -> Container:
    """A healthy container whose probe `web` asks the service every 0.1 s, while it is checked every hour."""
    written = {
        "selfheal.enable": "true",
        "selfheal.check_interval": "3600",
        "selfheal.auto_restart": "false",
        "selfheal.probe.web": f"http://:{service.port}/",
        "selfheal.probe.web.interval": "0.1",
    }
    fake.add(name, labels=written | labels, addresses=("127.0.0.1",))
    address = f"fake://{fake.info().name}"
    host, _ = Host.objects.get_or_create(name=address, engine_kind="fake", address=address)
    container = adopt(host, fake.inspect(name), "a test")
    tasks.check_containers.run(host.pk, container_ids=[container.pk], with_probes=True)
    service.answers.clear()
    return container


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Any]]:
    """Messages are worked off at once where they are sent, but those that begin a run, which are only noted."""
    found: list[tuple[str, Any]] = []

    def send(
        task: Any, *args: Any, queue: str, expires: float | None = None, priority: int = 1, **kwargs: Any
    ) -> None:
        found.append((task.name.rpartition(".")[2], args))
        if task is not tasks.probe_closely:
            task.run(*args, **kwargs)

    monkeypatch.setattr(tasks, "send", send)
    return found


def loop(monkeypatch: pytest.MonkeyPatch, host_id: int, until: Any, counts: Any = ()) -> None:
    """Run until a check has been made after which `until` holds; fail where the run ends before."""
    monkeypatch.setattr(store, "RUN", LONG)

    def check(host_id: int, container_ids: Any, counted: int) -> None:
        tasks._check_probed(host_id, container_ids, counted)
        if until():
            raise Enough

    store.ensure(host_id)
    with pytest.raises(Enough):
        closely.run(host_id, closely.Outward(check, tasks._probe_on), counts)
    CheckShard.objects.filter(number=store.CLOSELY).update(checked_at=None, lease_until=None)


def status(container: Container) -> HealthStatus:
    return HealthStatus.objects.get(pk=container.pk)


def test_a_failure_is_found_within_threshold_and_interval(
    fake: FakeEngine, service: Service, sent: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three failures at 0.1 s and one check find it, an hour before the next check would; and so its end."""
    container = register(fake, service)
    threading.Timer(0.3, setattr, (service, "works", False)).start()
    loop(monkeypatch, container.host_id, FailureRecord.objects.exists)
    assert 4 <= service.answers.count(500) <= 6
    assert (status(container).status, status(container).consecutive_failures) == ("unhealthy", 3)
    failure = FailureRecord.objects.get()
    assert (failure.failure_type, failure.stage) == ("health_check_failed", Stage.OBSERVE)
    service.works = True
    known = [(container.pk, "web", 3)]
    loop(monkeypatch, container.host_id, lambda: FailureRecord.objects.get().resolved_at, known)
    assert status(container).status == "healthy"
    assert FailureRecord.objects.get().action_result == "success"


def test_rounds_without_news_cost_no_statement(
    fake: FakeEngine, service: Service, sent: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run reads and writes a fixed number of times, however often its probes ask, and hands over."""
    container = register(fake, service)
    store.ensure(container.host_id)
    monkeypatch.setattr(store, "RUN", 1.5)
    before = status(container).version
    with CaptureQueriesContext(connection) as queries:
        tasks.probe_closely.run(container.host_id)
    assert len(service.answers) >= 4
    writes = [q["sql"] for q in queries if not q["sql"].startswith("SELECT") and "SAVEPOINT" not in q["sql"]]
    assert len(queries) <= 10
    assert len(writes) == 2
    assert all("healing_checkshard" in sql for sql in writes)
    assert status(container).version == before
    assert sent == [("probe_closely", (container.host_id, []))]


def test_a_blip_calls_for_nothing_and_is_carried_on(
    fake: FakeEngine, service: Service, sent: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fewer failures than the threshold are handed to the next run, which goes on counting from there."""
    container = register(fake, service, **{"selfheal.failure_threshold": "1000"})
    store.ensure(container.host_id)
    service.works = False
    monkeypatch.setattr(store, "RUN", 1.5)
    tasks.probe_closely.run(container.host_id)
    ((_, (_, counts)),) = sent
    (pk, probe, failures) = counts[0]
    assert (pk, probe) == (container.pk, "web")
    assert 0 < failures < 1000
    assert status(container).consecutive_failures == 0
    loop(monkeypatch, container.host_id, FailureRecord.objects.exists, [(pk, probe, 998)])
    assert status(container).consecutive_failures == 1000


def test_one_loop_for_a_host_however_often_it_is_sent(
    fake: FakeEngine, service: Service, sent: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sweep has the tick start it once; a repeated message finds it taken; two dispatchers start one."""
    container = register(fake, service)
    assert not CheckShard.objects.filter(number=store.CLOSELY).exists()
    HealthStatus.objects.update(next_check_at=None)
    tasks.dispatch_checks.run()
    assert CheckShard.objects.filter(host=container.host_id, number=store.CLOSELY).exists()
    tasks.dispatch_checks.run()
    tasks.dispatch_checks.run()
    assert [name for name, _ in sent].count("probe_closely") == 1
    assert store.begin(container.host_id, db_now())
    service.answers.clear()
    tasks.probe_closely.run(container.host_id)
    assert service.answers == []


def test_hosts_share_the_loop_of_their_process(
    fake: FakeEngine, service: Service, sent: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second host takes no second worker: its run joins the loop that is there, and its failure is found too."""
    first = register(fake, service)
    other_service, other_fake = Service(), new_engine()
    second = register(other_fake, other_service, "db")
    service.works = other_service.works = False
    for container in (first, second):
        store.ensure(container.host_id)
    failing = FailureRecord.objects.filter(is_found=True)

    def join() -> bool:
        began = time.monotonic()
        tasks.probe_closely.run(second.host_id)
        assert time.monotonic() - began < LONG / 2
        return failing.count() == 2

    try:
        loop(monkeypatch, first.host_id, join)
    finally:
        other_service.close()
    assert {failure.container_id for failure in failing} == {first.pk, second.pk}


def test_a_ceiling_limits_the_intervals_of_probes(
    fake: FakeEngine, service: Service, sent: list[Any]
) -> None:
    """Who may label a container cannot have it asked ten times a second where an administrator says no."""
    container = register(fake, service)
    assert [spec.interval for spec in config_book().probes(container)] == [0.1]
    ConfigCeiling.objects.create(field="check_interval", minimum=2)
    assert [spec.interval for spec in config_book().probes(container)] == [2]


def test_only_who_is_awake_and_not_paused_is_probed(
    fake: FakeEngine, service: Service, sent: list[Any]
) -> None:
    """Paused, stopped by hand and no longer supervised: nothing is asked; without such probes the loop's row goes."""
    container = register(fake, service)

    def members() -> list[int]:
        return list(closely_members.members([container.host_id], config_book(), timezone.now()))

    assert members() == [container.pk]
    HealthStatus.objects.update(lifecycle="stopped_by_hand")
    assert members() == []
    HealthStatus.objects.update(lifecycle="running")
    container.paused_until = timezone.now() + timedelta(hours=1)
    container.save()
    assert members() == []
    store.ensure(container.host_id)
    shard = CheckShard.objects.filter(number=store.CLOSELY)
    tasks.probe_closely.run(container.host_id)
    assert shard.get().lease_until is None
    container.monitored = False
    container.save()
    tasks.probe_closely.run(container.host_id)
    assert not shard.exists()
    assert sent == []
    assert service.answers == []
