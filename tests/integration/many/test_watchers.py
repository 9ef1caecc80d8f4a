"""The supervisor of watchers: each host is watched under its own name, and no round that breaks ends the others' streams."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from datetime import timedelta

import pytest
from pytest_django.fixtures import DjangoAssertNumQueries

from healing import watchers
from healing.eventchecks import EventChecks
from healing.models import Heartbeat, Host
from healing.store import hosts, signs
from healing.store.clock import db_now
from healing.watch import HostWatcher
from healing.watchers import Supervisor
from tests.integration.asking.rows import make_host


class Held(HostWatcher):
    """One whose stream is held as soon as it is started, without a thread."""

    refused: str = ""
    """The name of the host for which no thread can be started."""

    def start(self) -> None:
        if self.name == self.refused:
            raise RuntimeError("can't start new thread")
        self._since = db_now()
        Host.objects.filter(pk=self.host_id).update(stream_since=self._since)
        self.connected.set()

    def is_alive(self) -> bool:
        return not self._stop.is_set()

    def join(self, timeout: float) -> None:
        """There is nothing to wait for."""


@pytest.fixture
def supervisor(monkeypatch: pytest.MonkeyPatch) -> Iterator[Supervisor]:
    monkeypatch.setattr(watchers, "HostWatcher", Held)
    made = Supervisor(None)
    yield made
    made.stop()


def is_watched(host: Host) -> bool:
    now = db_now()
    unwatched = {each.name for each in signs.unwatched(now, timedelta(seconds=15))}
    host.refresh_from_db()
    return hosts.watched(host, now).since is not None and host.name not in unwatched


@pytest.mark.django_db
def test_a_renamed_host_is_watched_under_its_new_name(supervisor: Supervisor) -> None:
    """Who looks for its watcher looks by its name: stops by hand go on being seen, and no silence is told."""
    host = make_host("old")
    for _ in range(2):
        supervisor.step()
    assert is_watched(host)
    Host.objects.filter(pk=host.pk).update(name="new")
    for _ in range(2):
        supervisor.step()
    assert is_watched(host)


@pytest.mark.django_db
def test_two_hosts_that_swap_their_names_are_both_watched(supervisor: Supervisor) -> None:
    """Each signs by its own name, and not by that which the other has now."""
    one, two = make_host("one"), make_host("two")
    supervisor.step()
    for host, name in ((one, "three"), (two, "one"), (one, "two")):
        Host.objects.filter(pk=host.pk).update(name=name)
    supervisor.step()
    names = {pk: watcher.name for pk, watcher in supervisor._watchers.items()}
    assert names == {one.pk: "two", two.pk: "one"}


@pytest.mark.django_db
def test_a_watcher_that_cannot_be_started_silences_no_other(
    supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process without room for another thread goes on with the streams that it holds, and tries again."""
    one = make_host("one")
    supervisor.step()
    supervisor.step()
    two = make_host("two")
    Heartbeat.objects.update(at=db_now() - timedelta(hours=1))
    monkeypatch.setattr(Held, "refused", "two")
    with pytest.raises(RuntimeError):
        supervisor.step()
    assert is_watched(one) and not is_watched(two)
    monkeypatch.setattr(Held, "refused", "")
    for _ in range(2):
        supervisor.step()
    assert is_watched(one) and is_watched(two)


@pytest.mark.django_db
def test_each_watcher_says_for_itself_until_when_it_has_seen_all(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    """In one statement for all of them; one that is behind keeps what it has said, and all are alive."""
    one, two = make_host("one"), make_host("two")
    now, earlier = db_now(), db_now() - timedelta(seconds=30)
    Host.objects.update(stream_since=earlier)
    one.stream_since = two.stream_since = earlier
    said = {"watch:one": now - timedelta(seconds=7), "watch:two": now - timedelta(seconds=9)}
    hosts.beat_watchers(said, now)
    later = now + timedelta(seconds=4)
    with django_assert_num_queries(1):
        hosts.beat_watchers({"watch:one": later, "watch:two": None}, later)
    assert hosts.watched(one, later) == hosts.Watched(earlier, later)
    assert hosts.watched(two, later) == hosts.Watched(earlier, said["watch:two"])
    hosts.beat_watchers({"watch:one": None, "watch:two": None}, later)
    assert hosts.watched(one, later) == hosts.Watched(earlier, later)


def test_a_round_that_breaks_does_not_end_the_watcher(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """In one process its end would be that of all of Selfheal; what broke is logged."""
    stop, rounds, begun = threading.Event(), [], []

    def step(_: Supervisor) -> None:
        rounds.append(len(rounds))
        if len(rounds) == 1:
            raise RuntimeError("can't start new thread")
        stop.set()

    monkeypatch.setattr(Supervisor, "step", step)
    monkeypatch.setattr(watchers, "SUPERVISE_EVERY", 0.0)
    monkeypatch.setattr(
        EventChecks, "begin", lambda checks: begun.append(checks)
    )  # it would read the database beside this test
    with caplog.at_level(logging.ERROR, logger="healing.watchers"):
        running = threading.Thread(target=watchers.run, args=(None, stop, ["rack-7"]), daemon=True)
        running.start()
        running.join(30.0)
    assert (len(rounds), len(begun)) == (2, 1)
    assert [getattr(record, "action", "") for record in caplog.records] == ["watch_failed"]
