"""One engine, one Redis and one PostgreSQL for a whole test run, found by their addresses in the environment."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from tests.testbed.engine import docker_engine
from tests.testbed.services import postgres_server, redis_server

DOCKER, REDIS, POSTGRES = "SELFHEAL_TEST_DOCKER_HOST", "SELFHEAL_TEST_REDIS_URL", "SELFHEAL_TEST_POSTGRES_URL"


@contextmanager
def shared_docker() -> Iterator[str]:
    """The DOCKER_HOST of the run's engine: the one in the environment, or a private one."""
    if address := os.environ.get(DOCKER):
        yield address
        return
    with docker_engine("engine") as engine:
        yield engine.host


@contextmanager
def shared_redis() -> Iterator[str]:
    """The URL of the run's Redis: the one in the environment, or a private one."""
    if address := os.environ.get(REDIS):
        yield address
        return
    with redis_server() as server:
        yield server.url


@contextmanager
def shared_postgres() -> Iterator[str]:
    """The URL of the run's PostgreSQL: the one in the environment, or a private one."""
    if address := os.environ.get(POSTGRES):
        yield address
        return
    with postgres_server() as server:
        yield server.url


@contextmanager
def shared_services() -> Iterator[dict[str, str]]:
    """All three, as the environment variables by which a pytest started under it finds them."""
    with ExitStack() as stack:
        yield {
            DOCKER: stack.enter_context(shared_docker()),
            REDIS: stack.enter_context(shared_redis()),
            POSTGRES: stack.enter_context(shared_postgres()),
        }
