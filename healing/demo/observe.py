"""What the database says about one service of the demo, from the moment it was broken."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.apps import apps

from healing.core.types import ActionResult, AlertLevel, FailureType, Health, Lifecycle
from healing.demo.services import Service
from healing.models import Attempt, Container, FailureRecord


@dataclass(slots=True)
class Progress:
    """One service on its way. `broken_at` is None until it was broken."""

    service: Service
    container_id: int
    broken_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Seen:
    """How far it is; times are seconds since it was broken, None where it has not happened."""

    found: float | None = None
    cause: str = ""
    restarts: tuple[float, ...] = ()
    ended: float | None = None
    outcome: str = ""
    as_expected: bool = False


def observe(progress: Progress) -> Seen:
    """Read the records of this service."""
    begin = progress.broken_at
    if begin is None:
        return Seen()
    records = FailureRecord.objects.filter(container_id=progress.container_id)
    found = records.filter(is_found=True).order_by("id").first()
    if found is None:
        return Seen()
    attempts = Attempt.objects.filter(failure=found, called_at__isnull=False).order_by("number")
    called = tuple((a.called_at - begin).total_seconds() for a in attempts if a.called_at)
    seen = Seen((found.detected_at - begin).total_seconds(), found.cause, called)
    if found.resolved_at is None:
        return seen
    outcome, as_expected = _judge(progress, found, len(called))
    ended = (found.resolved_at - begin).total_seconds()
    return Seen(seen.found, seen.cause, seen.restarts, ended, outcome, as_expected)


def _judge(progress: Progress, found: FailureRecord, restarts: int) -> tuple[str, bool]:
    """What became of it, and whether that is what had to become of it."""
    service = progress.service
    container = Container.objects.select_related("health").get(pk=progress.container_id)
    kinds = set(FailureRecord.objects.filter(parent=found).values_list("failure_type", flat=True))
    right_type = found.failure_type == service.expected
    alone = FailureRecord.objects.filter(container=container, is_found=True).count() == 1
    if service.can_recover:
        healed = found.action_result == ActionResult.SUCCESS and container.health.status == Health.HEALTHY
        good = right_type and alone and healed and restarts == 1 and FailureType.AUTO_RESTART in kinds
        return ("healed and verified" if healed else f"not healed: {found.reason}"), good
    quarantined = container.health.lifecycle == Lifecycle.QUARANTINED
    spent = restarts == int(service.labels["selfheal.max_restarts"])
    alone &= FailureType.RESTART_LIMIT_EXCEEDED in kinds and _criticals(container.pk) == 1
    outcome = (
        "given up: in quarantine, one critical alert" if quarantined else f"not given up: {found.reason}"
    )
    return outcome, right_type and alone and quarantined and spent


def _criticals(container_id: int) -> int:
    notifications = apps.get_model("notifications", "Notification")._default_manager
    return notifications.filter(container_id=container_id, level=AlertLevel.CRITICAL.value).count()
