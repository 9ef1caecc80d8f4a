"""Links out of a message: signed, for a day, each once. The signature is the right to do what the link says.

A link's address depends on the message and the action alone, so that it is the same at every repeat.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from uuid import UUID

from django.conf import settings
from django.core import signing

from notifications.core.alert import Alert, Link, Told
from notifications.messages.view import link_to
from notifications.models import GroupMessage, UsedLink

PATH = "/alerts/"
"""Where `notifications.urls` is included. Written out, because looking it up would load all pages into every worker."""
PARAMETER = "t"
"""A query, because paths are written to logs."""
OPEN = "open"
LONGEST = 300


class Action(StrEnum):
    APPROVE = "approve"
    REJECT = "reject"
    ACK = "ack"
    SILENCE = "silence"

    @property
    def question(self) -> str:
        """What a message asks once: who has approved cannot reject by the same message as well."""
        return "decide" if self.decides else self.value

    @property
    def decides(self) -> bool:
        return self in (Action.APPROVE, Action.REJECT)


_LABELS = {
    Action.APPROVE: "Approve",
    Action.REJECT: "Reject",
    Action.ACK: "Acknowledge",
    Action.SILENCE: "Silence for 1 h",
}


class Why(StrEnum):
    """Why a link does nothing."""

    TAMPERED = "tampered"
    UNKNOWN = "unknown"
    EXPIRED = "expired"
    USED = "used"
    OVER = "over"
    ACKNOWLEDGED = "acknowledged"
    CHANGED = "changed"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Asked:
    """What a genuine link asks for."""

    action: Action
    message_id: UUID
    made_at: datetime

    @property
    def nonce(self) -> str:
        """The same for all repeats of the message; 64 characters."""
        return hashlib.sha256(f"{self.message_id.hex}:{self.action.question}".encode()).hexdigest()


class Unusable(Exception):
    """The link does nothing, and `why`. `asked` is None where it is not even genuine; `by` and `at` say who was first,
    `text` is a sentence for the person.
    """

    def __init__(
        self,
        why: Why,
        asked: Asked | None = None,
        *,
        by: str = "",
        at: datetime | None = None,
        text: str = "",
    ) -> None:
        super().__init__(why.value)
        self.why, self.asked, self.by, self.at, self.text = why, asked, by, at, text


def of_message(row: GroupMessage, told: Sequence[Told]) -> tuple[Link, ...]:
    """The links of a message about these alerts: none without SELFHEAL_URL, and where nothing fires only that to the page."""
    base = settings.SELFHEAL_URL.rstrip("/")
    if not base or not told:
        return ()
    made = [
        Link(action.value, _LABELS[action], f"{base}{PATH}?{PARAMETER}={token_of(row, action)}")
        for action in _actions([each.alert for each in told])
    ]
    lead = next((each for each in told if each.id == str(row.lead_id)), told[0])
    page = link_to(base, lead.alert.details.get("path"))
    return (*made, *([Link(OPEN, "Open", page)] if page else []))


def _actions(alerts: Sequence[Alert]) -> list[Action]:
    """Nobody need take on what is told once and has no end."""
    firing = [alert for alert in alerts if alert.is_firing]
    wanted = {
        Action.APPROVE: any(map(approval_of, firing)),
        Action.REJECT: any(map(approval_of, firing)),
        Action.ACK: any(alert.alert_key and not alert.is_event for alert in firing),
        Action.SILENCE: bool(firing),
    }
    return [action for action, is_wanted in wanted.items() if is_wanted]


def approval_of(alert: Alert) -> str:
    """What of the alert waits for approval; empty where nothing does."""
    what = alert.details.get("approval")
    return what if isinstance(what, str) else ""


def token_of(row: GroupMessage, action: Action) -> str:
    """The signature comes first: what follows ends in a digit, which no mail program takes for the end of a sentence."""
    value = f"{action.value}.{row.pk.hex}.{int(row.created_at.timestamp())}"
    return f"{_signer().signature(value)}.{value}"


def read(token: str, now: datetime) -> Asked:
    """What a link asks for. Raise Unusable where it is not ours, unknown to this version, or too old."""
    signature, _, value = token[:LONGEST].partition(".")
    if not token.isascii() or len(token) > LONGEST:
        raise Unusable(Why.TAMPERED)
    try:
        action, message_id, seconds = _signer().unsign(f"{value}.{signature}").split(".")
        if action not in set(Action):
            raise Unusable(Why.UNKNOWN)
        asked = Asked(Action(action), UUID(message_id), datetime.fromtimestamp(int(seconds), UTC))
    except (signing.BadSignature, ValueError, OverflowError, OSError):
        raise Unusable(Why.TAMPERED) from None
    if now >= asked.made_at + lifetime():
        raise Unusable(Why.EXPIRED, asked, at=asked.made_at + lifetime())
    return asked


def lifetime() -> timedelta:
    return timedelta(seconds=settings.LINK_LIFETIME)


def check_unused(asked: Asked) -> None:
    """Raise Unusable where the link has been used."""
    row = UsedLink.objects.filter(nonce=asked.nonce).first()
    if row is not None:
        raise _used(asked, row)


def use(asked: Asked, by: str, address: str, now: datetime) -> None:
    """Use the link up within the caller's transaction; a rollback leaves it. Raise Unusable where somebody else has."""
    fields = {
        "action": asked.action.value,
        "used_at": now,
        "used_by": by[:150],
        "used_from": address[:64],
    }
    row, is_first = UsedLink.objects.get_or_create(nonce=asked.nonce, defaults=fields)
    if not is_first:
        raise _used(asked, row)


def _used(asked: Asked, row: UsedLink) -> Unusable:
    return Unusable(Why.USED, asked, by=row.used_by, at=row.used_at, text=row.action)


def _signer() -> signing.Signer:
    """Takes what SECRET_KEY_FALLBACKS have signed."""
    return signing.Signer(sep=".", salt="notifications.links")


__all__ = [
    "Action", "Asked", "Unusable", "Why", "approval_of", "check_unused", "of_message", "read", "use",
]  # fmt: skip
