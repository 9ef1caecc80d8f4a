"""The words that columns hold."""

from __future__ import annotations

from enum import StrEnum


class NotificationState(StrEnum):
    """`pending`: not decided or not delivered yet. `muted`: not told now, `reason` says by what, and told later where that
    ends first. `merged`: told together with a newer one about the same thing, or overtaken by it. `held`: left to the digest. `sent`: told on
    at least one channel. `skipped`: nobody was to be told."""

    PENDING = "pending"
    MUTED = "muted"
    MERGED = "merged"
    HELD = "held"
    SENT = "sent"
    FAILED = "failed"
    SKIPPED = "skipped"


UNDECIDED = (NotificationState.PENDING, NotificationState.MUTED, NotificationState.HELD)
"""States of what nobody has been told yet."""


class DeliveryState(StrEnum):
    """`merged`: over the channel's limit, told in a summary instead, or overtaken by a newer one. `diverted`: sent by the channel's backup instead."""

    PENDING = "pending"
    SENT = "sent"
    FAILED = "failed"
    MERGED = "merged"
    DIVERTED = "diverted"


class MessageKind(StrEnum):
    """Why there is a message: a group's turn, nobody acknowledged, a channel's overflow, a digest."""

    GROUP = "group"
    ESCALATION = "escalation"
    SUMMARY = "summary"
    DIGEST = "digest"


class Language(StrEnum):
    ENGLISH = "en"
    CHINESE = "zh-hans"


class Digest(StrEnum):
    """Which digests a channel gets."""

    NONE = "none"
    DAILY = "daily"
    WEEKLY = "weekly"
    BOTH = "both"


def choices(enum: type[StrEnum]) -> list[tuple[str, str]]:
    return [(member.value, member.value.replace("_", " ")) for member in enum]
