"""What a digest counts, and that each is made once."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from healing import digest, tasks
from healing.core.types import ActionKind, ActionResult, FailureType
from healing.models import Attempt, AttemptState, Container, FailureRecord, Host, Project, Stage, Tenant
from notifications.core.digest import DigestFigures, DigestKind, HealedAtFirst, WorstContainer
from notifications.models import Channel, Delivery, Digest, DigestRun, GroupMessage, Notification
from tests.integration.loop.timeline import Timeline

pytestmark = pytest.mark.django_db

START = datetime(2030, 1, 7, 8, 0, tzinfo=UTC)
END = START + timedelta(days=1)
NOW = END + timedelta(minutes=2)


@pytest.fixture
def host() -> Host:
    return Host.objects.create(name="h1", engine_kind="fake", address="fake://h1")


def container(host: Host, name: str, **fields: Any) -> Container:
    return Container.objects.create(host=host, name=name, **fields)


def failed(
    container: Container,
    at: float,
    lasted: float | None = 10.0,
    *,
    attempts: tuple[AttemptState, ...] = (AttemptState.SUCCEEDED,),
    row: int = 1,
    reason: str = "healthy",
    began: float | None = None,
    **fields: Any,
) -> FailureRecord:
    """A failure so many seconds after START, with its attempts; `began` seconds before it was found."""
    detected = START + timedelta(seconds=at)
    healed = AttemptState.SUCCEEDED in attempts
    failed_at = (detected - timedelta(seconds=began)).isoformat() if began is not None else None
    values: dict[str, Any] = {
        "failure_type": FailureType.CONTAINER_STOPPED,
        "container_name": container.name,
        "host_name": container.host.name,
        "tenant_id": container.tenant_id,
        "detected_at": detected,
        "resolved_at": detected + timedelta(seconds=lasted) if lasted is not None else None,
        "stage": Stage.DIAGNOSE if lasted is None else Stage.CLOSED,
        "action": ActionKind.RESTART if attempts else ActionKind.NONE,
        "action_result": ActionResult.SUCCESS if healed else ActionResult.FAILED,
        "reason": reason,
        "details": {"first": {"cause": "x", "message": "x", "failed_at": failed_at}},
    }
    failure = FailureRecord.objects.create(container=container, **(values | fields))
    for number, state in enumerate(attempts, 1):
        _attempt(failure, number, row + number - 1, state)
    return failure


def _attempt(failure: FailureRecord, number: int, row: int, state: AttemptState) -> None:
    at = failure.detected_at + timedelta(seconds=number)
    Attempt.objects.create(
        failure=failure,
        container=failure.container,
        number=number,
        row_number=row,
        state=state,
        fence=number,
        budget_spent=row,
        budget_limit=5,
        guard_engine_id="x",
        intent_at=at,
        called_at=None if state == AttemptState.WITHDRAWN else at,
    )


def figures(**fields: Any) -> DigestFigures:
    return digest.figures(DigestKind.DAILY, START, END, **fields)


def test_a_day_in_figures(host: Host) -> None:
    """Failures, heals, what was given up, restarts, and the three means; those of other days are not in them."""
    web, db = container(host, "web"), container(host, "db")
    failed(web, 0, 10, began=2)
    failed(web, 1000, 30, attempts=(AttemptState.FAILED, AttemptState.SUCCEEDED), began=4)
    failed(db, 4000, 60, attempts=(AttemptState.FAILED,) * 3, reason="quarantined: budget spent")
    failed(db, 5000, 60, attempts=(AttemptState.FAILED,), reason="quarantined: no help", is_trial=True)
    failed(db, -1)
    failed(db, 86_400)
    failed(db, 6000, attempts=(), in_success_rate=False, reason="container removed")
    found = figures()
    assert (found.failures, found.healed, found.gave_up, found.restarts) == (4, 2, 1, 7)
    assert found.mttd == pytest.approx(3)
    assert found.mttr == pytest.approx(20)
    assert found.mtbf == pytest.approx(5000 / 3)
    assert (found.kind, found.start, found.end) == (DigestKind.DAILY, START, END)


def test_healed_at_first_names_the_most_frequent_first(host: Host) -> None:
    """A first attempt that never reached the engine does not count; failing again soon after a heal does."""
    web, db, app = (container(host, name) for name in ("web", "db", "app"))
    failed(db, 0)
    for at in (0, 2000):
        failed(web, at, attempts=(AttemptState.WITHDRAWN, AttemptState.SUCCEEDED))
    failed(app, 0, attempts=(AttemptState.FAILED, AttemptState.SUCCEEDED))
    failed(app, 100, row=3)
    assert figures().healed_at_first == (HealedAtFirst("web", "h1", 2), HealedAtFirst("db", "h1", 1))


def test_the_worst_five(host: Host) -> None:
    """By failures, then by how long they were down; what still fails counts until the end of the period."""
    names = [f"c{number}" for number in range(7)]
    for number, name in enumerate(names):
        failed(container(host, name), number, lasted=10 + number)
    often = Container.objects.get(name="c0")
    failed(often, 500, lasted=None, attempts=())
    worst = figures().worst
    assert worst[0] == WorstContainer("c0", "h1", failures=2, restarts=1, downtime=10 + 86_400 - 500)
    assert [row.name for row in worst[1:]] == ["c6", "c5", "c4", "c3"]


def test_one_tenants_figures(host: Host) -> None:
    """The container's own tenant, else its project's, else its host's."""
    acme, other = Tenant.objects.create(name="acme"), Tenant.objects.create(name="other")
    project = Project.objects.create(name="shop", tenant=acme)
    failed(container(host, "own", tenant=acme), 0)
    failed(container(host, "by-project", project=project), 0)
    failed(container(host, "foreign", tenant=other, project=project), 0)
    failed(container(host, "nobody's"), 0)
    assert figures(tenant_id=acme.pk).failures == 2
    Host.objects.update(tenant=acme)
    assert figures(tenant_id=acme.pk).failures == 3


def test_alerts_are_counted_by_what_became_of_them() -> None:
    """Sent, not sent by why in one word, and left to the digest with what they said."""

    def told(state: str, reason: str = "", **fields: Any) -> None:
        row = {"level": "info", "title": "x", "created_at": START, "state": state, "reason": reason}
        Notification.objects.create(**(row | fields))

    told("sent")
    told("sent", created_at=END)
    told("muted", "silence 3 by ann until 2030-01-08 00:00 UTC: quiet")
    told("muted", "silence 4 by bob until 2030-01-08 00:00 UTC")
    told("muted", "depends on host:1, which fires")
    told("skipped", "no enabled channel takes level info")
    told("pending")
    told("held", "healed at the first attempt", title="web is healthy again", host="h1", container="web")
    found = figures()
    assert found.sent == 1
    assert dict(found.muted) == {"silence": 2, "dependency": 1, "skipped": 1}
    assert [(held.title, held.where, held.at) for held in found.held] == [
        ("web is healthy again", "h1/web", START)
    ]


def test_the_number_of_statements_is_fixed(host: Host) -> None:
    """A day with 10,000 failures is read as one with ten is."""
    web = container(host, "web")
    for at in range(12):
        failed(web, at)
    with CaptureQueriesContext(connection) as captured:
        assert figures().failures == 12
    assert len(captured) == 4, captured.captured_queries


def test_nothing_happened() -> None:
    """A quiet day has figures too: nothing is divided by nothing."""
    found = figures()
    assert (found.failures, found.mttd, found.mttr, found.mtbf, found.worst) == (0, None, None, None, ())


def channel(name: str, kind: Digest, language: str = "en") -> Channel:
    return Channel.objects.create(name=name, kind="fake", digest=kind.value, language=language)


def sent_to() -> list[tuple[str, str]]:
    rows = Delivery.objects.order_by("id").values_list("channel_name", "message__reason")
    return [(name, reason) for name, reason in rows]


def test_each_period_is_told_once_to_those_who_want_it(host: Host) -> None:
    """However often, and by how many, it is looked at; every channel gets its own kind, in its language."""
    failed(container(host, "web"), 0)
    channel("daily", Digest.DAILY)
    channel("both", Digest.BOTH, "zh-hans")
    channel("weekly", Digest.WEEKLY)
    channel("none", Digest.NONE)
    assert digest.send_due(NOW, UTC) == [DigestKind.DAILY, DigestKind.WEEKLY]
    assert digest.send_due(NOW + timedelta(hours=1), UTC) == []
    assert sorted(sent_to()) == [
        ("both", "daily digest"),
        ("both", "weekly digest"),
        ("daily", "daily digest"),
        ("weekly", "weekly digest"),
    ]
    texts = [row.text["body"] for row in GroupMessage.objects.filter(reason="daily digest")]
    assert len(texts) == len(set(texts)) == 2, "one for each language"
    assert digest.send_due(NOW + timedelta(days=1), UTC) == [DigestKind.DAILY]


def test_who_begins_to_want_one_gets_the_next() -> None:
    """What no channel wanted is passed over for good, also on a new installation."""
    assert digest.send_due(NOW, UTC) == []
    channel("daily", Digest.DAILY)
    assert digest.send_due(NOW + timedelta(hours=5), UTC) == []
    assert digest.send_due(NOW + timedelta(days=1), UTC) == [DigestKind.DAILY]


def test_what_dies_in_between_leaves_the_digest_to_be_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """The period is claimed in the transaction that writes its messages."""
    channel("daily", Digest.DAILY)
    with monkeypatch.context() as patch:
        patch.setattr("notifications.messaging.write", _dies)
        with pytest.raises(SystemExit):
            digest.send_due(NOW, UTC)
    assert not DigestRun.objects.filter(kind="daily").exists()
    assert digest.send_due(NOW, UTC) == [DigestKind.DAILY]


def _dies(**_: Any) -> None:
    raise SystemExit


def test_another_beat_has_made_it(caplog: pytest.LogCaptureFixture) -> None:
    """The second finds the claim when it comes to write, and writes nothing."""
    channel("daily", Digest.DAILY)
    found = figures()
    caplog.set_level(logging.INFO)
    assert digest.digests.send(found, NOW) == 1
    assert digest.digests.send(found, NOW) == 0
    assert Delivery.objects.count() == 1


@pytest.fixture
def timeline(db: None) -> Iterator[Timeline]:
    with Timeline() as made:
        yield made


def test_a_real_heal_is_counted_with_its_time_to_detection(timeline: Timeline) -> None:
    """From the engine's own time of the exit; the task reads the zone from the settings."""
    timeline.fake.add("web", labels={"selfheal.enable": "true", "selfheal.check_interval": "10"})
    timeline.watch()
    timeline.run(60)
    timeline.look_away()
    timeline.fake.exit("web", 1)
    timeline.run(60)
    found = digest.figures("daily", timeline.begin, timeline.now + timedelta(seconds=1))
    assert (found.failures, found.healed, found.restarts) == (1, 1, 1)
    assert [row.name for row in found.healed_at_first] == ["web"]
    assert found.mttd is not None
    assert 0 < found.mttd <= 15, (
        "found by the sweep, which comes every ten seconds and waits up to five for its events"
    )
    tasks.send_digest()
    assert DigestRun.objects.count() == 2
