"""The world whose parts are watched."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace

import pytest
import time_machine
from django.utils import timezone
from pytest_django.fixtures import Settings

from healing import observer
from healing.models import Host
from healing.store import clock
from notifications import direct
from notifications.channels import fake
from notifications.models import Channel
from tests.integration.loop.timeline import BEGIN
from tests.integration.runtime.signing import World


@pytest.fixture
def world(db: None, monkeypatch: pytest.MonkeyPatch, settings: Settings) -> Iterator[World]:
    settings.EMBEDDED = False
    monkeypatch.setattr(clock, "connection", SimpleNamespace(vendor="moved by the test"))
    monkeypatch.setattr(
        observer, "_tell_apart", lambda written, now: written and direct.tell_written(written, now)
    )
    Channel.objects.all().delete()
    Channel.objects.create(name="people", kind="fake")
    fake.clear()
    with time_machine.travel(BEGIN, tick=False) as traveller:
        Host.objects.create(name="one", engine_kind="fake", address="fake://one", state="up")
        made = World(traveller)
        monkeypatch.setattr(observer, "broker_error", lambda: "" if made.broker_answers else "refused")
        steady = SimpleNamespace(monotonic=lambda: timezone.now().timestamp())
        monkeypatch.setattr(observer, "time", steady)
        yield made
