"""`manage.py near`: what stands in for a broker starts without one."""

from __future__ import annotations

from collections.abc import Sequence
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from selfheal_project import processes
from selfheal_project.processes import Program
from tests.testbed.process import free_port

pytestmark = pytest.mark.django_db


@pytest.fixture
def kept(settings: Any, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the programs that would run."""
    names: list[str] = []

    def run(wanted: Sequence[Program]) -> int:
        names.extend(program.name for program in wanted)
        return 0

    settings.EMBEDDED = False
    monkeypatch.setattr(processes, "run", run)
    return names


def test_a_broker_that_is_away(kept: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that comes up while the broker is down has its sweeper, and the broker is named without its password."""
    port, told = free_port(), StringIO()
    monkeypatch.setenv("CELERY_BROKER_URL", f"redis://:secret@127.0.0.1:{port}/0")
    call_command("near", "rack-7", stdout=told)
    assert kept == ["worker-heal", "worker-checks", "watch", "sweep"]
    assert f"broker redis://:**@127.0.0.1:{port}/0 does not answer" in told.getvalue()
    assert "secret" not in told.getvalue()


def test_an_address_of_no_broker(kept: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """What waiting does not mend is refused."""
    monkeypatch.setenv("CELERY_BROKER_URL", "redis://127.0.0.1:6379/first")
    with pytest.raises(CommandError, match="The broker redis://127.0.0.1:6379/first cannot be used"):
        call_command("near", "rack-7")
    assert kept == []
