"""What ends whoever works on it: set aside after three, so that everything else flows.

A claim that ends without being given back is counted where the next one is made (`lost_claims`), in the same statement.
"""

from __future__ import annotations

import logging
from datetime import datetime
from typing import Any

from django.db import (
    InterfaceError,
    InternalError,
    NotSupportedError,
    OperationalError,
    ProgrammingError,
    transaction,
)

from healing.core.alertnames import AlertName
from healing.core.queues import CHECKS, HEAL, near
from healing.core.types import ActionResult
from healing.core.types import AlertLevel as Level
from healing.models import CheckShard, DeadLetter, FailureRecord
from healing.pipeline import alert_details, alerts
from healing.store import attempts, heals, hosts, statuses, troubles
from healing.store.clock import db_now
from healing.store.history import SET_ASIDE
from healing.store.suspects import DEADLY
from healing.store.violations import is_of_the_schema
from notifications.core.alert import Alert, AlertKind, AlertLevel, Outcome
from notifications.outbox import write

logger = logging.getLogger(__name__)

SHARD = "deadly-check:"
"""The key of our trouble with such a shard begins so."""
COMMON = "heals-break"
"""The key of our trouble that several heals break alike."""


def set_aside(failure: FailureRecord) -> bool:
    """Whether a claimed heal has ended its worker DEADLY times in a row; it is closed then, and its container quarantined.

    Until a person releases it, because nothing else would keep it from being tried again.
    """
    if failure.lost_claims < DEADLY:
        return False
    now = db_now()
    reason = f"{SET_ASIDE}it has ended its worker {failure.lost_claims} times, at the stage {failure.stage}"
    if failure.reason.startswith(_BROKE):
        reason = f"{SET_ASIDE}it has failed {failure.lost_claims} times, at the stage {failure.stage}: {failure.reason}"
    with transaction.atomic():
        statuses.lock(failure.container_id)
        attempts.end_open(failure, reason, now)
        task = f"healing.tasks.{failure.stage}"
        heals.close(failure, ActionResult.FAILED, reason, now, alert_level=Level.CRITICAL.value)
        statuses.quarantine(failure.container, now, None)
        queue = near(HEAL, failure.container.host.queue)
        DeadLetter.objects.create(at=now, queue=queue, task=task, reason=reason, body=f"[{failure.pk}]")
        write(_of_heal(failure, reason))
    logger.critical(reason, extra={"action": "heal_set_aside", "failure": failure.pk})
    return True


_BROKE = "the stage broke: "


_DATABASES_OWN = (OperationalError, ProgrammingError, InternalError, NotSupportedError, InterfaceError)
"""A database that is away, or that is of another version than the code, is no heal's fault."""


def broke(failure_id: int, error: Exception) -> None:
    """An exception has left a stage that this thread had claimed: have it tried again, and not for ever where it is at fault.

    It is not where the database is, nor while another heal stands broken by the same exception and none succeeds: what
    breaks all of them quarantines none, but is told.
    """
    kind = f"{_BROKE}{type(error).__name__}:"
    is_databases = isinstance(error, _DATABASES_OWN) or is_of_the_schema(error)
    is_common = not is_databases and heals.is_common(failure_id, kind, db_now())
    reason = f"{kind} {error}"
    heals.put_back(failure_id, heals.BROKEN_PAUSE, reason, counts=not (is_databases or is_common))
    if is_common:
        _tell_common(reason[:500], db_now())


def _tell_common(reason: str, now: datetime) -> None:
    with transaction.atomic():
        if not troubles.open_trouble(COMMON, reason, now):
            return
        title = "Several heals break alike"
        text = (
            f"{reason}. Nothing of it is set aside while no other heal succeeds: each is tried again every "
            f"{heals.BROKEN_PAUSE.seconds} s. The logs of the workers say where it breaks."
        )
        details = {
            "since": now.isoformat(),
            "cause": reason,
            "next": f"Each is tried again every {heals.BROKEN_PAUSE.seconds} s.",
            "path": alert_details.page("failurerecord"),
        }
        write(_of_common(AlertLevel.CRITICAL, title, text, details=details))
    logger.critical("several heals break alike: %s", reason, extra={"action": "heals_break_alike"})


def _tell_common_end(now: datetime) -> None:
    if not troubles.open_trouble_keys(COMMON) or heals.any_stands(_BROKE):
        return
    with transaction.atomic():
        if troubles.end_trouble(COMMON, now):
            title = "Heals no longer break"
            write(_of_common(AlertLevel.INFO, title, "", kind=AlertKind.RESOLVED))


def _of_common(level: AlertLevel, title: str, body: str, **fields: Any) -> Alert:
    name = AlertName.HEALS_BREAK.value
    return Alert(level, title, body, alertname=name, alert_key=f"self:{COMMON}", **fields)


def _of_heal(failure: FailureRecord, reason: str) -> Alert:
    body = (
        f"{reason[0].upper()}{reason[1:]}. Its container is left alone until a person releases it "
        f"(manage.py release {failure.container_name}); all other heals go on. The logs of the workers say how they ended."
    )
    title = f"The heal of {failure.container_name} was set aside"
    made = list(failure.attempts.order_by("number"))
    next_step = f"Nothing until a person releases it (manage.py release {failure.container_name})."
    return alerts.of_failure(
        failure,
        AlertName.QUARANTINED,
        Level.CRITICAL,
        title,
        body,
        outcome=Outcome.GAVE_UP,
        details=alert_details.of_failure(failure, made, next_step),
    )


def tell_of_shards(now: datetime) -> None:
    """Tell of shards that end their workers, of those that were checked to the end since, and that heals no longer break.

    Three statements where there are none.
    """
    _tell_common_end(now)
    deadly = {f"{SHARD}{shard.host_id}/{shard.number}": shard for shard in hosts.deadly_shards()}
    for key, shard in deadly.items():
        _tell_begin(key, shard, now)
    for key in troubles.open_trouble_keys(SHARD) - deadly.keys():
        with transaction.atomic():
            if troubles.end_trouble(key, now):
                title = "Checks no longer end their workers"
                write(_of_shard(key, AlertLevel.INFO, title, "", kind=AlertKind.RESOLVED))


def _of_shard(key: str, level: AlertLevel, title: str, body: str, **fields: Any) -> Alert:
    name = AlertName.CHECKS_BREAK.value
    return Alert(level, title, body, alertname=name, alert_key=f"self:{key}", **fields)


def _tell_begin(key: str, shard: CheckShard, now: datetime) -> None:
    name = shard.host.name
    reason = f"checking host {name} has ended its worker {shard.lost_claims} times in a row"
    with transaction.atomic():
        if not troubles.open_trouble(key, reason, now):
            return
        statuses.unknown(shard.host_id, f"could not look: {reason}")
        queue = near(CHECKS, shard.host.queue)
        task, body = "healing.tasks.check_containers", f"[{shard.host_id}, {shard.number}]"
        DeadLetter.objects.create(at=now, queue=queue, task=task, reason=reason, body=body)
        text = (
            f"{reason[0].upper()}{reason[1:]}. It is tried again after growing pauses, up to an hour; until then nothing "
            "is known of its containers. The logs of the workers say how they ended."
        )
        title = f"Checks of host {name} end their workers"
        details = {
            "since": now.isoformat(),
            "cause": reason,
            "next": "It is checked again after growing pauses, up to an hour.",
            "path": alert_details.page("host", shard.host_id),
        }
        write(_of_shard(key, AlertLevel.CRITICAL, title, text, host=name, details=details))
    logger.critical(reason, extra={"action": "check_set_aside", "host": name})
