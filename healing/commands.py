"""What people tell Selfheal to do: heal now, pause, resume, release."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction
from django.utils import timezone

from healing import tasks
from healing.core.types import FailureType, Lifecycle
from healing.effective import config_book
from healing.models import Container, FailureRecord, Scope, Stage
from healing.pipeline import alerts
from healing.signals import bump_revision
from healing.store import heals, statuses
from healing.store.clock import db_now
from healing.store.heals import Next


class Refused(Exception):
    """What was asked for is not done; the text says why and what to do instead."""


def heal_now(container: Container) -> FailureRecord:
    """Restart a container because a person asks for it: back-off and quarantine are skipped, a pause never.

    Raise Refused where it is paused, or where a heal of it is under way.
    """
    now = db_now()
    paused_until, by = config_book().paused(container, now)
    if paused_until is not None:
        raise Refused(f"{container.name}: {by} until {paused_until:%Y-%m-%d %H:%M:%S} UTC; resume it first")
    if not container.host.enabled:
        raise Refused(f"{container.name}: its host {container.host.name} is disabled; enable it first")
    with transaction.atomic():
        statuses.release(container)
        failure = heals.open_failures([container.pk]).get(container.pk)
        if failure is None:
            failure = heals.open_failure(
                container,
                now,
                failure_type=FailureType.HEALTH_CHECK_FAILED,
                error_message="A person asked for a heal.",
                forced=True,
                forced_at=now,
                in_success_rate=False,
            )
        else:
            _force(failure, now)
    if failure is None:
        raise Refused(f"{container.name}: a heal has just begun; look at its failure history")
    tasks.send_next(Next(Stage.DIAGNOSE, failure.pk, priority=0))
    return failure


def _force(failure: FailureRecord, now: datetime) -> None:
    waiting = FailureRecord.objects.filter(
        pk=failure.pk,
        stage__in=(Stage.DIAGNOSE, Stage.OBSERVE),
        lease_until__isnull=True,
        resolved_at__isnull=True,
    )
    if not waiting.update(forced=True, forced_at=now, stage=Stage.DIAGNOSE, due_at=now):
        raise Refused(f"{failure.container_name}: a heal is under way ({failure.stage}); wait for its end")


def pause(scope: Scope, until: datetime, reason: str = "") -> None:
    """Neither check nor heal what lies under a container, service, project or host until then."""
    if until <= timezone.now():
        raise Refused(f"{until:%Y-%m-%d %H:%M:%S} UTC is over already; give a time in the future")
    scope.paused_until = until
    scope.paused_reason = reason[:200]
    scope.save(update_fields=["paused_until", "paused_reason"])


def resume(scope: Scope) -> None:
    """End a pause."""
    scope.paused_until = None
    scope.paused_reason = ""
    scope.save(update_fields=["paused_until", "paused_reason"])


def pause_everything(until: datetime, reason: str = "") -> None:
    """Stop all checking and healing until then."""
    from healing.models import SystemState

    if until <= timezone.now():
        raise Refused(f"{until:%Y-%m-%d %H:%M:%S} UTC is over already; give a time in the future")
    SystemState.objects.update_or_create(
        pk=1, defaults={"paused_until": until, "paused_reason": reason[:200]}
    )
    bump_revision()


def resume_everything() -> None:
    from healing.models import SystemState

    SystemState.objects.filter(pk=1).update(paused_until=None, paused_reason="")
    bump_revision()


def release(container: Container) -> None:
    """End a quarantine: the container is checked and healed again, with a fresh row of attempts after its next recovery.

    Raise Refused where it is not quarantined.
    """
    with transaction.atomic():
        if not statuses.release(container):
            state = container.health.lifecycle
            raise Refused(
                f"{container.name} is not quarantined (it is {Lifecycle(state).value.replace('_', ' ')})"
            )
        alerts.quarantine_ended(
            container,
            config_book().config(container),
            f"{container.name} was released from quarantine by hand",
        )
    tasks.check_now([container.pk])
