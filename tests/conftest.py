"""Fixtures that every test may use: private services, containers removed with their test, empty databases."""

from __future__ import annotations

import contextlib
import importlib
import itertools
import os
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, ExitStack
from typing import TypeVar

import hypothesis
import pytest
import redis
from django.apps import apps
from pytest_django.plugin import blocking_manager_key

from tests.testbed.containers import Containers
from tests.testbed.engine import Engine, docker_engine
from tests.testbed.paths import IN_CI, ServiceMissingError
from tests.testbed.services import RedisServer, fresh_database, redis_server
from tests.testbed.shared import shared_docker, shared_postgres, shared_redis, shared_services

T = TypeVar("T")
_DATABASES_PER_WORKER = 100
_counter = itertools.count()

# The same examples in every run: a failure in CI is a failure here.
hypothesis.settings.register_profile(
    "selfheal", derandomize=True, deadline=None, database=None, print_blob=True
)
hypothesis.settings.load_profile("selfheal")


def pytest_configure(config: pytest.Config) -> None:
    """With xdist, start the services once in its controller; the workers find them in their environment."""
    if hasattr(config, "workerinput") or not getattr(config.option, "numprocesses", None):
        return
    stack = ExitStack()
    config.add_cleanup(stack.close)
    with contextlib.suppress(ServiceMissingError):  # each fixture says it again, and skips or fails
        os.environ.update(stack.enter_context(shared_services()))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """In CI a skipped test is a failed one."""
    report = yield
    if IN_CI and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome, report.longrepr = "failed", f"skipped in CI: {item.nodeid}: {report.longrepr}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> Iterator[None]:
    """A test that commits empties the database behind it: put back what migrations had filled in."""
    result = yield
    if nextitem is None:
        return result
    marker = item.get_closest_marker("django_db")
    commits = "transactional_db" in getattr(item, "fixturenames", ()) or "live_server" in getattr(
        item, "fixturenames", ()
    )
    if commits or (marker is not None and marker.kwargs.get("transaction")):
        with item.config.stash[blocking_manager_key].unblock():
            for module in ("healing.migrations.0002_profiles", "notifications.migrations.0002_log_channel"):
                importlib.import_module(module).create(apps, None)
    return result


@contextlib.contextmanager
def _available(service: Callable[[], AbstractContextManager[T]]) -> Iterator[T]:
    """Enter a service; where it is missing, skip, but fail in CI."""
    with ExitStack() as stack:
        try:
            value = stack.enter_context(service())
        except ServiceMissingError as error:
            if IN_CI:
                pytest.fail(str(error))
            pytest.skip(str(error))
        yield value


@pytest.fixture(scope="session")
def docker_host() -> Iterator[str]:
    """DOCKER_HOST of the engine that all tests share; use names of your own, and never count all its containers."""
    with _available(shared_docker) as host:
        yield host


@pytest.fixture
def containers(docker_host: str) -> Iterator[Containers]:
    """Starts containers on the shared engine under a prefix of this test; all are removed after it."""
    made = Containers(docker_host)
    try:
        yield made
    finally:
        made.remove_all()


@pytest.fixture
def own_engine() -> Iterator[Engine]:
    """An engine of this test alone, with bridge networking: to stop, kill, pause, or count everything on it."""
    with _available(lambda: docker_engine("own")) as engine:
        yield engine


@pytest.fixture
def own_containers(own_engine: Engine) -> Iterator[Containers]:
    """Containers on `own_engine`."""
    made = Containers(own_engine.host)
    try:
        yield made
    finally:
        made.remove_all()


@pytest.fixture(scope="session")
def redis_address() -> Iterator[str]:
    """URL of the Redis that all tests share."""
    with _available(shared_redis) as url:
        yield url


@pytest.fixture
def redis_url(redis_address: str) -> Iterator[str]:
    """URL of an empty Redis database that no test running at this moment shares."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    wanted = 1 + worker * _DATABASES_PER_WORKER + next(_counter) % _DATABASES_PER_WORKER
    with redis.Redis.from_url(redis_address) as client:
        number = wanted % int(client.config_get("databases")["databases"])
    url = f"{redis_address.rpartition('/')[0]}/{number}"
    with redis.Redis.from_url(url) as client:
        client.flushdb()
        yield url
        client.flushdb()


@pytest.fixture
def own_redis() -> Iterator[RedisServer]:
    """A Redis of this test alone: to stop, kill or pause."""
    with _available(redis_server) as server:
        yield server


@pytest.fixture(scope="session")
def postgres_address() -> Iterator[str]:
    """URL of the PostgreSQL server that all tests share (its maintenance database)."""
    with _available(shared_postgres) as url:
        yield url


@pytest.fixture
def postgres_url(postgres_address: str) -> Iterator[str]:
    """URL of a new, empty PostgreSQL database, dropped after the test."""
    with fresh_database(postgres_address) as url:
        yield url
