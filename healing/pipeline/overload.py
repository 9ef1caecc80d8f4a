"""Overload: measured once a tick, told once when it begins and once when it is over.

It is told by the dispatcher itself, past the broker and the outbox, which may be what is overloaded.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime

from django.db import transaction

from healing.core.alertnames import AlertName
from healing.core.queues import CHECKS, near
from healing.core.shedding import LATE, RANKS, SHARE, Level, is_shed, lateness, level
from healing.models import Overload
from healing.pipeline.self_alerts import about_ourselves
from healing.store import overload, troubles
from healing.store.overload import Late, Shards
from notifications import direct
from notifications.core.alert import Alert, AlertKind, AlertLevel
from notifications.models import Notification

logger = logging.getLogger(__name__)

TROUBLE = "overload:"


def measure(now: datetime) -> list[Overload]:
    """Take the pressure of each queue, before shards are claimed; those that people are to be told of.

    Two statements where nothing is late.
    """
    late, rows = overload.late(now), overload.rows()
    busy = {queue for queue, row in rows.items() if _is_busy(row)}
    if not late and not busy:
        return []
    shards, heals = overload.shards(now), overload.late_heals(now)
    measured = []
    for queue in sorted(busy | late.keys()):
        row = rows.get(queue) or Overload(queue=queue)
        row.heals_waiting = heals.get(queue, 0)
        _measured(row, late.get(queue, Late()), shards.get(queue, Shards()), now)
        measured.append(row)
    return [row for row in measured if bool(row.level) != bool(row.told_at)]


def _is_busy(row: Overload) -> bool:
    return bool(row.level or row.late_since or row.lateness or row.heals_waiting or row.told_at)


def _measured(row: Overload, late: Late, shards: Shards, now: datetime) -> None:
    before, late_by = overload.to_core(row), lateness(late.waits, shards.total)
    if late_by > LATE and not shards.busy:
        # Checks wait and no worker has one in hand: there is no worker or no broker, and not too much to do.
        return
    after = level(before, late_by, now, is_cut_short=late.cut_short >= shards.total * SHARE > 0)
    begins = after.late_since is not None and before.late_since is None
    if begins and before.level == Level.NONE and row.told_at is None:
        row.counted_before = {str(rank): checks for rank, checks in overload.counted(row.queue).items()}
    overload.save(row, after, late_by, now)
    if after.level != before.level:
        extra = {"action": "overload_level", "queue": near(CHECKS, row.queue), "level": after.level.name}
        logger.warning("overload: %s", _shed(after.level), extra=extra)


def _shed(at_level: int) -> str:
    names = [priority.value for rank, priority in enumerate(RANKS) if is_shed(rank, Level(at_level))]
    return f"checks of {' and '.join(names)} containers are put off" if names else "nothing is put off"


def tell(news: Sequence[Overload], now: datetime) -> None:
    """Tell of each once, whoever else has seen it too. Takes seconds where a channel is slow.

    It is written in the transaction that notes it as told: should this process end before it has, the outbox tells it.
    """
    for row in news:
        with transaction.atomic():
            written = _write_ahead(row, now)
        if written is not None:
            direct.tell_written(written, now)


def _write_ahead(row: Overload, now: datetime) -> Notification | None:
    """The begin or the end, for whoever is the first to note it; None for all others."""
    if not overload.mark_told(row, now if row.level else None):
        return None
    key = f"{TROUBLE}{near(CHECKS, row.queue)}"
    alert = _begun(row) if row.level else _over(row)
    if row.level:
        troubles.open_trouble(key, alert.body, now)
    else:
        troubles.end_trouble(key, now)
    return direct.write_ahead(alert, now)


def _begun(row: Overload) -> Alert:
    body = (
        f"Checks in the queue {near(CHECKS, row.queue)} wait {row.lateness:.1f} s for a worker, {row.heals_waiting} "
        f"heals wait: there is more to do than workers can. {_shed(row.level).capitalize()} for more important "
        "ones; critical ones are checked and healed first. Add workers, or check less often. You are told again when it is over."
    )
    since = {"since": row.late_since.isoformat()} if row.late_since else {}
    details = since | {
        "cause": f"checks wait {row.lateness:.1f} s for a worker, {row.heals_waiting} heals wait",
        "next": "Selfheal puts off what is least important until checks are no longer late.",
    }
    return _alert(row, AlertLevel.CRITICAL, "Selfheal is overloaded", body, AlertKind.FIRING, details)


def _over(row: Overload) -> Alert:
    before, counted = row.counted_before, overload.counted(row.queue)
    since = {RANKS[rank].value: n - before.get(str(rank), 0) for rank, n in sorted(counted.items())}
    put_off = [f"{checks} of {name} containers" for name, checks in since.items() if checks]
    body = f"Checks put off meanwhile: {', '.join(put_off) or 'none'}."
    return _alert(row, AlertLevel.INFO, "Selfheal is no longer overloaded", body, AlertKind.RESOLVED, {})


def _alert(
    row: Overload, alert_level: AlertLevel, title: str, body: str, kind: AlertKind, details: dict[str, str]
) -> Alert:
    name, key = AlertName.SELFHEAL_OVERLOADED, f"overload:{near(CHECKS, row.queue)}"
    return about_ourselves(name, key, alert_level, title, body, kind=kind, details=details, page="overload")
