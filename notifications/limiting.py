"""How much a channel may be sent: a sliding window, and one summary of what is over it.

The window is counted in Redis where that is the broker, so that all workers share it; else in this process's memory.
Where Redis does not answer, nothing is held back: telling is worth more than a limit.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import cache
from typing import cast
from uuid import UUID

from django.conf import settings
from django.db import transaction
from limits import RateLimitItem, RateLimitItemPerSecond
from limits.storage import MemoryStorage, Storage, storage_from_string
from limits.strategies import MovingWindowRateLimiter

from notifications import messaging
from notifications.core.alert import AlertLevel
from notifications.models import Channel, Delivery, DeliveryState, MessageItem, MessageKind, Notification

REDIS_SECONDS = 2
SUMMARY_ALERTS = 5_000
"""Alerts in one summary; what is more comes in the next."""

logger = logging.getLogger(__name__)


def allows(delivery: Delivery, now: datetime) -> bool:
    """Whether its channel may be sent one more message now; a repeat, or a summary, is not counted again."""
    channel = delivery.channel
    if channel is None or not channel.rate_limit or delivery.tries:
        return True
    if delivery.message is not None and delivery.message.kind == MessageKind.SUMMARY:
        return True
    try:
        return _limiter().hit(_limit(channel), str(channel.pk))
    except Exception as error:
        extra = {"action": "limit_uncounted", "channel": channel.name}
        logger.warning(
            "the channel's limit could not be counted, so it is not applied: %s", error, extra=extra
        )
        return True


def put_off(deliveries: Sequence[Delivery], now: datetime) -> None:
    """Have these wait until the channel's window has room, for one summary."""
    channel = deliveries[0].channel
    assert channel is not None
    ids = [delivery.pk for delivery in deliveries]
    pending = Delivery.objects.filter(pk__in=ids, state=DeliveryState.PENDING, next_try_at__lte=now)
    count = pending.update(is_limited=True, next_try_at=now + timedelta(seconds=channel.rate_window))
    extra = {"action": "channel_limited", "channel": channel.name, "messages": count}
    logger.info("channel is at its limit; what is more comes in one summary", extra=extra)


def summarise_due(now: datetime) -> None:
    """Make one summary of what each channel has waiting over its limit, once that wait is over."""
    due = Delivery.objects.filter(state=DeliveryState.PENDING, is_limited=True, next_try_at__lte=now)
    for channel in Channel.objects.filter(pk__in=due.values("channel")):
        _summarise(channel, now)


def _summarise(channel: Channel, now: datetime) -> None:
    with transaction.atomic():
        Channel.objects.select_for_update(no_key=True).get(pk=channel.pk)
        waiting = Delivery.objects.filter(channel=channel, state=DeliveryState.PENDING, is_limited=True)
        rows = list(waiting.select_related("message").order_by("id"))
        if len(rows) < 2:
            waiting.update(is_limited=False, next_try_at=now)
            return
        told = MessageItem.objects.filter(message__in=[row.message_id for row in rows])
        ids = list(dict.fromkeys(told.order_by("id").values_list("notification_id", flat=True)))[
            :SUMMARY_ALERTS
        ]
        reason = f"summary of {len(rows)} messages over the limit of {channel.rate_limit} in {channel.rate_window} s"
        summary = messaging.write(
            notifications=ids,
            lead=_gravest(ids),
            channels=[channel],
            now=now,
            kind=MessageKind.SUMMARY,
            reason=reason,
        )
        waiting.filter(pk__in=[row.pk for row in rows]).update(
            state=DeliveryState.MERGED, answer=f"in the summary {summary}"
        )


def _gravest(ids: Sequence[UUID]) -> UUID:
    rows = list(Notification.objects.filter(pk__in=ids).only("pk", "level", "created_at"))
    return max(rows, key=lambda row: (AlertLevel(row.level).rank, row.created_at)).pk


def _limit(channel: Channel) -> RateLimitItem:
    return RateLimitItemPerSecond(channel.rate_limit, channel.rate_window, namespace="selfheal-channel")


@cache
def _limiter() -> MovingWindowRateLimiter:
    return MovingWindowRateLimiter(_storage(settings.CELERY_BROKER_URL))


def _storage(broker_url: str) -> Storage:
    if broker_url.startswith(("redis://", "rediss://")):
        options = {"socket_timeout": REDIS_SECONDS, "socket_connect_timeout": REDIS_SECONDS}
        return cast(Storage, storage_from_string(broker_url, **options))
    return MemoryStorage()
