"""A process that is frozen, or cut off, in the middle of a decision: PostgreSQL gives up its locks."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.db import DatabaseError, connection, connections, transaction
from django.utils import timezone

from healing.core.types import FailureType
from healing.models import Container, FailureRecord, Host, Stage
from healing.pipeline import poison, stages
from healing.store import heals
from tests.testbed.wait import until

FROZEN = "frozen"

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def frozen() -> Iterator[str]:
    """Another connection, as ours are, whose open transaction the server ends after 0.2 s of silence."""
    other = connection.copy(alias=FROZEN)
    options = other.settings_dict["OPTIONS"]
    other.settings_dict["OPTIONS"] = options | {
        "options": f"{options['options']} -c idle_in_transaction_session_timeout=200ms"
    }
    connections[FROZEN] = other
    try:
        yield FROZEN
    finally:
        other.close()
        del connections[FROZEN]


def setting(name: str) -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting(%s)", [name])
        return str(cursor.fetchone()[0])


def is_served(pid: int) -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE pid = %s", [pid])
        return bool(cursor.fetchone()[0])


def test_the_server_is_told_how_long_to_wait_for_us() -> None:
    """Protects all others: a backend whose client has vanished would keep its locks for two hours."""
    assert setting("idle_in_transaction_session_timeout") == "20s"
    assert setting("lock_timeout") == "30s"
    assert setting("tcp_keepalives_idle") in ("10", "0")  # 0 by a socket file
    assert setting("tcp_user_timeout") in ("20000", "0")


def test_others_go_on_without_a_process_that_is_frozen_in_a_decision(frozen: str) -> None:
    """The host's row is free again; the frozen one's transaction is void, and its next one works."""
    host = Host.objects.create(name="one", engine_kind="fake", address="fake://one")

    def decide() -> None:
        with transaction.atomic(using=frozen):
            Host.objects.using(frozen).select_for_update(no_key=True).get(pk=host.pk)
            with transaction.atomic():
                Host.objects.select_for_update(no_key=True).get(pk=host.pk)
                Host.objects.filter(pk=host.pk).update(name="two")
            Host.objects.using(frozen).filter(pk=host.pk).update(name="never")

    with pytest.raises(DatabaseError):
        decide()
    assert Host.objects.using(frozen).get(pk=host.pk).name == "two"


def test_that_its_session_was_ended_is_no_fault_of_the_heal(
    frozen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor is a lock that others hold too long: what was frozen three times would be set aside, its container quarantined."""
    host = Host.objects.create(name="one", engine_kind="fake", address="fake://one")
    container = Container.objects.create(host=host, name="web", engine_id="x")
    failure = FailureRecord.objects.create(
        container=container,
        container_name="web",
        failure_type=FailureType.CONTAINER_ERROR,
        detected_at=timezone.now(),
    )

    def frozen_in(failure_id: int) -> None:
        claim(failure_id)
        with transaction.atomic(using=frozen):
            Host.objects.using(frozen).get(pk=host.pk)
            pid = connections[frozen].connection.info.backend_pid
            until(lambda: not is_served(pid), 10, "the server has ended the session")
            Host.objects.using(frozen).get(pk=host.pk)

    def waits_for_a_lock(failure_id: int) -> None:
        claim(failure_id)
        with transaction.atomic(using=frozen):
            Host.objects.using(frozen).select_for_update().get(pk=host.pk)
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute("SET LOCAL lock_timeout TO '20ms'")
                Host.objects.select_for_update().get(pk=host.pk)

    def claim(failure_id: int) -> None:
        FailureRecord.objects.filter(pk=failure_id).update(
            lease_owner=heals.owner(), lease_until=failure.detected_at
        )

    for stage in (frozen_in, waits_for_a_lock):
        monkeypatch.setitem(stages._RUNS, Stage.DIAGNOSE, stage)
        with pytest.raises(poison._DATABASES_OWN):
            stages.run(Stage.DIAGNOSE, failure.pk)
        failure.refresh_from_db()
        assert (failure.lost_claims, failure.lease_until) == (0, None)
        assert failure.reason.startswith("the stage broke: ")
