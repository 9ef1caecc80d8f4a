"""A worker's process makes ready what its first heal would wait for."""

from __future__ import annotations

import pytest

from healing import effective
from healing.engines.fake import fake_engine
from healing.models import Host
from healing.pipeline import engines
from healing.pipeline.warm import warm_up


@pytest.mark.django_db(transaction=True)
def test_no_engine_is_called() -> None:
    """Engines are loaded and the configuration is read; one that hangs or has a bad address stops nothing."""
    effective.forget_book()
    fake = fake_engine("warm")
    host = Host.objects.create(name="warm", engine_kind="fake", address="fake://warm")
    Host.objects.create(name="bad", engine_kind="docker", address="nowhere")
    warm_up()
    assert host.pk in engines._open
    assert effective._current is not None
    assert fake.calls == []
