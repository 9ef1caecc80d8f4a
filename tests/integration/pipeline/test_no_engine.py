"""All of several engines out of sight at once: it is us, told once, and over with the first that answers."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest
from django.db import connection
from django.utils import timezone

from healing.effective import forget_book
from healing.models import Host, Trouble
from healing.pipeline import breaking, hosts, oneself
from notifications.models import Notification
from tests.integration.asking.rows import make_host

pytestmark = pytest.mark.django_db

NOW = timezone.now()


@pytest.fixture(autouse=True)
def fresh_book() -> Iterator[None]:
    forget_book()
    yield
    forget_book()


def lose(name: str, seconds: float = 0.0) -> None:
    hosts.lost(Host.objects.get(name=name), "no route to host", NOW + timedelta(seconds=seconds))


def find(name: str, seconds: float = 0.0) -> None:
    hosts.back(Host.objects.get(name=name), NOW + timedelta(seconds=seconds))


def told() -> list[str]:
    rows = Notification.objects.order_by("created_at").values_list("level", "title")
    return [f"{level}: {title}" for level, title in rows]


def test_the_last_engine_to_go_makes_us_suspect_ourselves() -> None:
    """Those before it were told by themselves; it is not, but we are, once; each end is told where its begin was."""
    for name in ("h1", "h2", "h3"):
        make_host(name)
    lose("h1")
    lose("h2")
    lose("h3", 1)
    lose("h3", 2)
    before = [
        "error: Host h1 does not answer",
        "error: Host h2 does not answer",
        "critical: No engine answers: none of 3. It may be me",
    ]
    assert told() == before
    find("h3", 10)
    find("h1", 11)
    assert told() == [*before, "info: 1 of 3 engines answers again", "info: Host h1 answers again"]


def test_a_host_that_stays_down_is_told_by_itself_in_the_end() -> None:
    """A minute after the first engine is back, those that are not were lost for reasons of their own."""
    for name in ("h1", "h2"):
        make_host(name)
    Host.objects.update(state="down", state_since=NOW, down_untold=True)
    breaking.evaluate(NOW)
    find("h1", 10)
    lose("h2", 30)
    assert told() == [
        "critical: No engine answers: none of 2. It may be me",
        "info: 1 of 2 engines answers again",
    ]
    lose("h2", 71)
    assert told()[2:] == ["error: Host h2 does not answer"]


def test_a_single_engine_is_to_blame_itself() -> None:
    """With one host, that it does not answer says nothing about us."""
    make_host("h1")
    lose("h1")
    breaking.evaluate(NOW)
    assert told() == ["error: Host h1 does not answer"]


def test_a_tick_sees_what_two_workers_saw_at_the_same_time() -> None:
    """Both found the other host still up; disabling all but one ends the suspicion."""
    for name in ("h1", "h2"):
        make_host(name)
    Host.objects.update(state="down")
    breaking.evaluate(NOW)
    breaking.evaluate(NOW + timedelta(seconds=1))
    assert told() == ["critical: No engine answers: none of 2. It may be me"]
    Host.objects.filter(name="h2").update(enabled=False)
    breaking.evaluate(NOW + timedelta(seconds=2))
    assert not Trouble.objects.filter(resolved_at__isnull=True).exists()


def test_a_kill_between_note_and_alert_loses_no_alert(monkeypatch: pytest.MonkeyPatch) -> None:
    """That no engine answers is noted and told in one transaction, or not at all."""
    for name in ("h1", "h2"):
        make_host(name)
    Host.objects.update(state="down")
    with monkeypatch.context() as patch:
        patch.setattr(oneself, "_begun", lambda *_: (_ for _ in ()).throw(SystemExit))
        with pytest.raises(SystemExit):
            oneself.look(NOW)
    oneself.look(NOW)
    assert told() == ["critical: No engine answers: none of 2. It may be me"]


def test_that_a_host_is_down_is_seen_by_all_before_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two that are lost in the same second, each is looked at when the other's loss is committed."""
    make_host("h1")
    depth, seen = len(connection.savepoint_ids), []

    def is_suspected(_: datetime) -> bool:
        seen.append(len(connection.savepoint_ids) - depth)
        return False

    monkeypatch.setattr(oneself, "is_suspected", is_suspected)
    lose("h1")
    assert seen == [0]
