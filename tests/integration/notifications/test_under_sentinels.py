"""A broker under Sentinels: channels may not call its servers, and all workers count a channel's limit in its master."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import redis
from limits import RateLimitItemPerSecond
from limits.storage import RedisSentinelStorage
from limits.strategies import MovingWindowRateLimiter

from notifications import limiting
from notifications.channels import sentinels as asked
from notifications.channels.stores import stores_of
from selfheal_project import env
from tests.testbed.sentinels import Sentinels, sentinels


@pytest.fixture(scope="module")
def group() -> Iterator[Sentinels]:
    with sentinels() as group:
        yield group


@pytest.fixture(autouse=True)
def nothing_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asked, "_said", {})


def settings_of(group: Sentinels) -> Any:
    broker = env.broker(group.url)
    options = env.broker_options(broker) | env.sentinel_options(group.url)
    return SimpleNamespace(CELERY_BROKER_URL=broker, CELERY_BROKER_TRANSPORT_OPTIONS=options)


def test_the_servers_that_the_sentinels_name_are_our_own_stores(group: Sentinels) -> None:
    """Protects the master and both replicas from a webhook, though the settings name the Sentinels alone."""
    found = stores_of(settings_of(group))
    assert {("127.0.0.1", one.port) for one in (*group.servers, *group.watchers)} <= set(found)


def test_all_workers_count_one_limit_in_the_master(group: Sentinels) -> None:
    """Protects a channel's limit from being multiplied by the number of workers."""
    mine, limit = settings_of(group), RateLimitItemPerSecond(1, 60)
    workers = [
        MovingWindowRateLimiter(
            limiting._storage(mine.CELERY_BROKER_URL, mine.CELERY_BROKER_TRANSPORT_OPTIONS)
        )
        for _ in range(2)
    ]
    assert [worker.hit(limit, "a channel") for worker in workers] == [True, False]
    with redis.Redis(port=group.master().port) as master:
        assert list(master.scan_iter("*a channel*"))


def test_the_password_in_the_address_is_the_servers(group: Sentinels) -> None:
    """Protects Sentinels without a password from being sent the servers' one, which they would refuse."""
    mine = settings_of(group)
    with_password = mine.CELERY_BROKER_URL.replace("sentinel://", "sentinel://:s%23cret@")
    storage = limiting._storage(with_password, mine.CELERY_BROKER_TRANSPORT_OPTIONS)
    assert isinstance(storage, RedisSentinelStorage)
    assert storage.sentinel.connection_kwargs["password"] == "s#cret"
    assert storage.sentinel.sentinel_kwargs["password"] is None


def test_sentinels_that_fall_silent_leave_what_they_have_said(
    group: Sentinels, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Protects the servers while no Sentinel answers: their last word holds. The last test of the file: it ends them."""
    mine = settings_of(group)
    monkeypatch.setattr(asked, "HOLDS", 0.0)  # so that they are asked again at once
    before = asked.servers(mine.CELERY_BROKER_URL, mine.CELERY_BROKER_TRANSPORT_OPTIONS)
    for one in group.watchers:
        one.kill()
    assert asked.servers(mine.CELERY_BROKER_URL, mine.CELERY_BROKER_TRANSPORT_OPTIONS) == before != ()
