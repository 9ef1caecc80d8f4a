"""What became of each notification at its group's turn."""

from __future__ import annotations

from collections.abc import Sequence

from django.db.models import QuerySet

from notifications.core.plan import Silent
from notifications.models import UNDECIDED, ActiveAlert, GroupMember, Notification, NotificationState
from notifications.rounds import Turn


def record(turn: Turn) -> None:
    """Say of every notification what became of it."""
    told = [member for member in turn.members if member.alert.alert_key in turn.told]
    if told:
        fresh = [member.pk for member in told if member.told_at is None]
        GroupMember.objects.filter(pk__in=fresh).update(told_at=turn.now)
        _record_told([member.alert for member in told])
    untold: dict[tuple[str, str], list[ActiveAlert]] = {}
    for member in turn.members:
        silent = turn.silent.get(member.alert.alert_key)
        if member.alert.alert_key not in turn.told and silent is not None and not member.is_moved:
            untold.setdefault((_state_of(silent), silent.reason[:500]), []).append(member.alert)
    for (state, reason), alerts in untold.items():
        own = Notification.objects.filter(pk__in=[alert.notification_id for alert in alerts])
        if own.filter(state__in=UNDECIDED, items=None).update(state=state, reason=reason):
            _older(alerts).filter(state=NotificationState.PENDING).update(state=state, reason=reason)


def _record_told(alerts: Sequence[ActiveAlert]) -> None:
    _older(alerts).filter(state__in=UNDECIDED).update(
        state=NotificationState.MERGED, reason="told together with a newer one about the same thing"
    )
    not_yet = (NotificationState.MUTED, NotificationState.HELD, NotificationState.SKIPPED)
    own = Notification.objects.filter(pk__in=[alert.notification_id for alert in alerts], state__in=not_yet)
    own.update(state=NotificationState.PENDING, reason="")


def _older(alerts: Sequence[ActiveAlert]) -> QuerySet[Notification]:
    """What was routed about the same things before the newest of each, and is in no message."""
    same = Notification.objects.filter(alert_key__in=[alert.alert_key for alert in alerts], is_event=False)
    return same.filter(route_at=None, items=None, deliveries=None).exclude(
        pk__in=[alert.notification_id for alert in alerts]
    )


def _state_of(silent: Silent) -> str:
    if silent.for_digest:
        return NotificationState.HELD
    return NotificationState.SKIPPED if silent.final else NotificationState.MUTED
