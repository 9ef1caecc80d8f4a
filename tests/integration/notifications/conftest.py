"""What the tests of alerting share: routes that tell at once, channels, hints that are kept."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction

from notifications import limiting, outbox
from notifications.channels import fake
from notifications.core.alert import Alert
from notifications.models import Channel, Notification, Route
from notifications.routes import root
from tests.contract.channels.receiver import Receiver, receiving

# Several write at once, which SQLite does not.
collect_ignore = (
    []
    if os.environ.get("DATABASE_URL", "").startswith("postgres")
    else ["test_clock_of_others.py", "test_flow_at_once.py"]
)


@pytest.fixture
def bare(db: None) -> Iterator[None]:
    """No channels but those that the test makes."""
    Channel.objects.all().delete()
    fake.clear()
    limiting._limiter.cache_clear()
    yield
    join_senders()
    fake.clear()


def join_senders() -> None:
    """Wait for the threads that a round has left behind, so that none of them meets the next test's database."""
    for thread in threading.enumerate():
        if thread.name.startswith("send-"):
            thread.join(10)


@pytest.fixture
def at_once(bare: None) -> Route:
    """The root tells every alert by itself and waits for nothing."""
    route = root()
    route.group_by = ["..."]
    route.group_wait = route.group_interval = timedelta(0)
    route.save()
    return route


@pytest.fixture(autouse=True)
def hints(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The ids that were queued for delivery; no broker is needed to see them."""
    queued: list[str] = []

    def send_task(name: str, args: list[str], **options: Any) -> None:
        assert name == "notifications.tasks.deliver"
        queued.extend(args)

    monkeypatch.setattr(outbox.current_app, "send_task", send_task)
    monkeypatch.setattr(outbox, "HINT_EVERY", 0.0)
    return queued


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    with receiving() as running:
        yield running


def fake_channel(name: str = "fake", **fields: Any) -> Channel:
    return Channel.objects.create(name=name, kind="fake", **fields)


def webhook(receiver: Receiver, name: str = "hook", **fields: Any) -> Channel:
    config = {"url": receiver.url}
    return Channel.objects.create(name=name, kind="webhook", config=config, allow_private=True, **fields)


def written(alert: Alert, **fields: Any) -> Notification:
    """An alert in the outbox; `fields` change the row, such as `created_at`."""
    with transaction.atomic():
        row = outbox.write(alert)
    if fields:
        Notification.objects.filter(pk=row.pk).update(**fields)
        row.refresh_from_db()
    return row


def state_of(notification: Notification) -> tuple[str, str]:
    notification.refresh_from_db()
    return notification.state, notification.reason
