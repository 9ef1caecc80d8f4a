"""Messages that nobody can work off: each is taken out, kept aside and told once, and the next is worked off."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from healing.models import DeadLetter, Trouble
from healing.pipeline import deadletters
from healing.pipeline.deadletters import Letter
from healing.store import clock
from notifications.models import Notification
from selfheal_project import messages
from selfheal_project.celery import app
from selfheal_project.embedded import Supervisor, worker_parts
from selfheal_project.messages import BEHIND, LARGEST, by_our_clock
from selfheal_project.redis_broker import fault_of
from tests.testbed.wait import until


@app.task(name="tests.messages.note")
def note(text: str) -> None:
    _done.append(text)


_done: list[str] = []


@pytest.fixture
def aside(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Letter]]:
    """The embedded workers run; what is kept aside is seen here."""
    kept: list[Letter] = []
    monkeypatch.setattr(messages.aside, "put", kept.append)
    _done.clear()
    supervisor = Supervisor(worker_parts(app), stop_seconds=20)
    thread = threading.Thread(target=supervisor.run, daemon=True)
    thread.start()
    try:
        yield kept
    finally:
        supervisor.stopping.set()
        thread.join(30)
    assert (supervisor.still_running(), supervisor.dead) == ([], [])


def publish(body: Any, headers: dict[str, Any] | None, **options: Any) -> None:
    with app.producer_or_acquire() as producer:
        producer.publish(body, routing_key="heal", exchange="", headers=headers, **options)


def test_the_queue_flows_past_whatever_nobody_can_work_off(aside: list[Letter]) -> None:
    """Celery's own consumer would lose some of these without a word, and end the worker over others."""
    header = {"task": "tests.messages.note", "id": "1", "lang": "py"}
    app.send_task("nobody.knows.this", args=[1], queue="heal")
    publish([["x"], {}, {}], {"task": "nobody.knows.this"})
    publish([["x"], {}, {}], {"task": ["not", "a", "name"], "id": "1"})
    publish([["x"], {}, {}], {"task": "tests.messages.note"})
    publish([["x", "y", "z"], {}, {}], header)
    publish([[], {"no_such": 1}, {}], header)
    publish("no arguments", header)
    publish({"what": "ever"}, None)
    publish(b"{broken", header, content_type="application/json", content_encoding="utf-8")
    publish(
        b"\x80\x04K\x01.", header, content_type="application/x-python-serialize", content_encoding="binary"
    )
    publish([["x"], {}, {}], {**header, "expires": "tomorrow"})
    publish([["x"], {}, {}], {**header, "expires": "9999-12-31T23:59:59+00:00", BEHIND: 5})
    publish([["x" * LARGEST], {}, {}], header)
    note.apply_async(("after",), queue="heal")
    until(lambda: _done == ["after"], 60, "what comes after them is worked off")
    assert len(aside) == 13, [letter.reason for letter in aside]
    assert {letter.queue for letter in aside} == {"heal"}
    assert "nobody.knows.this" in aside[0].reason
    assert all(len(letter.body) <= messages.KEPT for letter in aside)


@pytest.mark.parametrize(
    "envelope",
    [
        "text",
        [],
        {},
        {"properties": 7},
        {"properties": {"delivery_tag": "x"}},
        {"properties": {"delivery_tag": "x", "delivery_info": {"exchange": "", "routing_key": 7}}},
        {"properties": {"delivery_tag": "x", "delivery_info": {"exchange": ""}}},
        {"headers": "x"},
        {"body": {"a": 1}},
        {"body": "not base64!", "body_encoding": "base64"},
        {"body": "x", "body_encoding": "rot13"},
    ],
)
def test_what_is_no_message_is_seen_before_it_is_opened(envelope: Any) -> None:
    """Whatever somebody pushes into a Redis list, Kombu must not fall over it."""
    info = {"exchange": "", "routing_key": "heal"}
    properties = {"delivery_tag": "x", "delivery_info": info, "body_encoding": "base64"}
    assert fault_of({"body": "W10=", "headers": {}, "properties": properties}) == ""
    if isinstance(envelope, dict) and envelope and "properties" not in envelope:
        encoding = envelope.pop("body_encoding", "base64")
        envelope = {"properties": {**properties, "body_encoding": encoding}, **envelope}
    assert fault_of(envelope)


def test_a_message_is_stale_by_the_databases_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker whose clock is two hours ahead neither drops what is fresh nor does what is stale; nor for a sender's clock."""
    at = datetime(2030, 1, 1, 12, tzinfo=UTC)
    monkeypatch.setattr(clock, "_behind", timedelta(hours=-2))
    headers: dict[str, Any] = {"expires": at.isoformat()}
    by_our_clock(headers)
    assert datetime.fromisoformat(headers["expires"]) == at + timedelta(hours=2)
    assert messages.own_clock() == {BEHIND: -7200.0}
    headers = {"expires": (at + timedelta(hours=2)).isoformat(), **messages.own_clock()}
    monkeypatch.setattr(clock, "_behind", timedelta())
    by_our_clock(headers)
    assert datetime.fromisoformat(headers["expires"]) == at


@pytest.mark.parametrize("behind", [1e300, 10**400, float("inf"), float("nan"), -1e7, "5", None])
def test_a_clock_that_cannot_be_is_not_believed(behind: Any) -> None:
    """What a sender says of its clock moves no time out of the calendar."""
    headers = {"expires": "2030-01-01T12:00:00+00:00", BEHIND: behind}
    by_our_clock(headers)
    assert headers["expires"] == "2030-01-01T12:00:00+00:00"


@pytest.mark.django_db
def test_a_flood_fills_no_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest give way while they come, and not only once a day."""
    monkeypatch.setattr(deadletters, "KEPT", 20)
    monkeypatch.setattr(deadletters, "TRIM_EVERY", 10)
    for number in range(30):
        deadletters.keep([Letter("heal", str(number))] * 3, timezone.now())
        assert DeadLetter.objects.count() <= 20 + 10 + 3
    assert DeadLetter.objects.order_by("-pk").values_list("reason", flat=True)[0] == "29"


@pytest.mark.django_db
def test_they_are_kept_and_the_first_of_a_queue_is_told() -> None:
    """People read what they were; one alert, and one when ten minutes have passed without another."""
    now = timezone.now()
    letters = [Letter("heal", "it names no task", body="\0{" + "x" * 5000)] * 3 + [Letter("checks", "no")]
    deadletters.keep(letters, now)
    deadletters.keep(letters[:1], now + timedelta(minutes=5))
    assert DeadLetter.objects.count() == 5
    assert len(DeadLetter.objects.filter(queue="heal")[0].body) == deadletters.BODY
    assert Notification.objects.filter(kind="firing").count() == 2
    deadletters.look_after(now + timedelta(minutes=12))
    assert set(Trouble.objects.filter(resolved_at=None).values_list("key", flat=True)) == {
        "dead-letters:heal"
    }
    deadletters.look_after(now + timedelta(minutes=16))
    assert Notification.objects.filter(kind="resolved").count() == 2
