"""What people tell Selfheal to do: heal now, pause, resume, release, run dry, begin and end maintenance."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from healing import tasks
from healing.core.breaker import BreakerMode
from healing.core.decide import DRY_RUN, HELD
from healing.core.maintenance import MAINTENANCE, Recurrence, open_until
from healing.core.types import FailureType, Lifecycle
from healing.effective import config_book
from healing.models import Container, Controlled, FailureRecord, MaintenanceWindow, Stage, SystemState
from healing.pipeline import alerts
from healing.signals import bump_revision
from healing.store import breakers, heals, statuses
from healing.store.breaker_counts import Row
from healing.store.clock import db_now
from healing.store.heals import Next

_LONGEST_NAME = 100


class Refused(Exception):
    """What was asked for is not done; the text says why and what to do instead."""


def heal_now(container: Container) -> FailureRecord:
    """Restart a container because a person asks for it: back-off, quarantine and maintenance are skipped, a pause never.

    Raise Refused where it is paused or under a dry run, or where a heal of it is under way.
    """
    now = db_now()
    book = config_book()
    paused_until, by = book.paused(container, now)
    if paused_until is not None:
        raise Refused(f"{container.name}: {by} until {paused_until:%Y-%m-%d %H:%M:%S} UTC; resume it first")
    if scope := book.dry_run_by(container):
        raise Refused(
            f"{container.name}: nothing is touched in the dry run of {scope}; switch that off first"
        )
    if not container.host.enabled:
        raise Refused(f"{container.name}: its host {container.host.name} is disabled; enable it first")
    with transaction.atomic():
        _end_quarantine(container, f"{container.name} was released from quarantine for a heal by hand")
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


def pause(scope: Controlled, until: datetime, reason: str = "") -> None:
    """Neither check nor heal what lies under a container, service, project, host or tenant until then."""
    _check_ahead(until)
    scope.paused_until = until
    scope.paused_reason = reason[:200]
    scope.save(update_fields=["paused_until", "paused_reason"])


def resume(scope: Controlled) -> None:
    """End a pause."""
    scope.paused_until = None
    scope.paused_reason = ""
    scope.save(update_fields=["paused_until", "paused_reason"])


def pause_everything(until: datetime, reason: str = "") -> None:
    """Stop all checking and healing until then."""
    _check_ahead(until)
    _change_system(paused_until=until, paused_reason=reason[:200])


def resume_everything() -> None:
    _change_system(paused_until=None, paused_reason="")


def set_dry_run(scope: Controlled, on: bool) -> None:
    """From here on down record what would be done and touch nothing; or heal again."""
    scope.dry_run = on
    scope.save(update_fields=["dry_run"])
    heals.wake(DRY_RUN, db_now())


def set_dry_run_of_everything(on: bool) -> None:
    _change_system(dry_run=on)
    heals.wake(DRY_RUN, db_now())


def _change_system(**fields: object) -> None:
    SystemState.objects.update_or_create(pk=1, defaults=fields)
    bump_revision()


def _check_ahead(until: datetime) -> None:
    if until <= db_now():
        raise Refused(f"{until:%Y-%m-%d %H:%M:%S} UTC is over already; give a time in the future")


def start_maintenance(
    scope: Controlled, until: datetime, reason: str = "", name: str = ""
) -> MaintenanceWindow:
    """Begin a maintenance window that comes once, for a scope, or with SystemState for everything.

    Raise Refused for an end that is over, and for a name that is taken or too long.
    """
    _check_ahead(until)
    now = db_now()
    window = MaintenanceWindow(reason=reason[:200], recurrence=Recurrence.ONCE, starts_at=now, ends_at=until)
    if isinstance(scope, SystemState):
        what, which, window.everything = "everything", f" {now:%Y-%m-%d %H:%M:%S}", True
    else:
        kind = str(scope._meta.model_name)
        # Two hosts may have containers of one name.
        what, which = f"{kind} {scope}", f" #{scope.pk} {now:%Y-%m-%d %H:%M:%S}"
        setattr(window, kind, scope)
    window.name = name or what[: _LONGEST_NAME - len(which)] + which
    if len(window.name) > _LONGEST_NAME:
        raise Refused(f"The name is longer than {_LONGEST_NAME} characters; shorten it")
    if MaintenanceWindow.objects.filter(name=window.name).exists():
        raise Refused(f"There is a maintenance window {window.name!r} already; choose another name")
    window.save()
    return window


def end_maintenance(window: MaintenanceWindow) -> None:
    """End a window that is open: one that comes once for good, one that recurs until it opens next.

    Raise Refused where it is not open, ConfigError for a row that cannot be used.
    """
    now = db_now()
    until = open_until(window.schedule(), now) if window.enabled else None
    if until is None:
        raise Refused(f"{window.name} is not open now; to keep it from opening, disable it in the admin")
    if window.recurrence == Recurrence.ONCE:
        window.ends_at = now
    else:
        window.starts_at = until
    window.save(update_fields=["starts_at", "ends_at"])
    heals.wake(f"{HELD}: {MAINTENANCE} {window.name} ", now)


def release(container: Container) -> None:
    """End a quarantine: the container is checked and healed again, with a fresh row of attempts after its next recovery.

    Raise Refused where it is not quarantined.
    """
    with transaction.atomic():
        if not _end_quarantine(container, f"{container.name} was released from quarantine by hand"):
            state = container.health.lifecycle
            raise Refused(
                f"{container.name} is not quarantined (it is {Lifecycle(state).value.replace('_', ' ')})"
            )
    tasks.check_now([container.pk])


def _end_quarantine(container: Container, title: str) -> bool:
    """Release it and tell of that; False where it is not quarantined. A trial that is open becomes a failure like others."""
    since = container.health.quarantined_at
    if not statuses.release(container):
        return False
    alerts.quarantine_ended(container, title, since=since)
    FailureRecord.objects.filter(container=container, resolved_at=None, is_trial=True).update(is_trial=False)
    return True


def approve_breaker(row: Row, until: datetime) -> None:
    """Let an open breaker's heals go on until then. Raise Refused where it is closed, or does not ask for approval."""
    if until <= db_now():
        raise Refused(f"{until:%Y-%m-%d %H:%M:%S} UTC is over already; give a time in the future")
    _check_asks(row)
    if not breakers.approve(row, until):
        raise Refused(
            f"The breaker of {breakers.name_of(row)} has closed meanwhile: there is nothing to approve"
        )
    breakers.wake(row, db_now())


def reject_breaker(row: Row) -> None:
    """Keep an open breaker's heals held and take back an approval. Raise Refused as `approve_breaker` does."""
    _check_asks(row)
    breakers.write_setting(row, approved_until=None)


def _check_asks(row: Row) -> None:
    name = breakers.name_of(row)
    if row.breaker_since is None:
        raise Refused(f"The breaker of {name} is closed: there is nothing to approve")
    if row.breaker_mode != BreakerMode.APPROVAL:
        mode = BreakerMode(row.breaker_mode).value
        raise Refused(
            f"The breaker of {name} has the mode {mode} and does not wait for approval; set another"
        )


def set_breaker(row: Row, mode: BreakerMode | None = None, share: float | None = None) -> None:
    """Change what a breaker does and above which share it opens; what is None stays. Raise Refused for a wrong share."""
    if share is not None and not 0.0 <= share <= 1.0:
        raise Refused(f"A share of {share:g} is not possible; write a number from 0 to 1, such as 0.4")
    fields: dict[str, object] = {} if mode is None else {"breaker_mode": mode.value}
    fields |= {} if share is None else {"breaker_share": share}
    if not fields:
        raise Refused("Nothing is to be set; give a mode, a share, or both")
    breakers.write_setting(row, **fields)
    breakers.wake(row, db_now())
