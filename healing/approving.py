"""Answers that people give out of a message: whether an open breaker may let heals go on."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.utils.translation import get_language

from healing import commands
from healing.models import Host, SystemState
from healing.pipeline.breaker_alerts import approval_of
from healing.store.breaker_counts import Row
from notifications.approvals import Refused

BREAKER = "breaker"
APPROVED_FOR = timedelta(hours=1)

_ENGLISH = {
    "fleet": "the fleet",
    "host": "host {name}",
    "approved": "Healing on {what} goes on until {until:%Y-%m-%d %H:%M:%S} UTC, or until the breaker closes.",
    "rejected": "Nothing is healed on {what} until a person approves it after all, or the breaker closes.",
    "gone": "The breaker that this message asks about has closed since, or belongs to a host that is gone. "
    "If much fails again, a newer message asks.",
}
_CHINESE = {
    "fleet": "整个集群",
    "host": "主机 {name} ",
    "approved": "{what}的自愈将继续，直到 {until:%Y-%m-%d %H:%M:%S} UTC 或熔断器关闭。",
    "rejected": "在有人批准或熔断器关闭之前，不会对{what}执行任何自愈操作。",
    "gone": "此消息所询问的熔断器已经关闭，或其主机已不存在。如果再次大量失败，会有新的消息询问。",
}


def decide(what: str, by: str, approved: bool, now: datetime) -> str:
    """Let the heals that this opening of a breaker holds go on for an hour, or keep them held.

    Return a sentence for the person; raise Refused where that breaker has closed since.
    """
    words = _CHINESE if (get_language() or "").startswith("zh") else _ENGLISH
    row = _row(what)
    if row is None or approval_of(row) != what:
        raise Refused(words["gone"])
    name = words["host"].format(name=row.name) if isinstance(row, Host) else words["fleet"]
    until = now + APPROVED_FOR
    try:
        if approved:
            commands.approve_breaker(row, until)
        else:
            commands.reject_breaker(row)
    except commands.Refused as refusal:
        raise Refused(str(refusal)) from None
    return words["approved" if approved else "rejected"].format(what=name, until=until)


def _row(what: str) -> Row | None:
    """The row, locked, whose breaker `what` names: `breaker:host:<id>:<since>` or `breaker:fleet:<since>`."""
    match what.split(":"):
        case [_, "host", pk, _] if pk.isdecimal() and len(pk) < 19:
            return Host.objects.select_for_update(no_key=True).filter(pk=int(pk)).first()
        case [_, "fleet", _]:
            return SystemState.objects.select_for_update(no_key=True).filter(pk=1).first()
    return None
