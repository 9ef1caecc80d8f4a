"""Alerts whose subject is no longer watched: nothing that is looked at would ever end them, so they are ended here."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import replace

from django.db import transaction
from django.db.models import Exists, OuterRef, Q

from healing.models import Container, FailureRecord, Host
from notifications.core.alert import AlertKind, AlertLevel, Outcome
from notifications.models import ActiveAlert
from notifications.outbox import write

OF_CONTAINERS = ("container:", "self:probe:")
OF_HOSTS = ("host:", "breaker:host:")
"""How the keys of alerts begin that end with the id of a container, or of a host."""

logger = logging.getLogger(__name__)


def end() -> int:
    """End what fires about containers and hosts that were removed, are not monitored or disabled; how many.

    One statement where nothing fires. A container that a person has asked to heal although it is not monitored has an
    open failure, which ends by itself.
    """
    firing = list(ActiveAlert.objects.filter(ends_at=None).select_related("notification"))
    containers, hosts = _ids(firing, OF_CONTAINERS), _ids(firing, OF_HOSTS)
    known = {OF_CONTAINERS: _watched(containers.values()), OF_HOSTS: _enabled(hosts.values())}
    ended = 0
    for alert in firing:
        for kind, ids in ((OF_CONTAINERS, containers), (OF_HOSTS, hosts)):
            pk = ids.get(alert.alert_key)
            if pk is not None and pk not in known[kind]:
                _end(alert)
                ended += 1
    return ended


def _ids(alerts: Iterable[ActiveAlert], begins: tuple[str, ...]) -> dict[str, int]:
    """The ids that the keys of these alerts end with, where they begin so."""
    keys = [alert.alert_key for alert in alerts if alert.alert_key.startswith(begins)]
    return {key: int(end) for key in keys if (end := key.rpartition(":")[2]).isdecimal()}


def _watched(ids: Iterable[int]) -> set[int]:
    wanted = set(ids)
    if not wanted:
        return set()
    being_healed = FailureRecord.objects.filter(container=OuterRef("pk"), resolved_at=None, is_found=True)
    rows = Container.objects.filter(
        Q(monitored=True, host__enabled=True) | Q(Exists(being_healed)), pk__in=wanted
    )
    return set(rows.values_list("pk", flat=True))


def _enabled(ids: Iterable[int]) -> set[int]:
    wanted = set(ids)
    return (
        set(Host.objects.filter(pk__in=wanted, enabled=True).values_list("pk", flat=True))
        if wanted
        else set()
    )


def _end(alert: ActiveAlert) -> None:
    told = alert.notification.alert()
    name = told.container or told.host or alert.alert_key
    over = replace(
        told,
        level=AlertLevel.INFO,
        kind=AlertKind.RESOLVED,
        title=f"{name} is no longer watched",
        body=f"It was removed from Selfheal, or taken out of its care. Told before: {told.title}",
        outcome=Outcome.GONE,
        details={part: told.details[part] for part in ("since", "cause", "path") if part in told.details},
    )
    with transaction.atomic():
        write(over)
    logger.info(
        "alert ended: %s", over.title, extra={"action": "alert_orphaned", "alert_key": alert.alert_key}
    )
