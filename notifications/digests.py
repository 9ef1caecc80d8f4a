"""Digests: what was told in a day or a week, and the messages with its figures, each period once."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.db import transaction
from django.db.models import Count, QuerySet

from notifications import messaging
from notifications.core.digest import DigestFigures, DigestKind, HeldMessage
from notifications.messages import render_digest
from notifications.models import Channel, Digest, DigestRun, MessageKind, Notification, NotificationState

HELD = 100
"""So many of the alerts that were left to a digest are listed at the most, the newest."""
_SILENT = (
    NotificationState.MUTED,
    NotificationState.MERGED,
    NotificationState.FAILED,
    NotificationState.SKIPPED,
)
_BEGINS = {
    "silence ": "silence",
    "rule ": "inhibition",
    "depends on ": "dependency",
    "within the mute interval ": "interval",
    "outside of the active interval ": "interval",
    "acknowledged": "acknowledged",
}
"""How reasons begin for which an alert is muted, and what they are counted under."""


@dataclass(frozen=True, slots=True)
class Counts:
    """Alerts of a time: how many reached a channel, how many did not by why, in one word, and what was left to the digest."""

    sent: int
    muted: Mapping[str, int]
    held: tuple[HeldMessage, ...]


def told(start: datetime, end: datetime, tenant_id: int | None = None) -> Counts:
    """What became of the alerts that were written from `start` to before `end` (two statements)."""
    rows = Notification.objects.filter(created_at__gte=start, created_at__lt=end)
    if tenant_id is not None:
        rows = rows.filter(tenant_id=tenant_id)
    sent, muted = 0, Counter[str]()
    for state, reason, number in rows.order_by().values_list("state", "reason").annotate(Count("pk")):
        if state == NotificationState.SENT:
            sent += number
        elif state in _SILENT:
            muted[_word(state, reason)] += number
    return Counts(sent, dict(muted.most_common()), _held(rows))


def _word(state: str, reason: str) -> str:
    if state != NotificationState.MUTED:
        return state
    return next((word for begin, word in _BEGINS.items() if reason.startswith(begin)), state)


def _held(rows: QuerySet[Notification]) -> tuple[HeldMessage, ...]:
    held = rows.filter(state=NotificationState.HELD).order_by("-created_at")
    columns = held.values_list("created_at", "level", "title", "host", "container")
    found = [
        HeldMessage(at, level, title, "/".join(filter(None, (host, container))))
        for at, level, title, host, container in columns[:HELD]
    ]
    return tuple(reversed(found))


def is_wanted(kind: DigestKind) -> bool:
    """Whether any channel gets digests of this kind."""
    return _takers(kind).exists()


def is_made(kind: DigestKind, start: datetime) -> bool:
    """Whether the digest of the period that began then has been made, or passed over."""
    return DigestRun.objects.filter(kind=kind.value, period_start=start).exists()


def pass_over(kind: DigestKind, start: datetime, now: datetime) -> None:
    """Have no digest of this period made any more."""
    _claim(kind, start, now)


def send(figures: DigestFigures, now: datetime) -> int:
    """Write the digest's messages for every channel that gets such, in its language; the number of channels.

    0 where another process has, or there is no channel. Claim and messages are one transaction: what dies in between
    leaves the digest to be made.
    """
    with transaction.atomic():
        if not _claim(figures.kind, figures.start, now):
            return 0
        channels = list(_takers(figures.kind).select_related("template"))
        for language, speakers in _by_language(channels).items():
            messaging.write(
                notifications=[],
                lead=None,
                channels=speakers,
                now=now,
                kind=MessageKind.DIGEST,
                reason=f"{figures.kind.value} digest",
                text=render_digest(figures, language, settings.SELFHEAL_URL),
            )
    return len(channels)


def _claim(kind: DigestKind, start: datetime, now: datetime) -> bool:
    """Whether this process is the one to make it."""
    return DigestRun.objects.get_or_create(kind=kind.value, period_start=start, defaults={"made_at": now})[1]


def _takers(kind: DigestKind) -> QuerySet[Channel]:
    return Channel.objects.filter(enabled=True, digest__in=(kind.value, Digest.BOTH.value)).order_by("name")


def _by_language(channels: Iterable[Channel]) -> dict[str, list[Channel]]:
    speakers: dict[str, list[Channel]] = defaultdict(list)
    for channel in channels:
        speakers[channel.template.language if channel.template else channel.language].append(channel)
    return speakers
