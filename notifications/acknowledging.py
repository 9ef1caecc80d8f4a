"""Acknowledging: somebody has taken an alert on, so nobody else is told of it and it is not repeated."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import islice

from django.db import transaction
from django.db.models import QuerySet

from notifications.models import ActiveAlert, Route
from notifications.routes import root

NAME_LIMIT = 150
BATCH = 500


def acknowledge(alerts: Iterable[ActiveAlert], by: str, now: datetime) -> int:
    """Note that `by` takes these on, which ends their escalation and repeats; return how many.

    Left as it is: what has ended, what somebody else has taken on, and what has risen in level or begun anew since it
    was read, because `by` has not seen that. A later rise of the level asks again.
    """
    return _write(alerts, is_acknowledged=False, acknowledged_at=now, acknowledged_by=by[:NAME_LIMIT])


def unacknowledge(alerts: Iterable[ActiveAlert]) -> int:
    """Take acknowledgements back: repeats and escalation go on. Return how many of these fired and had one."""
    return _write(alerts, is_acknowledged=True, acknowledged_at=None, acknowledged_by="")


def _write(alerts: Iterable[ActiveAlert], *, is_acknowledged: bool, **fields: object) -> int:
    seen = {alert.pk: (alert.level, alert.starts_at) for alert in alerts}
    if not seen:
        return 0
    with transaction.atomic():
        keep_intake_out()
        return sum(
            _same(seen, some, is_acknowledged=is_acknowledged).update(**fields) for some in _batches(seen)
        )


def keep_intake_out() -> None:
    """Hold what intake holds while it writes alerts, to the end of the transaction, so that neither overwrites the other."""
    Route.objects.select_for_update(no_key=True).get(pk=root().pk)


def _same(
    seen: dict[int, tuple[str, datetime]], some: Sequence[int], *, is_acknowledged: bool
) -> QuerySet[ActiveAlert]:
    """Those that fire, are as they were read, and are acknowledged or not."""
    rows = ActiveAlert.objects.filter(ends_at=None, acknowledged_at__isnull=not is_acknowledged)
    found = rows.filter(pk__in=some).values_list("pk", "level", "starts_at")
    same = [pk for pk, level, starts_at in found if seen[pk] == (level, starts_at)]
    return rows.filter(pk__in=same)


def _batches(ids: Iterable[int]) -> Iterable[list[int]]:
    rest = iter(ids)
    while some := list(islice(rest, BATCH)):
        yield some


__all__ = ["acknowledge", "keep_intake_out", "unacknowledge"]
