"""An engine that stops answering, and one that is back."""

from __future__ import annotations

import logging
from datetime import datetime

from django.db import transaction

from healing.effective import config_book
from healing.models import Host, HostState
from healing.pipeline import host_alerts, oneself
from healing.store import hosts, statuses

logger = logging.getLogger(__name__)


def lost(
    host: Host,
    error: str,
    now: datetime,
    *,
    killed_since: datetime | None = None,
    asked_at: datetime | None = None,
) -> None:
    """The engine does not answer: unknown is not a failure. Told once; in maintenance not before its end.

    Where no other engine answers either, the fault may be ours: that is told instead.

    `killed_since`: the engine was seen to shut down, and the stop signals from then on were its own. `asked_at`: since
    when it has been asked in vain; who has had an answer since knows better.
    """
    with transaction.atomic():
        first = hosts.became_down(host, error, now, asked_at)
        if first or killed_since is not None:
            statuses.interrupt(host.pk, now, killed_since=killed_since)
        if not first and not hosts.is_down(host):
            return
        statuses.unknown(host.pk, f"could not look: {error}")
    if first or host.down_untold:
        _tell(host, error, now)
    if first:
        logger.error("host is down: %s", error, extra={"action": "host_down", "host": host.name})


def _tell(host: Host, error: str, now: datetime) -> None:
    """After it is known to be down to everybody: of two that are lost at once, each has to see that the other is."""
    if config_book().host_maintenance(host, now) is not None or oneself.is_suspected(now):
        return
    with transaction.atomic():
        since = hosts.tell_down(host)
        if since is not None:
            host_alerts.down(host, error, since)


def back(host: Host, now: datetime) -> None:
    """The engine has answered. Told once where its silence was told."""
    if host.state == HostState.UP:
        return
    with transaction.atomic():
        first, before = hosts.became_up(host, now)
        if first and before == HostState.DOWN and hosts.tell_up(host):
            host_alerts.up(host)
        if first:
            oneself.look(now)
    if first:
        logger.info("host is up", extra={"action": "host_up", "host": host.name})
