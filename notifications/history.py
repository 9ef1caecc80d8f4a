"""Under which names and levels an alert has fired since it began: what some receivers need to be told to end it all."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from django.db.models import Min

from notifications.core.alert import AlertKind, Told
from notifications.models import ActiveAlert, Notification

REACH = timedelta(days=1)
"""How far back is looked at least."""


def with_history(told: Sequence[Told]) -> list[Told]:
    """The same, with `fired_as` in the details of each alert that has a key: a list of `{alertname, severity}`, itself
    included where it fires; without it where nothing is known. Two statements, whatever their number.
    """
    keys = {each.alert.alert_key for each in told if each.alert.alert_key}
    if not keys:
        return list(told)
    begun = ActiveAlert.objects.filter(alert_key__in=keys).aggregate(at=Min("starts_at"))["at"]
    latest = min(each.created_at for each in told) - REACH
    since = latest if begun is None else min(begun, latest)
    rows = Notification.objects.filter(alert_key__in=keys, created_at__gte=since).order_by("created_at")
    past: defaultdict[str, list[Notification]] = defaultdict(list)
    for row in rows.only("alert_key", "created_at", "kind", "alertname", "level"):
        past[row.alert_key].append(row)
    return [_with(each, past[each.alert.alert_key]) for each in told]


def _with(told: Told, past: list[Notification]) -> Told:
    """What came after it is not looked at, so that it is the same at every repeat."""
    if not told.alert.alert_key:
        return told
    fired: dict[tuple[str, str], None] = {}
    for row in past:
        if row.created_at > told.created_at:
            break
        if row.kind == AlertKind.FIRING:
            fired[(row.alertname, row.level)] = None
        elif row.created_at < told.created_at:
            fired.clear()
    if not fired:
        return told
    names = [{"alertname": alertname, "severity": level} for alertname, level in fired]
    details = {**told.alert.details, "fired_as": names}
    return replace(told, alert=replace(told.alert, details=details))
